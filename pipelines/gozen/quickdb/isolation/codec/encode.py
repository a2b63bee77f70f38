"""Encode plain data; errors name the place of a value that is not plain."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from gozen.errors import FunctionFailed
from gozen.quickdb.isolation.codec import arrays, dtypes
from gozen.quickdb.isolation.codec.form import ARROW_KINDS, DEPTH, LEAST, MOST, ORDERS, VALUES, Buffer, is_key

_INSTEAD = {
    "function": "return what it computes",
    "DataFrame": "return pyarrow.Table.from_pandas(it)",
    "Series": "return it.to_numpy()",
    "MaskedArray": "return (it.data, it.mask)",
    "Quantity": "return it.value, in a unit that you know",
    "generator": "return a list",
    "set": "return a list",
    "frozenset": "return a list",
    "bytearray": "return bytes(it)",
    "recarray": "return numpy.array(it, subok=False)",
    "matrix": "return numpy.array(it, subok=False)",
    "object": "return numbers, text, arrays or Arrow data",
}

_NUMBERS = "biufcmM"
"""Kinds of dtypes whose elements are not text."""


class NotEncodable(FunctionFailed):
    """A value contains something that is not plain data; the message names it, its place and an alternative."""


class Writer:
    """Encoder of one value: its tree, views of the memory of its arrays, and the parts that may contain text."""

    def __init__(self) -> None:
        self.tree = bytearray()
        self.memory: list[Buffer] = []
        self.texts: list[Buffer] = [self.tree]
        self.values = 0

    def write(self, value: Any, path: tuple[object, ...] = ()) -> None:
        """Add a value.

        Raises
        ------
        NotEncodable
            If the value contains something that is not plain data; `path` is the place of the value.
        """
        self.values += 1
        if self.values > VALUES:
            raise NotEncodable(f"more than {VALUES} values in lists, tuples and dicts: return NumPy arrays instead")
        if len(path) > DEPTH:
            raise NotEncodable(
                f"nested deeper than {DEPTH} levels (at {_place(path[:3])}...): return a flatter structure"
            )
        put = _WRITERS.get(type(value))
        if put is not None:
            put(self, value, path)
        elif isinstance(value, np.generic):
            self._scalar(value, path)
        elif not self._arrow(value, path):
            raise _not_encodable(value, path)

    def _head(self, tag: bytes, count: int) -> None:
        self.tree += tag + struct.pack("<Q", count)

    def _constant(self, value: bool | None, path: tuple[object, ...]) -> None:
        self.tree += b"N" if value is None else b"T" if value else b"F"

    def _integer(self, value: int, path: tuple[object, ...]) -> None:
        if LEAST <= value <= MOST:
            self.tree += struct.pack("<cq", b"i", value)
        else:
            self._text(b"I", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))

    def _real(self, value: float, path: tuple[object, ...]) -> None:
        self.tree += struct.pack("<cd", b"f", value)

    def _complex(self, value: complex, path: tuple[object, ...]) -> None:
        self.tree += struct.pack("<cdd", b"c", value.real, value.imag)

    def _text(self, tag: bytes, value: bytes) -> None:
        self._head(tag, len(value))
        self.tree += value

    def _sequence(self, value: list[Any] | tuple[Any, ...], path: tuple[object, ...]) -> None:
        self._head(b"(" if type(value) is tuple else b"[", len(value))
        for place, one in enumerate(value):
            self.write(one, (*path, place))

    def _mapping(self, value: dict[Any, Any], path: tuple[object, ...]) -> None:
        self._head(b"{", len(value))
        for key, one in value.items():
            if not is_key(key):
                raise NotEncodable(f"a key of type {type(key).__name__}{_at(path)}: keys are text or 64-bit integers")
            self.write(key, path)
            self.write(one, (*path, key))

    def _array(self, value: np.ndarray[Any, Any], path: tuple[object, ...]) -> None:
        described = _described(value.dtype, path)
        if arrays.has_many_empty_parts(value.shape):
            raise NotEncodable(
                f"an empty array of shape {value.shape}{_at(path)}: return an empty array of shape (0,) instead"
            )
        order, memory = arrays.to_bytes(value)
        self._head(ORDERS[order], value.ndim)
        self.tree += struct.pack(f"<{value.ndim}Q", *value.shape)
        self._text(b"d", described)
        self.memory.append(memory)
        if value.dtype.kind not in _NUMBERS or value.dtype.itemsize == 1:  # text of Arrow is sent as bytes
            self.texts.append(memory)

    def _scalar(self, value: np.generic, path: tuple[object, ...]) -> None:
        if isinstance(value, np.str_):
            self._text(b"z", value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, np.bytes_):
            self._text(b"y", bytes(value))
        else:
            self.tree += b"n"
            self._text(b"d", _described(value.dtype, path))
            self.tree += value.tobytes()

    def _arrow(self, value: object, path: tuple[object, ...]) -> bool:
        if not type(value).__module__.startswith("pyarrow"):
            return False
        import pyarrow as pa

        from gozen.quickdb.isolation.codec import arrow

        kind = "array" if isinstance(value, pa.Array) else ARROW_KINDS.get(type(value).__name__)
        if kind is None:
            return False
        try:
            described = arrow.describe(kind, value)
        except (ValueError, OSError, pa.ArrowException) as error:  # Arrow may raise OSError
            raise NotEncodable(f"{error}{_at(path)}: give plain Arrow types") from error
        self.tree += b"A"
        self.write(described, path)
        return True


_WRITERS: dict[type, Callable[[Writer, Any, tuple[object, ...]], None]] = {
    type(None): Writer._constant,
    bool: Writer._constant,
    int: Writer._integer,
    float: Writer._real,
    complex: Writer._complex,
    str: lambda writer, value, _: writer._text(b"s", value.encode("utf-8", "surrogatepass")),
    bytes: lambda writer, value, _: writer._text(b"b", value),
    tuple: Writer._sequence,
    list: Writer._sequence,
    dict: Writer._mapping,
    np.ndarray: Writer._array,
    np.memmap: Writer._array,
}


def _described(dtype: np.dtype[Any], path: tuple[object, ...]) -> bytes:
    try:
        return dtypes.describe(dtype).encode()
    except ValueError as error:
        raise NotEncodable(
            f"an array of {error}{_at(path)} cannot be sent: use an array of numbers, text or times"
        ) from error


def _not_encodable(value: object, path: tuple[object, ...]) -> NotEncodable:
    kind = next((one.__name__ for one in type(value).__mro__ if one.__name__ in _INSTEAD), "object")
    plain = next((one for one in (tuple, dict, list, str, int, float) if isinstance(value, one)), None)
    instead = f"return {plain.__name__}(it)" if plain else _INSTEAD[kind]
    name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    return NotEncodable(f"the value contains a {name}{_at(path)}, which is not plain data: {instead}")


def _at(path: tuple[object, ...]) -> str:
    return f" at {_place(path)}" if path else ""


def _place(path: tuple[object, ...]) -> str:
    return "".join(f"[{str(one)[:40] if isinstance(one, np.generic) else repr(one)[:40]}]" for one in path)
