"""Shared memory for columns: the worker writes, the child only reads.

A piece is used again when the child says that nothing refers to it any more, so that its pages are made once.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LEAST = 1 << 20
_PIECES = 128
"""Each takes one of the descriptors that the whole worker has, of which there may be 1024."""
_FUTURE_WRITE = 0x10
_SEALS = _FUTURE_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
"""Whoever gets the descriptor cannot write, map for writing, change the size or unseal (memfd_create(2))."""


@dataclass
class _Piece:
    descriptor: int | None
    memory: mmap.mmap
    free: bool = True


class SharedMemory:
    """The pieces of one child.

    Parameters
    ----------
    most
        Bytes of all pieces together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: dict[int, _Piece] = {}
        self._last = 0

    def fill(self, parts: Sequence[memoryview], length: int) -> tuple[int, int | None]:
        """Copy bytes into a piece.

        Returns
        -------
        Its number, and its descriptor where the child does not have it yet.

        Raises
        ------
        MemoryError
            When the child keeps so much that there is no more room.
        """
        number = self._number(length)
        piece = self._pieces[number]
        place = 0
        view = memoryview(piece.memory)
        for part in parts:
            view[place : place + len(part)] = part
            place += len(part)
        piece.free = False
        return number, piece.descriptor

    def sent(self, number: int) -> None:
        """Close the descriptor of a piece, which the child has now."""
        piece = self._pieces[number]
        if piece.descriptor is not None:
            os.close(piece.descriptor)
            piece.descriptor = None

    def released(self, numbers: Iterable[int]) -> None:
        """Take note of pieces that the child no longer reads; what it says wrongly harms only itself."""
        for number in numbers:
            if number in self._pieces:
                self._pieces[number].free = True

    def unused(self) -> list[int]:
        """Return the numbers of the pieces that are free, and give their memory back."""
        numbers = [number for number, piece in self._pieces.items() if piece.free]
        for number in numbers:
            self._drop(self._pieces.pop(number))
        return numbers

    def room_for(self, length: int) -> bool:
        """Tell whether a piece for so many bytes is free, or can be made."""
        return self._fits(length) or (not self.has_all and self._held() + _size(length) <= self._most)

    def takes(self, length: int) -> bool:
        """Tell whether so many bytes go into a piece, where there is memory for it; not when there are too many."""
        return self._fits(length) or not self.has_all

    @property
    def has_all(self) -> bool:
        """Whether there are as many pieces as there may be."""
        return len(self._pieces) >= _PIECES

    def _fits(self, length: int) -> bool:
        return any(piece.free and len(piece.memory) >= length for piece in self._pieces.values())

    def close(self) -> None:
        """Give all memory back."""
        while self._pieces:
            self._drop(self._pieces.popitem()[1])

    def _number(self, length: int) -> int:
        fitting = [number for number, piece in self._pieces.items() if piece.free and len(piece.memory) >= length]
        if fitting:
            return min(fitting, key=lambda number: len(self._pieces[number].memory))
        if not self.room_for(length):
            raise MemoryError
        self._last += 1
        self._pieces[self._last] = _new_piece(_size(length))
        return self._last

    def _held(self) -> int:
        return sum(len(piece.memory) for piece in self._pieces.values())

    @staticmethod
    def _drop(piece: _Piece) -> None:
        piece.memory.close()
        if piece.descriptor is not None:
            os.close(piece.descriptor)


def _size(length: int) -> int:
    return max(_LEAST, 1 << (length - 1).bit_length())


def _new_piece(size: int) -> _Piece:
    descriptor = os.memfd_create("gozen-columns", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    memory = mmap.mmap(descriptor, size)
    # After the worker's own mapping: the seal spares what is mapped already, and refuses all later writers.
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return _Piece(descriptor, memory)
