"""Test what the tests of a cluster take for the sources of an image: a build is left out if they are the same.

Covered: which files count, and that each kind of change counts. Not covered: builds (tests/cluster/test_image_store).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ..cluster.image_sources import copied, digest_of

ROOT = Path(__file__).parents[2]
TEXT = """\
ARG FILE=code
FROM base AS first
COPY ${FILE} \\
     more /src/
COPY --from=other /elsewhere /elsewhere
COPY --chmod=0755 run /bin/run
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with a Dockerfile and its context."""
    (tmp_path / "Dockerfile").write_text(TEXT)
    (tmp_path / "code" / "deep").mkdir(parents=True)
    (tmp_path / "code" / "deep" / "a.py").write_text("a = 1")
    (tmp_path / "code" / "link").symlink_to("deep/a.py")
    for name in ("more", "run", "unused"):
        (tmp_path / name).write_text(name)
    return tmp_path


def digest(place: Path, **values: str) -> str:
    return digest_of(place / "Dockerfile", place, values, ["--target=first"])


def test_what_is_copied_from_the_context_is_found() -> None:
    assert copied(TEXT, {}) == ["code", "more", "run"]
    assert copied(TEXT, {"FILE": "other"}) == ["other", "more", "run"]


def test_what_our_dockerfiles_copy_is_there() -> None:
    for dockerfile in ROOT.glob("images/*/Dockerfile"):
        sources = copied(dockerfile.read_text(), {})
        assert {"pipelines", "operator", "constraints.txt"} <= set(sources)
        assert [one for one in sources if not (ROOT / one).exists()] == []


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda place: (place / "code" / "deep" / "a.py").write_text("a = 2"),
    "mode": lambda place: (place / "run").chmod(0o755),
    "new file": lambda place: (place / "code" / "b.py").touch(),
    "removed": lambda place: (place / "more").unlink(),
    "renamed": lambda place: (place / "code" / "deep" / "a.py").rename(place / "code" / "deep" / "c.py"),
    "link": lambda place: ((place / "code" / "link").unlink(), (place / "code" / "link").symlink_to("deep")),
    "step": lambda place: (place / "Dockerfile").write_text(f"{TEXT}RUN true\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_each_change_changes_the_digest(place: Path, change: Callable[[Path], object]) -> None:
    before = digest(place)
    change(place)
    assert digest(place) != before


def test_values_and_what_else_decides_change_the_digest(place: Path) -> None:
    before = digest(place)
    assert digest(place, VERSION="2") != before
    assert digest_of(place / "Dockerfile", place, {}, ["--target=second"]) != before


def test_what_is_not_copied_does_not_change_the_digest(place: Path) -> None:
    before = digest(place)
    (place / "unused").write_text("another")
    (place / "code" / "__pycache__").mkdir()
    (place / "code" / "__pycache__" / "a.pyc").touch()
    assert digest(place) == before
