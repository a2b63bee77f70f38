"""Compare two results up to rounding: numbers, arrays, tables, objects, missing values."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RELATIVE = 1e-8
_ROUNDINGS = 100
"""Tolerance in units of the float type's epsilon: sums of 32-bit floats in another grouping may differ by 1e-5."""


def alike(one: Any, other: Any, *made_of: Any) -> bool:
    """Tell whether two results are equal up to rounding.

    Parameters
    ----------
    made_of
        Values from which the results were computed. They set the scale of the rounding errors: if large numbers cancel,
        a small result has the errors of the large ones. For an item of a list, dictionary or table, the same item of
        these values is used.
    """
    if one is other or _is_unknown(one, other):
        return True
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(alike(one[key], other[key], *_at(made_of, key)) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(alike(a, b, *_at(made_of, n)) for n, (a, b) in enumerate(pairs))
    if isinstance(one, str | bytes | bool) or one is None:
        return bool(one == other)
    if isinstance(one, Decimal | Fraction) and isinstance(other, Decimal | Fraction):
        return one == other or alike(float(one), float(other), *map(_as_float, made_of))
    columns = _columns(one), _columns(other)
    if columns[0] is not None and columns[1] is not None:
        return alike(*columns, *(found for value in made_of if (found := _columns(value)) is not None))
    if isinstance(one, np.ma.MaskedArray) or isinstance(other, np.ma.MaskedArray):
        return _alike_masked(one, other, made_of)
    a, b = np.asarray(one), np.asarray(other)
    if not a.ndim and not b.ndim and np.dtype(object) in (a.dtype, b.dtype):
        return _alike_objects(one, other, made_of)
    return _alike_arrays(a, b, made_of)


def _alike_arrays(a: NDArray[Any], b: NDArray[Any], made_of: Sequence[Any]) -> bool:
    if a.shape != b.shape or a.dtype.names != b.dtype.names:
        return False
    if a.dtype.names:
        return all(alike(a[name], b[name], *_at(made_of, name)) for name in a.dtype.names)
    if a.dtype == object or b.dtype == object:
        return all(map(alike, *_unequal(a, b)))
    if not (np.issubdtype(a.dtype, np.inexact) or np.issubdtype(b.dtype, np.inexact)):
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "mM"))
    if a.dtype.kind not in "biufc" or b.dtype.kind not in "biufc":
        return False
    numbers = [array for one in (a, b, *made_of) if (array := _numbers(one)) is not None]
    relative = max(
        _RELATIVE, *(_ROUNDINGS * float(np.finfo(one.dtype).eps) for one in numbers if one.dtype.kind in "fc")
    )
    scale = max(float(np.max(np.abs(one), where=np.isfinite(one), initial=0)) for one in numbers)
    return bool(np.allclose(a, b, rtol=relative, atol=relative * scale, equal_nan=True))


def _numbers(value: Any) -> NDArray[Any] | None:
    """Return a value as an array if it is a number or an array of numbers; else None."""
    with contextlib.suppress(Exception):  # the user's objects may raise anything
        array = np.asarray(value)
        if array.dtype.kind in "iufc":
            return array
    return None


def _unequal(a: NDArray[Any], b: NDArray[Any]) -> tuple[list[Any], list[Any]]:
    """Return the elements of two object arrays that need a closer comparison: neither plainly equal nor both NaN."""
    try:
        with np.errstate(all="ignore"):
            equal = np.asarray((a == b) | ((a != a) & (b != b)), bool)
        return list(a[~equal].flat), list(b[~equal].flat)
    except Exception:  # values without a truth value, such as pandas' NA and arrays
        return list(a.flat), list(b.flat)


def _alike_masked(one: Any, other: Any, made_of: Sequence[Any]) -> bool:
    """Compare masked arrays; masked values are ignored."""
    same = alike(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
    return same and alike(np.ma.filled(one, 0), np.ma.filled(other, 0), *(np.ma.filled(value, 0) for value in made_of))


def _alike_objects(one: Any, other: Any, made_of: Sequence[Any]) -> bool:
    # If their own `==` is False, their attributes are compared: it knows neither rounding nor NaN, and few classes that
    # users write in notebooks define it.
    with contextlib.suppress(Exception):
        if bool(one == other):
            return True
    if type(one) is not type(other):
        return False
    parts = _parts(one), _parts(other)
    if parts[0] is None or parts[1] is None:
        return False
    return alike(*parts, *(found for value in made_of if (found := _parts(value)) is not None))


def _parts(value: Any) -> dict[str, Any] | None:
    """Return the attributes of an object; None if it has none."""
    slots = [name for kind in type(value).__mro__ for name in np.atleast_1d(getattr(kind, "__slots__", ())).tolist()]
    found = {name: getattr(value, name) for name in slots if hasattr(value, name)} | getattr(value, "__dict__", {})
    return found or None


def _columns(value: Any) -> dict[str, Any] | None:
    """Return the columns of a pandas, Arrow, polars or astropy table by name; None for other values."""
    for attribute in ("colnames", "column_names", "columns"):
        names = getattr(value, attribute, None)
        if names is not None and not callable(names) and hasattr(value, "__getitem__"):
            names = [str(name) for name in names] if attribute != "columns" else list(names)
            if len(set(names)) == len(names):
                return {"rows": len(value)} | {str(name): np.asarray(value[name]) for name in names}
    return None


def _at(values: Sequence[Any], key: Any) -> list[Any]:
    """Return the items at a key, of all values that have this key."""
    found = []
    for value in values:
        with contextlib.suppress(Exception):
            found.append(value[key])
    return found


def _as_float(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal | Fraction) else value


def _is_unknown(one: Any, other: Any) -> bool:
    return isinstance(one, float) and isinstance(other, float) and one != one and other != other
