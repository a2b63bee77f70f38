"""In which order values are reduced: along a run of patches, then as a tree over the runs, the same on every engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gozen.errors import FunctionFailed

Reduce = Callable[[Any, Any], Any]
Node = tuple[int, int, Any]
"""A level of the tree, counted from the leaves, a place in it, and the value there."""

_RELATIVE = 1e-5
"""How far results of another grouping may lie apart: sums of 32-bit floats do so by less."""

_NO_EQUALITY: Any = object.__eq__


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

    A node (level, at) stands for the leaves from ``at << level`` on; workers reduce to nodes what lies with them.

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
        self.take((0, leaf, value))

    def take(self, node: Node) -> None:
        """Take the value of a node."""
        level, at, value = node
        count = (self._leaves - 1 >> level) + 1
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

    def nodes(self) -> list[Node]:
        """Return what waits for its sibling, or all of it in one."""
        if not self._waiting and self._total is not None:
            return [((self._leaves - 1).bit_length(), 0, self._total)]
        return [(*place, value) for place, value in self._waiting.items()]

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
    if a.shape != b.shape or a.dtype.names != b.dtype.names:
        return False
    if a.dtype.names:
        return all(alike(a[name], b[name]) for name in a.dtype.names)
    if a.dtype == object:
        return all(map(alike, a.flat, b.flat)) if a.ndim else _alike_objects(one, other)
    if not np.issubdtype(a.dtype, np.number):
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "mM"))
    scale = float(np.max(np.abs(a), where=np.isfinite(a), initial=0))
    return bool(np.allclose(a, b, rtol=_RELATIVE, atol=_RELATIVE * scale, equal_nan=True))


def _alike_objects(one: Any, other: Any) -> bool:
    if type(one).__eq__ is not _NO_EQUALITY:
        return bool(one == other)
    # A class of a notebook rarely says when two of it are equal.
    return type(one) is type(other) and alike(getattr(one, "__dict__", None), getattr(other, "__dict__", None))
