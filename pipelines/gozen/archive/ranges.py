"""An object of a store as a file that can be read anywhere: each piece that is read is fetched by its range."""

from __future__ import annotations

import io
from typing import Any

from gozen.archive.interface import Store


class ObjectFile(io.RawIOBase):
    """An object of a store, opened for reading.

    Parameters
    ----------
    store
        Whose `Store.read_range` is a request.
    key
        Of the object; `MissingObject` where there is none.
    """

    def __init__(self, store: Store, key: str) -> None:
        super().__init__()
        self._store, self._key = store, key
        self._size, self._at = store.size(key), 0
        self.name = key.rsplit("/", 1)[-1]

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read anywhere."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readall(self) -> bytes:
        """Return all bytes from the position on."""
        data = self._store.read_range(self._key, self._at, self._size)
        self._at += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; return how many bytes there were."""
        data = self._store.read_range(self._key, self._at, min(self._at + len(buffer), self._size))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
