"""Test how an image of the builds is described to a node that reads its layers where they are.

Covered: the order of the layers, their names in containerd, the content of the archive. Not covered: containerd itself,
with which each test on a node runs its pods, and that layers in use stay (tests/cluster/test_image_store).
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ..cluster.node_images import Layer, _writable, archive_without_layers, chain_ids, layers_in
from ..cluster.processes import StartError

PLACE = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"
LAYERS = [Layer("sha256:aa", 10, Path("/store/a")), Layer("sha256:bb", 20, Path("/store/b"))]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with two images, one of which is built on the other."""
    layers = [
        {"id": "top", "parent": "base", "diff-digest": "sha256:bb", "diff-size": 20},
        {"id": "base", "diff-digest": "sha256:aa", "diff-size": 10},
    ]
    images = [{"id": "1", "layer": "base", "names": ["base:1"]}, {"id": "2", "layer": "top"}]
    for folder, name, content in (("layers", "layers", layers), ("images", "images", images)):
        (tmp_path / f"overlay-{folder}").mkdir()
        (tmp_path / f"overlay-{folder}" / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_the_layers_of_an_image_begin_with_the_lowest(store: Path) -> None:
    base = Layer("sha256:aa", 10, store / "overlay" / "base" / "diff")
    assert layers_in(store, "1") == [base]
    assert layers_in(store, "2") == [base, Layer("sha256:bb", 20, store / "overlay" / "top" / "diff")]


def test_a_name_of_a_layer_stands_for_those_below_it_too() -> None:
    # As the specification of OCI images defines ChainID.
    second = f"sha256:{hashlib.sha256(b'sha256:aa sha256:bb').hexdigest()}"
    third = f"sha256:{hashlib.sha256(f'{second} sha256:cc'.encode()).hexdigest()}"
    assert chain_ids(["sha256:aa", "sha256:bb", "sha256:cc"]) == ["sha256:aa", second, third]
    assert chain_ids([]) == []


def test_an_archive_describes_each_image_and_has_no_layer() -> None:
    wanted = {"pipeline:test": {"config": {"Cmd": ["a"]}}, "operator:test": {"config": {"Cmd": ["b"]}}}
    with tarfile.open(fileobj=io.BytesIO(archive_without_layers(LAYERS, wanted))) as whole:
        files = {name: whole.extractfile(name).read() for name in whole.getnames()}  # type: ignore[union-attr]
    assert json.loads(files.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    found: dict[str, Any] = {}
    for target in json.loads(files.pop("index.json"))["manifests"]:
        manifest = json.loads(_blob(files, target))
        assert [(one["digest"], one["size"]) for one in manifest["layers"]] == [("sha256:aa", 10), ("sha256:bb", 20)]
        found[target["annotations"]["io.containerd.image.name"]] = json.loads(_blob(files, manifest["config"]))
    assert found == wanted
    assert files == {}


def _blob(files: dict[str, bytes], described: dict[str, Any]) -> bytes:
    content = files.pop(f"blobs/sha256/{described['digest'].removeprefix('sha256:')}")
    assert described["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert described["size"] == len(content)
    return content


@pytest.mark.parametrize(
    ("mount", "folder"),
    [
        (f"mount -t bind {PLACE}/1/fs /mnt -o rw,rbind", f"{PLACE}/1/fs"),
        (
            f"mount -t overlay overlay /mnt -o index=off,workdir={PLACE}/2/work,upperdir={PLACE}/2/fs,"
            f"lowerdir={PLACE}/1/fs",
            f"{PLACE}/2/fs",
        ),
    ],
    ids=["lowest layer", "other layer"],
)
def test_the_folder_of_a_layer_is_the_one_that_is_written(mount: str, folder: str) -> None:
    assert _writable(mount) == folder


def test_a_mount_of_another_kind_is_refused() -> None:
    with pytest.raises(StartError, match="containerd names no folder for a layer: mount -t zfs"):
        _writable("mount -t zfs pool/1 /mnt")
