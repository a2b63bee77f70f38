"""Decode values from bytes that may be hostile: every length is checked before it is used."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gozen.quickdb.isolation.codec import arrays, dtypes
from gozen.quickdb.isolation.codec.form import ALIGNMENT, DEPTH, HEAD, MAGIC, VALUES, Malformed, is_key

_LOOK_EVERY = 64
"""Values that are read between two checks of the processor time."""


class Reader:
    """Decoder of bytes; the arrays of its value are views of them.

    Parameters
    ----------
    data
        The bytes.
    plain
        Whether NumPy and Arrow data are refused.
    shown
        Whether text arrays with invalid characters are refused, because they cannot be printed.
    seconds
        Maximum processor time for decoding.

    Raises
    ------
    ValueError, struct.error, TypeError, KeyError, IndexError, OverflowError, RecursionError, pyarrow.ArrowException
        Every method may raise these errors, if the bytes are not a valid value.
    """

    def __init__(self, data: memoryview, plain: bool = False, shown: bool = False, seconds: float = math.inf) -> None:
        self.data = data
        self._known = _PLAIN if plain else _READERS
        self._shown = shown
        self._ends = time.thread_time() + seconds
        magic, length = HEAD.unpack_from(data)
        if magic != MAGIC or length > len(data) - HEAD.size:
            raise Malformed("the first bytes are not those of an encoded value")
        self.at = HEAD.size
        self.tree = data[: self.at + length]
        self.memory = self.at + length
        self.left = VALUES
        self.depth = -1

    def whole(self) -> Any:
        """Return the value that all the bytes encode; nothing may follow it."""
        value = self.read()
        if self.at != len(self.tree) or self.memory != len(self.data):
            raise Malformed("there are bytes after the end of the value")
        return value

    def read(self) -> Any:
        """Return the next value of the tree."""
        self.left -= 1
        self.depth += 1
        if self.depth > DEPTH or self.left < 0:
            raise Malformed("it is nested too deep, or has too many parts")
        if self.left % _LOOK_EVERY == 0 and time.thread_time() > self._ends:
            raise Malformed("it takes too long to read")
        tag = self._take(1)
        reader = self._known.get(bytes(tag))
        if reader is None:
            raise Malformed(f"{tag[0]} is not the tag of a value")
        value = reader(self)
        self.depth -= 1
        return value

    def _take(self, count: int) -> memoryview:
        end = self.at + count
        if end > len(self.tree):
            raise Malformed("the bytes end before the value")
        taken = self.tree[self.at : end]
        self.at = end
        return taken

    def _numbers(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(form, self._take(struct.calcsize(form)))

    def _counted(self) -> bytes:
        return bytes(self._take(self._count()))

    def _text(self) -> str:
        return str(self._take(self._count()), "utf-8", "surrogatepass")

    def _count(self) -> int:
        return int(self._numbers("<Q")[0])

    def _list(self) -> list[Any]:
        return [self.read() for _ in range(self._count())]

    def _mapping(self) -> dict[Any, Any]:
        found = {}
        for _ in range(self._count()):
            key = self.read()
            if not is_key(key):
                raise Malformed(f"a dict has a key of type {type(key).__name__}")
            found[key] = self.read()
        return found

    def _dtype(self) -> np.dtype[Any]:
        if bytes(self._take(1)) != b"d":
            raise Malformed("a dtype is missing")
        return dtypes.read_dtype(self._counted())

    def _array(self, order: str) -> np.ndarray[Any, Any]:
        dimensions = self._count()
        shape = self._numbers(f"<{dimensions}Q")
        start = self.memory + -self.memory % ALIGNMENT
        array, self.memory = arrays.from_bytes(self.data, start, self._dtype(), shape, order)
        if self._shown:
            arrays.check_text(array)
        return array

    def _scalar(self) -> Any:
        dtype = self._dtype()
        one = np.frombuffer(bytes(self._take(dtype.itemsize)), dtype, 1)
        if self._shown:
            arrays.check_text(one)
        return one[0]

    def _arrow(self) -> Any:
        from gozen.quickdb.isolation.codec import arrow

        return arrow.read(self.read(), self._charge)

    def _charge(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Malformed("it has too many parts")


_PLAIN: dict[bytes, Callable[[Reader], Any]] = {
    b"N": lambda _: None,
    b"T": lambda _: True,
    b"F": lambda _: False,
    b"i": lambda reader: reader._numbers("<q")[0],
    b"I": lambda reader: int.from_bytes(reader._counted(), "little", signed=True),
    b"f": lambda reader: reader._numbers("<d")[0],
    b"c": lambda reader: complex(*reader._numbers("<dd")),
    b"s": lambda reader: reader._text(),
    b"b": lambda reader: reader._counted(),
    b"[": Reader._list,
    b"(": lambda reader: tuple(reader._list()),
    b"{": Reader._mapping,
}
_READERS = {
    **_PLAIN,
    b"z": lambda reader: np.str_(reader._text()),
    b"y": lambda reader: np.bytes_(reader._counted()),
    b"n": lambda reader: reader._scalar(),
    b"C": lambda reader: reader._array("C"),
    b"R": lambda reader: reader._array("F"),
    b"A": lambda reader: reader._arrow(),
}
