"""The header of a message between worker and child: kind, place and length of its bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gozen.quickdb.isolation.codec.form import Malformed

HEAD = struct.Struct("<c3xIQ")
VECTORS = 512
"""Pieces of memory that go into one system call."""


class MessageKind(Enum):
    """What a message is."""

    PROGRAM = b"P"  # down: the user's pickled program
    NAME = b"N"  # down: which attribute of the program is called from now on
    CALL = b"C"  # down: its argument
    ANSWER = b"V"  # down: what was asked for
    REFUSAL = b"E"  # down: (error's name, message)
    FORGET = b"D"  # down: shared memory of this number is no more
    READY = b"R"  # up: locked
    UNAVAILABLE = b"U"  # up: why it could not be locked
    FREE = b"F"  # up: numbers of shared memory that is free again
    REQUEST = b"Q"  # up: what the function asks for
    RESULT = b"O"  # up: what it gave
    FAILURE = b"X"  # up: (type, message, traceback, out of memory, refused)
    TOO_LARGE = b"L"  # up: size of the result


_KINDS = {kind.value: kind for kind in MessageKind}


@dataclass(frozen=True)
class Head:
    """The head of a message: kind, number of the shared memory (0: the bytes follow here), number of bytes."""

    kind: MessageKind
    shared: int
    length: int

    def packed(self) -> bytes:
        """Return its bytes."""
        return HEAD.pack(self.kind.value, self.shared, self.length)


def read_head(data: bytes) -> Head:
    """Return a head from its bytes.

    Raises
    ------
    Malformed
        When there is no such kind.
    """
    tag, shared, length = HEAD.unpack(data)
    kind = _KINDS.get(tag)
    if kind is None:
        raise Malformed("a message of no kind")
    return Head(kind, shared, length)


def rest(parts: Sequence[memoryview], sent: int) -> list[memoryview]:
    """Return what of some pieces of memory is still to be sent after so many bytes."""
    left = []
    for part in parts:
        if sent >= len(part):
            sent -= len(part)
        else:
            left.append(part[sent:])
            sent = 0
    return left
