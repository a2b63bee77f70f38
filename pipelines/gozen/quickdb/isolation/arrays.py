"""NumPy arrays and their dtypes on the wire: plain memory with a description that is checked, never objects."""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from typing import Any

import numpy as np

_PLAIN = re.compile(r"[<>|][?biufcSUV][0-9]{1,9}|[<>][mM]8(\[[0-9]{0,9}(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?")
_DIMENSIONS = 32


@lru_cache(maxsize=256)
def describe(dtype: np.dtype[Any]) -> str:
    """Return the description of a dtype.

    Raises
    ------
    ValueError
        When it holds Python objects, or nothing.
    """
    if dtype.hasobject or dtype.itemsize == 0 or not _is_plain(dtype):
        raise ValueError(f"dtype {dtype}")
    return json.dumps(_describe(dtype), separators=(",", ":"))


def _is_plain(dtype: np.dtype[Any]) -> bool:
    if dtype.subdtype is not None:
        return _is_plain(dtype.subdtype[0])
    if dtype.fields is not None:
        return all(len(field) == 2 and _is_plain(field[0]) for field in dtype.fields.values())  # the third is a title
    return _PLAIN.fullmatch(dtype.str) is not None


def _describe(dtype: np.dtype[Any]) -> object:
    if dtype.subdtype is not None:
        return [_describe(dtype.subdtype[0]), list(dtype.subdtype[1])]
    if dtype.names is None or dtype.fields is None:
        return dtype.str
    fields = [(name, *dtype.fields[name][:2]) for name in dtype.names]
    return {"size": dtype.itemsize, "fields": [[name, _describe(one), offset] for name, one, offset in fields]}


@lru_cache(maxsize=256)
def read_dtype(text: str) -> np.dtype[Any]:
    """Return the dtype of a description that may be hostile.

    Raises
    ------
    ValueError, TypeError, KeyError, RecursionError
        When it describes no dtype of plain memory.
    """
    dtype = _read_dtype(json.loads(text))
    if dtype.hasobject or dtype.itemsize <= 0:
        raise ValueError(f"dtype {text[:80]}")
    return dtype


def _read_dtype(described: Any) -> np.dtype[Any]:
    if isinstance(described, str):
        if _PLAIN.fullmatch(described) is None:
            raise ValueError(f"dtype {described[:80]}")
        return np.dtype(described)
    if isinstance(described, list):
        inner, shape = described
        return np.dtype((_read_dtype(inner), _checked_shape(shape)))
    fields = described["fields"]
    parts = {
        "names": [str(name) for name, _, _ in fields],
        "formats": [_read_dtype(one) for _, one, _ in fields],
        "offsets": [int(offset) for _, _, offset in fields],
        "itemsize": int(described["size"]),
    }
    dtype: np.dtype[Any] = np.dtype(parts)  # type: ignore[call-overload]  # the stubs know only literal dicts
    return dtype


def _checked_shape(shape: list[int]) -> tuple[int, ...]:
    if len(shape) > _DIMENSIONS or any(type(one) is not int or one < 0 for one in shape):
        raise ValueError(f"shape {str(shape)[:80]}")
    return tuple(shape)


def to_bytes(array: np.ndarray[Any, Any]) -> tuple[str, memoryview]:
    """Return the order (``C`` or ``F``) and the memory of an array; copied only where it is not contiguous."""
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        order, array = "F", array.T
    else:
        order, array = "C", np.ascontiguousarray(array)
    flat = array.reshape(-1)
    return order, flat.view(np.uint8).data if flat.size else memoryview(b"")


def from_bytes(
    data: memoryview, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], order: str
) -> tuple[np.ndarray[Any, Any], int]:
    """Return the array whose memory begins at an offset of `data`, without a copy, and the offset after it.

    Raises
    ------
    ValueError
        When the data end before the array does.
    """
    end = offset + math.prod(shape) * dtype.itemsize
    if end > len(data):
        raise ValueError(f"an array of {math.prod(shape)} elements, and {len(data) - offset} bytes for them")
    if order == "F":
        array: np.ndarray[Any, Any] = np.ndarray(shape[::-1], dtype, data, offset).T
    else:
        array = np.ndarray(shape, dtype, data, offset)
    return array, end
