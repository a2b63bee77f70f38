"""In which order values are reduced: along a run of patches, then as a tree over the runs, the same on every engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gozen.errors import FunctionFailed

Reduce = Callable[[Any, Any], Any]

_RELATIVE = 1e-5
"""How far results of another grouping may lie apart: sums of 32-bit floats do so by less."""


def combined(reduce: Reduce, one: Any, other: Any) -> Any:
    """Reduce two values; None is no value.

    Raises
    ------
    FunctionFailed
        `reduce` gives None, as one without ``return`` does.
    """
    if one is None or other is None:
        return other if one is None else one
    found = reduce(one, other)
    if found is None:
        raise FunctionFailed("reduce(a, b) gave None: it has to return what a and b make together")
    return found


def along(reduce: Reduce, values: Sequence[Any]) -> Any:
    """Reduce values from left to right; None where there are none."""
    total = None
    for value in values:
        total = combined(reduce, total, value)
    return total


class Tree:
    """Reduces the values of blocks as they come, pairwise in their order: the grouping does not depend on who is first.

    Parameters
    ----------
    reduce
        The user's function, wherever it runs.
    leaves
        The number of values that will come.
    """

    def __init__(self, reduce: Reduce, leaves: int) -> None:
        self._reduce = reduce
        self._leaves = leaves
        self._waiting: dict[tuple[int, int], Any] = {}
        self._total: Any = None

    def add(self, leaf: int, value: Any) -> None:
        """Take the value of a leaf, None if it has none."""
        level, at, count = 0, leaf, self._leaves
        while count > 1:
            alone = at == count - 1 and at % 2 == 0
            if not alone:
                sibling = level, at ^ 1
                if sibling not in self._waiting:
                    self._waiting[level, at] = value
                    return
                beside = self._waiting.pop(sibling)
                pair = (value, beside) if at % 2 == 0 else (beside, value)
                value = combined(self._reduce, *pair)
            level, at, count = level + 1, at // 2, (count + 1) // 2
        self._total = value

    @property
    def total(self) -> Any:
        """What all leaves make together; None where none has a value."""
        return self._total


def checked(reduce: Reduce, values: Sequence[Any]) -> None:
    """Try the first three values in both groupings.

    Raises
    ------
    FunctionFailed
        They differ, so that the result would depend on how patches are grouped.
    """
    three = [value for value in values if value is not None][:3]
    if len(three) < 3:
        return
    try:
        first, second = (copy.deepcopy(three) for _ in range(2))
        left = reduce(reduce(first[0], first[1]), first[2])
        right = reduce(second[0], reduce(second[1], second[2]))
        same = alike(left, right)
    except (
        Exception
    ):  # what cannot be copied or compared cannot be checked; a failure of reduce shows in the job itself
        return
    if not same:
        raise FunctionFailed(
            "reduce is not associative: reduce(reduce(a, b), c) differs from reduce(a, reduce(b, c)) on the first "
            "patches, so that the result depends on how they are grouped. A mean, for instance, is a sum and a number; "
            "divide in finalize="
        )


def alike(one: Any, other: Any) -> bool:
    """Tell whether two results are equal but for rounding."""
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, str | bytes | bool) or one is None:
        return bool(one == other)
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape or not np.issubdtype(a.dtype, np.number):
        return a.shape == b.shape and bool(np.array_equal(a, b))
    scale = float(np.nanmax(np.abs(a), initial=0))
    return bool(np.allclose(a, b, rtol=_RELATIVE, atol=_RELATIVE * scale, equal_nan=True))
