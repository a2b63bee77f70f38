"""Check descriptions of NumPy dtypes with Python integers before NumPy sees them.

NumPy adds the offset and the size of a field in 32 bits and does not check for overflow. A field that ends after its
element would read and write other memory of the process that uses the array.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import numpy as np

from gozen.quickdb.isolation.codec.form import Malformed

_LARGEST = 2**31 - 1
"""Maximum number of bytes of an element: NumPy stores offsets in 32 bits."""
_LEVELS = 16
_DIMENSIONS = 32
_TEXT = 1 << 16
"""Maximum number of characters of a description."""
_KEPT_TEXT = 256
_OVERLAP = 8
"""Maximum number of fields that cover a byte of an element, on average: to print an array visits all its fields."""
_FIXED = re.compile(r"[|]b1|[|<>][iu][1248]|[<>]f(?:2|4|8|16)|[<>]c(?:8|16|32)")
_COUNTED = re.compile(r"([|<>][SUV])([1-9][0-9]{0,9})")
_TIME = re.compile(r"[<>][mM]8(?:\[(?:[1-9][0-9]{0,8})?(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?")


@lru_cache(maxsize=256)
def describe(dtype: np.dtype[Any]) -> str:
    """Return the description of a dtype.

    Raises
    ------
    ValueError
        If `read_dtype` would refuse it: it contains Python objects, has no bytes, or its fields overlap too much.
    """
    try:
        described = _described(dtype, 0)
        _check_element(described)
        text = json.dumps(described, separators=(",", ":"))
    except Malformed as error:
        raise ValueError(f"dtype {str(dtype)[:200]} ({error})") from None
    if len(text) > _TEXT:
        raise ValueError(f"dtype of {len(dtype.names or ())} fields, whose description is too long")
    return text


def _described(dtype: np.dtype[Any], level: int) -> object:
    if level > _LEVELS:
        raise Malformed("it is nested too deep")
    if dtype.subdtype is not None:
        return [_described(dtype.subdtype[0], level + 1), list(dtype.subdtype[1])]
    if dtype.names is None or dtype.fields is None:
        return dtype.str
    fields = [(name, dtype.fields[name]) for name in dtype.names]
    if any(len(field) != 2 for _, field in fields):  # the third is a title, a second name for the same bytes
        raise Malformed("it has a field with a title")
    return {
        "size": dtype.itemsize,
        "fields": [[name, _described(field[0], level + 1), field[1]] for name, field in fields],
    }


def read_dtype(text: bytes) -> np.dtype[Any]:
    """Return the dtype of a description that may be hostile.

    Raises
    ------
    ValueError, TypeError, RecursionError
        If the description does not describe a dtype of plain memory.
    """
    if len(text) > _TEXT:
        raise Malformed("the description of a dtype is too long")
    return _kept(text) if len(text) <= _KEPT_TEXT else _read(text)


def _read(text: bytes) -> np.dtype[Any]:
    described = json.loads(text)
    size = _check_element(described)
    dtype = _made(described)
    if dtype.itemsize != size or dtype.hasobject:  # refused if NumPy computes another size
        raise Malformed("a dtype has another size than its description says")
    return dtype


_kept = lru_cache(maxsize=256)(_read)


def _check_element(described: Any) -> int:
    size, _ = _checked(described, 0)
    if size == 0:
        raise Malformed("a dtype has no bytes")
    return size


def _checked(described: Any, level: int) -> tuple[int, int]:
    """Return the size of a described dtype and the sum of the sizes of its fields, in bytes.

    In the sum, a field without bytes counts as many bytes as it has elements. The size is limited; the sum is limited
    too,
    unless the size is 0.
    """
    if level > _LEVELS:
        raise Malformed("a dtype is nested too deep")
    if type(described) is str:
        size = shown = _plain_size(described)
    elif type(described) is list:
        size, shown = _checked_subarray(described, level)
    else:
        size, shown = _checked_fields(described, level)
    if size > _LARGEST or (size and shown > _OVERLAP * size):
        raise Malformed("a dtype is too large, or too many of its fields overlap")
    return size, shown


def _plain_size(text: str) -> int:
    counted = _COUNTED.fullmatch(text)
    if counted is not None:
        return int(counted[2]) * (4 if "U" in counted[1] else 1)
    if _FIXED.fullmatch(text) is not None:
        return int(text[2:])
    if _TIME.fullmatch(text) is not None:
        return 8
    raise Malformed("a dtype is not one of numbers, text, bytes or times")


def _checked_subarray(described: list[Any], level: int) -> tuple[int, int]:
    if len(described) != 2 or type(described[1]) is not list or not 0 < len(described[1]) <= _DIMENSIONS:
        raise Malformed("a dtype is not described by a name, a shape or fields")
    inner, shown = _checked(described[0], level + 1)
    count = largest = 1
    for one in described[1]:
        if type(one) is not int or not 0 <= one <= _LARGEST:
            raise Malformed("the shape of a dtype has an invalid number")
        count, largest = count * one, largest * max(one, 1)
    if largest * max(inner, 1) > _LARGEST:  # also if a dimension of 0 hides the size of the others
        raise Malformed("the shape of a dtype is too large")
    if inner * count:
        return inner * count, shown * count
    return 0, largest * (1 if inner else max(shown, 1))


def _checked_fields(described: Any, level: int) -> tuple[int, int]:
    if type(described) is not dict or described.keys() != {"size", "fields"} or type(described["fields"]) is not list:
        raise Malformed("a dtype is not described by a name, a shape or fields")
    size, names, shown = described["size"], set(), 0
    if type(size) is not int or not 0 <= size <= _LARGEST:
        raise Malformed(f"the size of a dtype is not an integer between 0 and {_LARGEST}")
    for field in described["fields"]:
        if type(field) is not list or len(field) != 3 or type(field[0]) is not str or field[0] in names:
            raise Malformed("a field of a dtype has no name, or two fields have the same name")
        names.add(field[0])
        inner, of_field = _checked(field[1], level + 1)
        if type(field[2]) is not int or not 0 <= field[2] <= size - inner:
            raise Malformed("a dtype with a field that extends beyond its element")
        shown += of_field
    return size, shown


def _made(described: Any) -> np.dtype[Any]:
    if isinstance(described, str):
        return np.dtype(described)
    if isinstance(described, list):
        return np.dtype((_made(described[0]), tuple(described[1])))
    fields = described["fields"]
    parts = {
        "names": [name for name, _, _ in fields],
        "formats": [_made(one) for _, one, _ in fields],
        "offsets": [offset for _, _, offset in fields],
        "itemsize": described["size"],
    }
    dtype: np.dtype[Any] = np.dtype(parts)  # type: ignore[call-overload]  # the stubs know only literal dicts
    return dtype
