"""The interface of a store: objects under keys, and the errors that it raises."""

from __future__ import annotations

import contextlib
import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from gozen.errors import BadRequest, GozenError, MissingObject, StorageUnavailable, reason_of

_HINTS = {
    errno.ENOSPC: "the disk is full: free some space and run again, nothing committed is lost",
    errno.EDQUOT: "the disk quota is used up: free some space and run again, nothing committed is lost",
    errno.EROFS: "the file system is mounted read-only: mount it writable, or give another archive",
    errno.EACCES: "this user does not have the permission: check the owner and the mode of the file",
    errno.EPERM: "this user does not have the permission: check the owner and the mode of the file",
    errno.EFBIG: "the object is larger than this file system or the process's limit (`ulimit -f`) allows",
    errno.ENOTDIR: "a file has the name of a folder: move it away or give another archive",
    errno.EEXIST: "a file has the name of a folder: move it away or give another archive",
    errno.EXDEV: "the folders of the archive are on several file systems: move them to one",
    errno.EISDIR: "a folder has the name of an object: move it away",
}


COPIES = 8
"""Objects that are copied at the same time: on an object store each copy waits for an answer."""


class Store(ABC):
    """Objects under slash-separated keys below one root.

    Parameters
    ----------
    url
        URL or path of the root, as shown in messages.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def identity(self) -> str:
        """A text that is the same for two stores that reach the same objects with the same settings."""
        return self.url

    def url_of(self, key: str) -> str:
        """Return the URL or path of an object."""
        return f"{self.url}/{key}"

    @property
    def is_absent(self) -> bool:
        """Whether the root does not exist yet; always False for stores in which any root exists, such as S3."""
        return False

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Return an object's bytes; raise `MissingObject` if there is none."""

    def read_into(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
        """Read an object into memory of the caller if the store can do this, else into new memory; return its bytes.

        Parameters
        ----------
        room
            Returns writable memory of at least the given number of bytes.
        """
        return memoryview(self.read(key))

    @abstractmethod
    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return bytes ``start`` to ``stop`` (exclusive) of an object."""

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Return bytes [start, stop) of an object for each range; some stores send the requests in parallel."""
        return [memoryview(self.read_range(key, *one)) for one in ranges]

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Write an object atomically; replace an older one."""

    @abstractmethod
    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if the key is free; return False if it is not."""

    def take(self, key: str, path: Path) -> bool:
        """Add a complete local file as an object; return False if the key has other bytes.

        A directory store on the same file system links the file; other stores copy it.
        """
        with named_errors(str(path), "read"):
            data = path.read_bytes()
        return self.create(key, data) or self.read(key) == data

    def stamp(self, key: str) -> tuple[int, ...] | None:
        """Return a value that changes with the object; None if it is missing, or if writes replace whole objects."""
        return None

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Tell whether there is an object under this key."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Return an object's length in bytes; raise `MissingObject` if there is none."""

    @abstractmethod
    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below a prefix (a folder, without the final slash); empty if there are none."""

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the sorted names of the folders directly below a prefix; raises the errors of `list`."""
        folder = f"{prefix}/" if prefix else ""
        inside = (key.removeprefix(folder) for key in self.list(prefix) if key.startswith(folder))
        return tuple(sorted({name.split("/")[0] for name in inside if "/" in name}))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the length in bytes of each object below a prefix, by sorted keys; raises the errors of `list`."""
        return {key: self.size(key) for key in self.list(prefix)}

    def copy(self, key: str, to: str) -> None:
        """Copy an object to another key; a directory store links the file.

        Raises
        ------
        MissingObject
            There is no object to copy.
        """
        self.write(to, self.read(key))

    def copy_all(self, pairs: Mapping[str, str]) -> None:
        """Copy many objects: each key of the mapping to its value; raises the errors of `copy`."""
        with ThreadPoolExecutor(COPIES) as pool:
            list(pool.map(self.copy, pairs.keys(), pairs.values()))

    def settle(self, keys: Iterable[str]) -> None:  # noqa: B027 - nothing to do for stores with atomic writes
        """Make sure that existing objects survive a power failure, before another object refers to them.

        Objects that this process wrote are safe already. Other objects may be from a process that was killed before
        it called ``fsync``.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete an object; a missing one is not an error."""

    @abstractmethod
    def open(self, key: str) -> IO[bytes]:
        """Open an object for reading, seekable."""

    @property
    def has_tags(self) -> bool:
        """Whether objects can have tags, by which the life cycle of a bucket selects objects."""
        return False

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Replace the tags of an object.

        Raises
        ------
        BadRequest
            The store does not support tags.
        MissingObject
            There is no such object.
        """
        raise BadRequest(f"the archive {self.url} cannot tag objects; only an archive on S3 can")

    def path(self, key: str) -> Path | None:
        """Return the object's local path, or None if the store has no local files."""
        return None


def check_unchanged(store: Store, stamps: Mapping[str, tuple[int, ...] | None]) -> None:
    """Check that objects did not change while they were read; a deleted object passes, because it was read whole.

    Parameters
    ----------
    stamps
        For each key the `Store.stamp` from before the object was read.

    Raises
    ------
    StorageUnavailable
        An object has changed.
    """
    for key, before in stamps.items():
        if before is not None and store.stamp(key) not in (None, before):
            raise StorageUnavailable(
                f"{store.url_of(key)} changed while it was reduced, so nothing is committed; "
                "run again when the file is complete"
            )


@contextlib.contextmanager
def named_errors(name: str, verb: str) -> Iterator[None]:
    """Turn an ``OSError`` about an object into Gozen's error, which names the object and gives advice."""
    try:
        yield
    except GozenError:
        raise
    except OSError as error:
        if verb != "write" and isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            raise MissingObject(f"cannot {verb} {name}: {reason_of(error)}") from error
        hint = _HINTS.get(error.errno or 0, "try again when the storage answers")
        raise StorageUnavailable(f"cannot {verb} {name}: {error.strerror or error}; {hint}") from error
