"""Read an object piece by piece, by byte ranges, through the interface of a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

Piece = Callable[[int, int], bytes | memoryview]
"""Returns bytes ``start`` to ``stop``."""


class RangedFile(io.RawIOBase):
    """A file of which only that is fetched which is read.

    Parameters
    ----------
    size
        Of the whole, bytes.
    piece
        Fetches a range, in one request where that is one.
    name
        What messages call it.
    """

    def __init__(self, size: int, piece: Piece, name: str = "") -> None:
        super().__init__()
        self.name = name
        self._size, self._piece, self._at = size, piece, 0

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
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return so many bytes from the position on, or all, fetched at once."""
        return bytes(self._next(self._size if size is None or size < 0 else size))

    def readall(self) -> bytes:
        """Return all bytes from the position on, fetched at once."""
        return self.read()

    def read_buffer(self, size: int) -> memoryview:
        """Return so many bytes from the position on as they were fetched; PyArrow reads so, without a copy."""
        return memoryview(self._next(size))

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; return how many bytes there were."""
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self, size: int) -> bytes | memoryview:
        stop = min(self._at + size, self._size)
        data = self._piece(self._at, stop) if stop > self._at else b""
        self._at += len(data)
        return data
