"""A store on a local directory: temporary file, ``fsync``, then rename or link."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from gozen.archive.stores.partial_files import LEFT_S, partial_name, sweep
from gozen.archive.stores.store import COPIES, Store, named_errors
from gozen.errors import BadRequest, StorageUnavailable

PARTIAL = ".partial"
_TICK_NS = 20_000_000
"""Nanoseconds; kernels date files by a tick of 4 or 10 ms, so that two writes within one bear the same time."""
_LOOKS = 20


class DirectoryStore(Store):
    """A store on a local directory: temporary file, ``fsync``, then rename or link."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.root = root

    def path(self, key: str) -> Path:
        """Return the object's local path; `BadRequest` for a key that would leave the root."""
        if key.startswith("/") or ".." in key.split("/") or "\0" in key:
            raise BadRequest(f"{key!r} is not a key of the archive {self.url}: it leaves the root")
        return self.root / key

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        with named_errors(self.url_of(key), "read"):
            return self.path(key).read_bytes()

    def read_into(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
        """Return an object's bytes in memory that the caller lends; `StorageUnavailable` when it changes meanwhile."""
        name = self.url_of(key)
        with (
            named_errors(name, "read"),
            self.path(key).open("rb", buffering=0) as stream,
            unchanged(stream.fileno(), name) as size,
        ):
            memory, filled = room(size)[:size], 0
            while filled < size and (count := stream.readinto(memory[filled:])):
                filled += count
            return memory[:filled]

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return bytes ``start`` to ``stop`` (exclusive) of an object."""
        with named_errors(self.url_of(key), "read"), self.path(key).open("rb") as stream:
            return os.pread(stream.fileno(), stop - start, start)

    def write(self, key: str, data: bytes) -> None:
        """Put an object in one atomic step."""
        with named_errors(self.url_of(key), "write"), self._partial(key, data) as partial:
            # A rename over the old object: a reader meets the one or the other, never a half-written file.
            partial.replace(self.path(key))
            sync_folder(self.path(key).parent)

    def create(self, key: str, data: bytes) -> bool:
        """Put an object only if the key is free."""
        with named_errors(self.url_of(key), "write"), self._partial(key, data) as partial:
            made = True
            try:
                # A link fails where the name is taken; a rename would replace the object of whoever was first.
                os.link(partial, self.path(key))
            except FileExistsError:
                made = False
            # Also where another process was first: it may have been killed before it came to this.
            sync_folder(self.path(key).parent)
        return made

    def take(self, key: str, path: Path) -> bool:
        """Make an object of a local file by a link, where both lie on one file system."""
        target = self.path(key)
        try:
            with named_errors(str(path), "read"), path.open("rb") as stream:
                # Whoever wrote this file may not have synced it: after a power cut the link would name an empty object.
                os.fsync(stream.fileno())
            _make_folder(target.parent)
            os.link(path, target)
        except OSError:
            # Another file system, one without links, or a key that is taken: what stands in the way is named there.
            if not (target.is_file() and target.samefile(path)):
                return super().take(key, path)
        with named_errors(self.url_of(key), "write"):
            sync_folder(target.parent)
        return True

    def stamp(self, key: str) -> tuple[int, ...] | None:
        """Return a file's number, length and time of change; None when it is gone."""
        with named_errors(self.url_of(key), "read"):
            try:
                found = self.path(key).stat()
            except FileNotFoundError:
                return None
        # The inode too: a file that was renamed over this one may have its length and its time.
        return found.st_ino, found.st_size, found.st_mtime_ns

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under this key."""
        with named_errors(self.url_of(key), "read"):
            return self.path(key).is_file()

    def size(self, key: str) -> int:
        """Return an object's length in bytes."""
        with named_errors(self.url_of(key), "read"):
            return self.path(key).stat().st_size

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below a prefix."""
        with named_errors(self.url_of(prefix), "list"):
            found = (p.relative_to(self.root).as_posix() for p in self.path(prefix).rglob("*") if p.is_file())
            # A half-written file is no object: whoever lists would read it before its writer is done.
            return sorted(key for key in found if not key.startswith(PARTIAL))

    def copy(self, key: str, to: str) -> None:
        """Make an object of another one's bytes by a link; one that is there already stays."""
        self._link(key, to)
        self.settle([to])

    def copy_all(self, pairs: Mapping[str, str]) -> None:
        """Link many files, and then make each folder outlive a power cut once."""
        with ThreadPoolExecutor(COPIES) as pool:
            list(pool.map(self._link, pairs.keys(), pairs.values()))
        self.settle(pairs.values())

    def settle(self, keys: Iterable[str]) -> None:
        """Write the folders of objects, and those above them in the archive, to the disk: each once."""
        # Those above too: the killed process may have made them, and not have come to write their parents.
        folders = {folder for key in keys for folder in self.path(key).parents if folder.is_relative_to(self.root)}
        for folder in sorted(folders, reverse=True):
            with named_errors(str(folder), "write"):
                sync_folder(folder)

    def delete(self, key: str) -> None:
        """Remove an object."""
        with named_errors(self.url_of(key), "delete"):
            self.path(key).unlink(missing_ok=True)

    def open(self, key: str) -> IO[bytes]:
        """Open an object for reading."""
        with named_errors(self.url_of(key), "read"):
            return self.path(key).open("rb")

    def sweep(self, left_s: float = LEFT_S) -> int:
        """Remove what killed writers left behind, as `partial_files.sweep`; return how many files were removed."""
        return sweep(self.root / PARTIAL, left_s)

    def _link(self, key: str, to: str) -> None:
        with named_errors(self.url_of(to), "write"), contextlib.suppress(FileExistsError):
            _make_folder(self.path(to).parent)
            os.link(self.path(key), self.path(to))

    @contextlib.contextmanager
    def _partial(self, key: str, data: bytes) -> Iterator[Path]:
        folder = self.root / PARTIAL
        _make_folder(folder)
        _make_folder(self.path(key).parent)
        partial = folder / partial_name()
        try:
            with partial.open("wb") as stream:
                stream.write(data)
                stream.flush()
                # Before the name: else a power cut may keep the name and lose the bytes.
                os.fsync(stream.fileno())
            yield partial
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def unchanged(descriptor: int, name: str) -> Iterator[int]:
    """Yield an open file's length; fail when it changes in the meantime, as a half of each would pass for a whole.

    Raises
    ------
    StorageUnavailable
        Somebody writes to the file.
    """
    before = os.fstat(descriptor)
    for _ in range(_LOOKS):
        # A time in the future is by another clock, as a file server's: taken for fresh, it would stay so for hours.
        if not 0 <= time.time_ns() - before.st_mtime_ns < _TICK_NS:
            break
        # A second write within a tick of the file system's clock would leave no trace.
        time.sleep(_TICK_NS / 1e9)
        before = os.fstat(descriptor)
    else:
        raise StorageUnavailable(
            f"cannot read {name}: somebody writes to it again and again; run again when it is whole"
        )
    yield before.st_size
    after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise StorageUnavailable(f"cannot read {name}: it changed while it was read; run again when it is whole")


def _make_folder(folder: Path) -> None:
    missing = list(itertools.takewhile(lambda parent: not parent.exists(), (folder, *folder.parents)))
    folder.mkdir(parents=True, exist_ok=True)
    # A power cut takes a folder whose parent was not written, with the synced object inside it.
    for made in missing:
        sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """Write a folder to the disk: a name outlives a power cut only when its folder has been written too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
