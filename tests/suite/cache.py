"""Cache, outside the checkout, of files that take long to make, from one test run to the next.

The name of each file states what the file was made from, and a seal contains the digest of its bytes. A file that a
full disk, a kill or a power failure has left half-written is therefore made again. ``python -m tests.suite.cache``
removes the files, but not those that Gozen itself keeps in the same place, such as results of QuickDB.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .clock import say

DAYS_TO_KEEP = 30
_whole: set[Path] = set()


def folder() -> Path:
    """Return where they are: ``tests`` in ``GOZEN_CACHE`` or in ``~/.cache/gozen``."""
    return Path(os.environ.get("GOZEN_CACHE") or Path.home() / ".cache" / "gozen") / "tests"


def kept(name: str, make: Callable[[Path], object]) -> Path:
    """Return a file; make it if it is missing or broken. Another process that asks for it waits.

    Parameters
    ----------
    name
        Relative to the folder; it must differ where what it is made of differs.
    make
        Writes it to the path that it is given.
    """
    path = folder() / name
    if not is_whole(name):
        with locked(name.replace("/", "-")):
            if not is_whole(name):
                path.parent.mkdir(parents=True, exist_ok=True)
                half = path.with_name(f"{path.name}.half")
                make(half)
                _seal(path).write_text(_digest(half))
                half.replace(path)
    return path


def is_whole(name: str) -> bool:
    """Tell whether a file is there with the bytes that it was made with."""
    path = folder() / name
    if path not in _whole and path.exists() and _seal(path).exists() and _seal(path).read_text() == _digest(path):
        _whole.add(path)
        _seal(path).touch()
    return path in _whole


@contextmanager
def locked(name: str, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold a lock of the cache; it goes with the process.

    Parameters
    ----------
    shared
        Together with others that share it.
    wait
        Where somebody else holds it; without waiting, False is given instead of the lock.
    """
    locks = folder() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / name).open("w") as handle:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def forget_unused(days: float = DAYS_TO_KEEP) -> None:
    """Remove the files that no run has used for so many days."""
    oldest = time.time() - days * 86400
    for seal in [*folder().glob("*.sha256"), *folder().glob("bin/*.sha256")]:
        if seal.stat().st_mtime < oldest:
            seal.with_suffix("").unlink(missing_ok=True)
            seal.unlink()


def _seal(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    if folder().exists():
        shutil.rmtree(folder())
    say(f"{folder()} is empty now")
