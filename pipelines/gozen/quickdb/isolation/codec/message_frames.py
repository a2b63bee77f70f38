"""The header of a message between worker and child: kind, place and length of its bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from gozen.quickdb.isolation.codec.form import Malformed

HEAD = struct.Struct("<c3xIQ")
VECTORS = 512
"""Maximum number of pieces of memory in one system call."""


class MessageKind(Enum):
    """Kind of a message; down is from the worker to the child, up is from the child to the worker."""

    PROGRAM = b"P"  # down: the user's pickled program
    NAME = b"N"  # down: the attribute of the program that the next calls use
    CALL = b"C"  # down: the argument of a call
    ANSWER = b"V"  # down: the answer to a request
    REFUSAL = b"E"  # down: (name, message) of the error with which a request is refused
    FORGET = b"D"  # down: the shared memory of this number is deleted
    READY = b"R"  # up: the child has dropped its rights
    UNAVAILABLE = b"U"  # up: why it could not drop them
    FREE = b"F"  # up: numbers of shared memory that can be reused
    REQUEST = b"Q"  # up: a request of the function
    RESULT = b"O"  # up: its return value
    FAILURE = b"X"  # up: the function's error: (type, message, traceback, is out of memory, is a refusal)
    TOO_LARGE = b"L"  # up: size of a result that is not sent


_KINDS = {kind.value: kind for kind in MessageKind}


@dataclass(frozen=True)
class Head:
    """Head of a message: kind, number of its shared memory (0: the bytes follow the head), length in bytes."""

    kind: MessageKind
    shared: int
    length: int

    def packed(self) -> bytes:
        """Return the head as bytes."""
        return HEAD.pack(self.kind.value, self.shared, self.length)


def read_head(data: bytes) -> Head:
    """Return a head from its bytes.

    Raises
    ------
    Malformed
        If its kind is unknown.
    """
    tag, shared, length = HEAD.unpack(data)
    kind = _KINDS.get(tag)
    if kind is None:
        raise Malformed("the kind of a message is unknown")
    return Head(kind, shared, length)


def rest(parts: Sequence[memoryview], sent: int) -> list[memoryview]:
    """Return the pieces of memory that remain to be sent after `sent` bytes."""
    left = []
    for part in parts:
        if sent >= len(part):
            sent -= len(part)
        else:
            left.append(part[sent:])
            sent = 0
    return left
