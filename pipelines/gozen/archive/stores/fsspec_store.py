"""A store under any fsspec URL, except S3, for which see `s3_store`."""

from __future__ import annotations

import contextlib
from typing import IO

import fsspec

from gozen.archive.stores.store import Store, named_errors


class ObjectStore(Store):
    """A store on an fsspec file system that writes objects atomically by itself."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        with named_errors(url, "open"):
            # A cached listing would hide objects that another process has written since.
            self._fs, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)

    def _full(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        with named_errors(self.url_of(key), "read"):
            return bytes(self._fs.cat_file(self._full(key)))

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return bytes ``start`` to ``stop`` (exclusive) of an object."""
        with named_errors(self.url_of(key), "read"):
            return bytes(self._fs.cat_file(self._full(key), start=start, end=stop))

    def write(self, key: str, data: bytes) -> None:
        """Write an object; replace an older one."""
        with named_errors(self.url_of(key), "write"):
            self._fs.pipe_file(self._full(key), data)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object only if the key is free; return False if it is not."""
        with named_errors(self.url_of(key), "write"):
            try:
                self._fs.pipe_file(self._full(key), data, mode="create")
            except FileExistsError:
                return False
        return True

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under this key."""
        with named_errors(self.url_of(key), "read"):
            return bool(self._fs.isfile(self._full(key)))

    def size(self, key: str) -> int:
        """Return an object's length in bytes."""
        with named_errors(self.url_of(key), "read"):
            return int(self._fs.size(self._full(key)))

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below a prefix."""
        with named_errors(self.url_of(prefix), "list"):
            root = self._full("")
            return sorted(name.removeprefix(root) for name in self._fs.find(self._full(prefix)))

    def delete(self, key: str) -> None:
        """Delete an object; a missing one is not an error."""
        with named_errors(self.url_of(key), "delete"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._full(key))

    def open(self, key: str) -> IO[bytes]:
        """Open an object for reading."""
        with named_errors(self.url_of(key), "read"):
            stream: IO[bytes] = self._fs.open(self._full(key), "rb")
            return stream
