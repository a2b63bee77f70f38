"""Shared memory for columns: the worker writes it, and it is read-only in the child.

A piece is reused when the child reports that nothing refers to it any more, so that its pages are allocated only once.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LEAST = 1 << 20
_PIECES = 128
"""Maximum number of pieces: each needs one descriptor, and the worker may be limited to 1024 descriptors."""
_FUTURE_WRITE = 0x10
_SEALS = _FUTURE_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
"""With these seals a process that receives the descriptor can neither write nor resize nor unseal (memfd_create(2))."""


@dataclass
class _Piece:
    descriptor: int | None
    memory: mmap.mmap
    free: bool = True


class SharedMemory:
    """The pieces of shared memory of one child.

    Parameters
    ----------
    most
        Maximum number of bytes of all pieces together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: dict[int, _Piece] = {}
        self._last = 0

    def fill(self, parts: Sequence[memoryview], length: int) -> tuple[int, int | None]:
        """Copy bytes into a piece.

        Returns
        -------
        The piece's number, and its file descriptor; None instead of the descriptor if the child has it already.

        Raises
        ------
        MemoryError
            If no space is left, because the child still refers to other pieces.
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
        """Close the descriptor of a piece after it was sent to the child."""
        piece = self._pieces[number]
        if piece.descriptor is not None:
            os.close(piece.descriptor)
            piece.descriptor = None

    def released(self, numbers: Iterable[int]) -> None:
        """Mark pieces as free that the child no longer reads; a wrong report harms only the child."""
        for number in numbers:
            if number in self._pieces:
                self._pieces[number].free = True

    def unused(self) -> list[int]:
        """Remove the free pieces, release their memory, and return their numbers."""
        numbers = [number for number, piece in self._pieces.items() if piece.free]
        for number in numbers:
            self._drop(self._pieces.pop(number))
        return numbers

    def room_for(self, length: int) -> bool:
        """Return whether a shared-memory segment of `length` bytes is free or can be created."""
        return self._fits(length) or (not self.has_all and self._held() + _size(length) <= self._most)

    def takes(self, length: int) -> bool:
        """Return whether a segment of `length` bytes is free, or one more is allowed; memory is not checked."""
        return self._fits(length) or not self.has_all

    @property
    def has_all(self) -> bool:
        """Whether the child has as many pieces of shared memory as it may have."""
        return len(self._pieces) >= _PIECES

    def _fits(self, length: int) -> bool:
        return any(piece.free and len(piece.memory) >= length for piece in self._pieces.values())

    def close(self) -> None:
        """Release all memory."""
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
    # After the worker has mapped it: the seal leaves existing mappings writable and refuses later ones.
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return _Piece(descriptor, memory)
