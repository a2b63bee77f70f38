"""The interface of a store: objects under keys, and the errors that it raises."""

from __future__ import annotations

import contextlib
import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from gozen.errors import BadRequest, GozenError, MissingObject, StorageUnavailable

_HINTS = {
    errno.ENOSPC: "the disk is full: free some space and run again, nothing committed is lost",
    errno.EDQUOT: "the disk quota is used up: free some space and run again, nothing committed is lost",
    errno.EROFS: "the file system is mounted read-only",
    errno.EACCES: "this user may not do that: check the owner and the mode",
    errno.EPERM: "this user may not do that: check the owner and the mode",
    errno.EFBIG: "the object is larger than this file system or the process's limit (`ulimit -f`) allows",
    errno.ENOTDIR: "a file stands where a folder is needed: move it away or give another archive",
    errno.EEXIST: "a file stands where a folder is needed: move it away or give another archive",
    errno.EXDEV: "all folders of an archive have to lie on one file system",
    errno.EISDIR: "a folder stands where an object is to be written: move it away",
}


COPIES = 8
"""Objects that are copied together: on an object store each waits for its answer."""


class Store(ABC):
    """Objects under slash-separated keys below one root.

    Parameters
    ----------
    url
        The root, as it is shown to people.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def identity(self) -> str:
        """What is the same for two stores that reach the same objects on the same way."""
        return self.url

    def url_of(self, key: str) -> str:
        """Return the full address of an object."""
        return f"{self.url}/{key}"

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Return an object's bytes; `MissingObject` when there is none."""

    def read_into(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
        """Return an object's bytes, where the store can, in memory that the caller lends; else in new memory.

        Parameters
        ----------
        room
            Gives at least so many bytes of writable memory.
        """
        return memoryview(self.read(key))

    @abstractmethod
    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return bytes ``start`` to ``stop`` (exclusive) of an object."""

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Return bytes [start, stop) of an object for each range, where the store can by requests made together."""
        return [memoryview(self.read_range(key, *one)) for one in ranges]

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Put an object in one atomic step, over an older one if there is one."""

    @abstractmethod
    def create(self, key: str, data: bytes) -> bool:
        """Put an object only if the key is free; False when somebody else was first."""

    def take(self, key: str, path: Path) -> bool:
        """Make an object of a local file that nobody writes to any more; False when the key holds other bytes.

        A directory on the same file system gets a link of the file, anything else a copy.
        """
        with named_errors(str(path), "read"):
            data = path.read_bytes()
        return self.create(key, data) or self.read(key) == data

    def stamp(self, key: str) -> tuple[int, ...] | None:
        """Return what differs once an object has changed; None when it is gone, or is only ever changed whole."""
        return None

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Tell whether there is an object under this key."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Return an object's length in bytes; `MissingObject` when there is none."""

    @abstractmethod
    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below a prefix (a folder, without the final slash); empty when there are none."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the lengths in bytes of the objects below a prefix by their sorted keys; raises as `list`."""
        return {key: self.size(key) for key in self.list(prefix)}

    def copy(self, key: str, to: str) -> None:
        """Make an object of another one's bytes; a directory links the file.

        Raises
        ------
        MissingObject
            There is no object to copy.
        """
        self.write(to, self.read(key))

    def copy_all(self, pairs: Mapping[str, str]) -> None:
        """Copy many objects, each key to the one that it is mapped to; raises as `copy`."""
        with ThreadPoolExecutor(COPIES) as pool:
            list(pool.map(self.copy, pairs.keys(), pairs.values()))

    def settle(self, keys: Iterable[str]) -> None:  # noqa: B027 - where a put is one step, there is nothing to do
        """Make sure that objects which were found outlive a power cut, before another object names them.

        What this process has put does so already; what it found may be of a process that was killed before `fsync`.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; an absent one is no error."""

    @abstractmethod
    def open(self, key: str) -> IO[bytes]:
        """Open an object for reading, seekable."""

    @property
    def has_tags(self) -> bool:
        """Whether objects can bear tags, by which a bucket's life cycle knows them."""
        return False

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Give an object these tags in place of those that it has.

        Raises
        ------
        BadRequest
            The store has no tags.
        MissingObject
            There is no such object.
        """
        raise BadRequest(f"{self.url} has no tags; they are for an archive on S3")

    def path(self, key: str) -> Path | None:
        """Return the object's local path, or None when it has none (an object store)."""
        return None


def check_unchanged(store: Store, stamps: Mapping[str, tuple[int, ...] | None]) -> None:
    """Check that what was read is still what lies there; one that is gone cannot have been half old and half new.

    Parameters
    ----------
    stamps
        Of each object, from before it was read.

    Raises
    ------
    StorageUnavailable
        Somebody writes to an object.
    """
    for key, before in stamps.items():
        if before is not None and store.stamp(key) not in (None, before):
            raise StorageUnavailable(
                f"{store.url_of(key)} changed while it was reduced, nothing is committed; run again when it is whole"
            )


@contextlib.contextmanager
def named_errors(name: str, verb: str) -> Iterator[None]:
    """Turn an ``OSError`` about an object into the project's own error, naming the object and what to do."""
    try:
        yield
    except GozenError:
        raise
    except OSError as error:
        if verb != "write" and isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            raise MissingObject(f"cannot {verb} {name}: there is no such object") from error
        hint = _HINTS.get(error.errno or 0, "try again when the storage answers")
        raise StorageUnavailable(f"cannot {verb} {name}: {error.strerror or error}; {hint}") from error
