"""A store in a local directory; it writes a temporary file, calls ``fsync``, then renames or links the file."""

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
"""Nanoseconds; kernels date files by a tick of 4 or 10 ms: two writes within one tick have the same time."""
_LOOKS = 20


class DirectoryStore(Store):
    """A store in a local directory; every write is atomic and survives a power failure."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.root = root

    def path(self, key: str) -> Path:
        """Return the object's local path; raise `BadRequest` if the key would point outside the root."""
        if key.startswith("/") or ".." in key.split("/") or "\0" in key:
            raise BadRequest(f"{key!r} is not a key of the archive {self.url}: it leads outside the archive's root")
        return self.root / key

    @property
    def is_absent(self) -> bool:
        """Whether the folder does not exist."""
        with named_errors(self.url, "open"):
            return not self.root.exists()

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        with named_errors(self.url_of(key), "read"):
            return self.path(key).read_bytes()

    def read_into(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
        """Read an object into memory of the caller; raise `StorageUnavailable` if the file changes meanwhile."""
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
        """Write an object atomically; replace an older one."""
        with named_errors(self.url_of(key), "write"), self._partial(key, data) as partial:
            # By a rename, so that a reader gets the old or the new object, never a half-written file.
            partial.replace(self.path(key))
            sync_folder(self.path(key).parent)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if the key is free; return False if it is not."""
        with named_errors(self.url_of(key), "write"), self._partial(key, data) as partial:
            made = True
            try:
                # A link fails if the name is taken; a rename would replace the object of a process that was faster.
                os.link(partial, self.path(key))
            except FileExistsError:
                made = False
            # Also if another process was first: it may have been killed before it synced the folder.
            sync_folder(self.path(key).parent)
        return made

    def take(self, key: str, path: Path) -> bool:
        """Add a local file as an object: by a link if file and store are on one file system, else by a copy."""
        target = self.path(key)
        try:
            with named_errors(str(path), "read"), path.open("rb") as stream:
                # The file may not be synced yet: after a power failure the object would be empty.
                os.fsync(stream.fileno())
            _make_folder(target.parent)
            os.link(path, target)
        except OSError:
            # Another file system, one without links, or a key that is taken: the copy works or reports the cause.
            if not (target.is_file() and target.samefile(path)):
                return super().take(key, path)
        with named_errors(self.url_of(key), "write"):
            sync_folder(target.parent)
        return True

    def stamp(self, key: str) -> tuple[int, ...] | None:
        """Return the inode, length and modification time (ns) of a file; None if it does not exist."""
        with named_errors(self.url_of(key), "read"):
            try:
                found = self.path(key).stat()
            except FileNotFoundError:
                return None
        # The inode too, because a file that was renamed over this one may have the same length and time.
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
        """Return the sorted keys below a prefix; raise `StorageUnavailable` if one of the folders cannot be read."""
        with named_errors(self.url_of(prefix), "list"):
            found = (p.relative_to(self.root).as_posix() for p in _paths_below(self.path(prefix)) if p.is_file())
            # Half-written files are left out: the caller would read them before they are complete.
            return sorted(key for key in found if not key.startswith(PARTIAL))

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the sorted names of the folders directly below a prefix."""
        with named_errors(self.url_of(prefix), "list"):
            try:
                with os.scandir(self.path(prefix)) as found:
                    return tuple(sorted(one.name for one in found if one.is_dir()))
            except (FileNotFoundError, NotADirectoryError):
                return ()

    def copy(self, key: str, to: str) -> None:
        """Copy an object by a link; an object that exists under the new key is not replaced."""
        self._link(key, to)
        self.settle([to])

    def copy_all(self, pairs: Mapping[str, str]) -> None:
        """Copy many objects by links, then sync each folder only once."""
        with ThreadPoolExecutor(COPIES) as pool:
            list(pool.map(self._link, pairs.keys(), pairs.values()))
        self.settle(pairs.values())

    def settle(self, keys: Iterable[str]) -> None:
        """Sync the folders of objects, and the folders above them in the archive, each once."""
        # Those above too: a killed process may have made them and not have synced their parents.
        folders = {folder for key in keys for folder in self.path(key).parents if folder.is_relative_to(self.root)}
        for folder in sorted(folders, reverse=True):
            with named_errors(str(folder), "write"):
                sync_folder(folder)

    def delete(self, key: str) -> None:
        """Delete an object; a missing one is not an error."""
        with named_errors(self.url_of(key), "delete"):
            self.path(key).unlink(missing_ok=True)

    def open(self, key: str) -> IO[bytes]:
        """Open an object for reading."""
        with named_errors(self.url_of(key), "read"):
            return self.path(key).open("rb")

    def sweep(self, left_s: float = LEFT_S) -> int:
        """Remove half-written files of killed writers, as `partial_files.sweep`; return their number."""
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
                # Before the rename or link: otherwise a power failure may keep the name and lose the bytes.
                os.fsync(stream.fileno())
            yield partial
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def unchanged(descriptor: int, name: str) -> Iterator[int]:
    """Yield the length of an open file; raise if the file changes before the context ends.

    Otherwise bytes from before and after the change would pass for one file.

    Raises
    ------
    StorageUnavailable
        The file is being written.
    """
    before = at_rest(descriptor, name)
    yield before.st_size
    after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise StorageUnavailable(
            f"cannot read {name}: it changed while it was read; run again when the file is complete"
        )


def at_rest(descriptor: int, name: str) -> os.stat_result:
    """Return size and times of an open file; wait until any later change of the file would also change its time.

    Raises
    ------
    StorageUnavailable
        The file is being written.
    """
    before = os.fstat(descriptor)
    for _ in range(_LOOKS):
        # A time in the future is from another clock, such as a file server's: to wait for it could take hours.
        if not 0 <= time.time_ns() - before.st_mtime_ns < _TICK_NS:
            return before
        # A second write within the same tick would not change the time of the file, so it would go unnoticed.
        time.sleep(_TICK_NS / 1e9)
        before = os.fstat(descriptor)
    raise StorageUnavailable(
        f"cannot read {name}: another process keeps writing to it; run again when the file is complete"
    )


def _paths_below(folder: Path) -> Iterator[Path]:
    """Yield the paths of the files below a folder; files that are deleted meanwhile may be missing."""

    # By default `os.walk`, as `Path.rglob`, passes over a folder that it may not read: its objects would not exist.
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise error

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(parent, name) for name in names)


def _make_folder(folder: Path) -> None:
    missing = list(itertools.takewhile(lambda parent: not parent.exists(), (folder, *folder.parents)))
    folder.mkdir(parents=True, exist_ok=True)
    # After a power failure a folder whose parent was not synced is lost, with the synced object in it.
    for made in missing:
        sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """Sync a folder to the disk: without this a new name in it may be lost in a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
