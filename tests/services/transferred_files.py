"""Files that the tests of transfers send, what has arrived, and progress that acts or counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gozen.sharing.transfers.progress import Progress

CHUNK = 6 * 2**20
SMALL = 2**16
NAMES = ("a.csv", "b#1?x=%41+&.fits", "ü ö.png", "😀 日本.txt", "sub/c.csv", "sub/deep/.hidden", "sub/empty.dat")


def odd_files(folder: Path) -> Path:
    """Make a folder with files of all kinds of names, and return it."""
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if "empty" in name else os.urandom(1000))
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (folder / "sub" / "nothing").mkdir()
    return folder


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    """Return a file of four chunks."""
    path = tmp_path / "cube.fits"
    path.write_bytes(os.urandom(3 * SMALL + 100))
    return path


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return everything below a folder; None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }  # fmt: skip


def states(done: Any) -> list[str]:
    return sorted(one.state for one in done)


class Calls(Progress):
    """Calls a function when the first bytes have been transferred."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act, self._called = act, False

    def moved(self, size: int) -> None:
        if not self._called and size > 0:
            self._called = True
            self._act()


class Counted(Progress):
    """Keeps the number of bytes of each piece that has been transferred."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def moved(self, size: int) -> None:
        self.sizes.append(size)
