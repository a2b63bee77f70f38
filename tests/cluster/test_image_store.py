"""The store of the images that tests build: an image with a tag, and images that lost their tags.

Covered: a build, one that is not needed, one that fails, old layers, layers that a node uses. Not covered: our
own images (`test_images`).
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.suite import cache

from . import images
from .images import build_image, image_id
from .machine import Machine, run, take_slot
from .node_images import layers_in
from .processes import StartError

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node")]

TAG = "localhost/gozen/note:test"


@pytest.fixture
def build(root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a Dockerfile; images are kept in a store of their own."""
    monkeypatch.setenv("GOZEN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "note").write_text("one")
    (folder / "Dockerfile").write_text("FROM scratch\nARG FILE=note\nCOPY ${FILE} /note\n")
    return folder


def test_an_image_keeps_its_id_until_its_content_changes(build: Path) -> None:
    assert image_id(TAG) == ""
    assert build_image(build / "Dockerfile", TAG) == TAG
    first = image_id(TAG)
    build_image(build / "Dockerfile", TAG)
    assert image_id(TAG) == first
    (build / "note").write_text("two")
    build_image(build / "Dockerfile", TAG)
    assert image_id(TAG) not in {first, ""}


def test_a_build_is_left_out_if_its_sources_and_its_image_are_the_same(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "localhost/gozen/other:test"
    build_image(build / "Dockerfile", other)
    (build / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY note /second\n")
    builds: list[Path] = []

    def counted(*words: Any) -> str:
        builds.append(words[0])
        return real(*words)

    real = images._build
    monkeypatch.setattr(images, "_build", counted)
    for _ in range(2):
        build_image(build / "Dockerfile", TAG, {"BASE": other})
    assert len(builds) == 1
    (build / "below").write_text("FROM scratch\nCOPY below /below\n")
    build_image(build / "below", other)  # the image below is another one now
    build_image(build / "Dockerfile", TAG, {"BASE": other})
    assert len(builds) == 3
    run([*images._buildah(), "rmi", "--force", TAG])
    build_image(build / "Dockerfile", TAG, {"BASE": other})
    assert len(builds) == 4


def test_old_layers_that_no_last_build_used_are_removed(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first stage has no tag, but the next build saves its time.
    (build / "Dockerfile").write_text(
        "FROM scratch AS made\nCOPY note /note\nFROM scratch\nCOPY --from=made /note /copy\n"
    )
    build_image(build / "Dockerfile", TAG)
    assert layers() == 2
    (build / "note").write_text("two")
    build_image(build / "Dockerfile", TAG)
    assert layers() == 4
    monkeypatch.setattr(images, "SECONDS_TO_KEEP_LAYERS", -60)
    build_image(build / "Dockerfile", TAG)
    assert layers() == 2
    assert sorted(path.read_text() for path in (cache.folder() / "images" / "overlay").glob("*/diff/*")) == ["two"] * 2


def test_layers_that_a_machine_uses_are_kept_as_long_as_it_is_there(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "SECONDS_TO_KEEP_LAYERS", -60)
    build_image(build / "Dockerfile", TAG)
    machine = Machine(build.parent)
    try:
        machine.uses(image_id(TAG))
        take_slot()[1].close()  # as another machine does, which looks at all slots
        (layer,) = layers_in(images.store(), image_id(TAG))
        (build / "note").write_text("two")
        build_image(build / "Dockerfile", TAG)
        assert (layer.files / "note").read_text() == "one"
    finally:
        machine.stop()
    build_image(build / "Dockerfile", TAG)
    assert not layer.files.exists()


def test_a_build_that_fails_says_where_and_leaves_nothing(build: Path) -> None:
    with pytest.raises(StartError, match="no-such-note"):
        build_image(build / "Dockerfile", TAG, build_args={"FILE": "no-such-note"})
    assert image_id(TAG) == ""
    assert layers() == 0
    assert str(cache.folder()) not in Path("/proc/mounts").read_text()


def test_what_a_killed_build_leaves_goes_at_the_next_one(build: Path) -> None:
    build_image(build / "Dockerfile", TAG)
    before = layers()
    killed = subprocess.Popen([*images._buildah(), "from", "--pull-never", TAG], stdout=subprocess.DEVNULL)
    assert killed.wait(timeout=60) == 0
    assert layers() == before + 1
    build_image(build / "Dockerfile", TAG)
    assert layers() == before


def test_a_store_that_cannot_be_read_is_made_anew(build: Path) -> None:
    build_image(build / "Dockerfile", TAG)
    images.require_sound_store()
    assert image_id(TAG) != ""
    for index in (cache.folder() / "images").glob("overlay-*/*.json"):
        index.write_text("[{")  # as a disk that was full leaves it
    images.require_sound_store()
    assert image_id(TAG) == ""
    build_image(build / "Dockerfile", TAG)
    assert image_id(TAG) != ""


def layers() -> int:
    """Return how many layers take room in the store."""
    return len(list((cache.folder() / "images" / "overlay").glob("*/diff")))
