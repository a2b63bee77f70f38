"""Encode NumPy arrays as plain memory with a checked description (`dtypes`), never as Python objects."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gozen.quickdb.isolation.codec.form import Malformed

_DIMENSIONS = 32
_MOST = 2**63 - 1
_LAST_CHARACTER = 0x10FFFF
_EMPTY_PARTS = 1 << 16
"""Maximum number of empty rows (of all dimensions) of an array: they have no bytes, but may become lists later."""


def to_bytes(array: np.ndarray[Any, Any]) -> tuple[str, memoryview]:
    """Return the order (``C`` or ``F``) and the memory of an array, copied only if it is not contiguous."""
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
        If the data end before the array does, or the shape is too large.
    """
    if len(shape) > _DIMENSIONS or math.prod(max(one, 1) for one in shape) * dtype.itemsize > _MOST:
        raise Malformed("the shape of an array is too large, or has too many dimensions")
    end = offset + math.prod(shape) * dtype.itemsize
    if end > len(data):
        raise Malformed(
            f"an array has {math.prod(shape)} elements, but {max(len(data) - offset, 0)} bytes are left for it"
        )
    if offset > len(data):  # an array without elements, beyond the last byte
        raise Malformed("an array begins after the last byte")
    if order == "F":
        array: np.ndarray[Any, Any] = np.ndarray(shape[::-1], dtype, data, offset).T
    else:
        array = np.ndarray(shape, dtype, data, offset)
    if has_many_empty_parts(array.shape):  # a dtype with a subarray adds dimensions
        raise Malformed("an array without elements has too many empty parts")
    return array, end


def has_many_empty_parts(shape: tuple[int, ...]) -> bool:
    """Tell whether an array has no elements, but more empty rows than allowed."""
    return 0 in shape and math.prod(max(one, 1) for one in shape) > _EMPTY_PARTS


def check_text(array: np.ndarray[Any, Any]) -> None:
    """Raise `Malformed` if an array has invalid characters: its elements could be neither read nor printed."""
    dtype = array.dtype
    for name in dtype.names or ():
        check_text(array[name])
    if dtype.kind == "U" and array.size:
        order = dtype.str[0]
        if int(array.view(np.dtype((f"{order}u4", (dtype.itemsize // 4,)))).max()) > _LAST_CHARACTER:
            raise Malformed("a text has code points that Unicode does not define (above U+10FFFF)")
