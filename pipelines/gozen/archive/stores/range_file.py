"""Read byte ranges of an object through the interface of a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

Piece = Callable[[int, int], bytes | memoryview]
"""A function of ``start`` and ``stop`` that returns these bytes; ``stop`` is exclusive."""


class RangedFile(io.RawIOBase):
    """A file that fetches only the bytes that are read.

    Parameters
    ----------
    size
        Size of the file, bytes.
    piece
        Fetches a range of bytes.
    name
        Name of the file in messages.
    """

    def __init__(self, size: int, piece: Piece, name: str = "") -> None:
        super().__init__()
        self.name = name
        self._size, self._piece, self._at = size, piece, 0

    def readable(self) -> bool:
        """Return True: the file can be read."""
        return True

    def seekable(self) -> bool:
        """Return True: the position can be set."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, and return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes from the position on, or all the rest, by one request."""
        return bytes(self._next(self._size if size is None or size < 0 else size))

    def readall(self) -> bytes:
        """Return all bytes from the position on, by one request."""
        return self.read()

    def read_buffer(self, size: int) -> memoryview:
        """Return up to ``size`` bytes from the position on without a copy; PyArrow calls this."""
        return memoryview(self._next(size))

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return the number of bytes read."""
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self, size: int) -> bytes | memoryview:
        stop = min(self._at + size, self._size)
        data = self._piece(self._at, stop) if stop > self._at else b""
        self._at += len(data)
        return data
