"""The order of `reduce`: along runs of patches, then as a tree, the same on every engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gozen.errors import FunctionFailed
from gozen.quickdb.work.equal_results import alike
from gozen.quickdb.work.user_errors import is_interrupt

Reduce = Callable[[Any, Any], Any]
Node = tuple[int, int, Any]
"""A level of the tree, counted from the leaves, a place in it, and the value there."""

TRIED = 3
"""Values that have two groupings."""


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


class Trial:
    """Tries `reduce` in both groupings of three values, as values come, until they have shown something.

    Parameters
    ----------
    check
        Does as `checked` with the user's `reduce`, where that runs: to compare values can cost whatever they want.
    """

    def __init__(self, check: Callable[[Sequence[Any]], bool]) -> None:
        self._check = check
        self._values: list[Any] = []
        self.is_over = False

    def add(self, values: Iterable[Any]) -> None:
        """Take values that a reduce in place may change later.

        Raises
        ------
        FunctionFailed
            `reduce` is not associative.
        """
        for value in values:
            if value is None or self.is_over:
                continue
            keep_copy(value, self._values)
            if len(self._values) == TRIED:
                three, self._values = self._values, []
                self.is_over = self._check(three)


def keep_copy(value: Any, copies: list[Any]) -> None:
    """Add a copy of a value; what cannot be copied cannot be tried."""
    try:
        copies.append(copy.deepcopy(value))
    except BaseException as error:  # it runs code of the user's objects
        if is_interrupt(error):
            raise


def checked(reduce: Reduce, values: Sequence[Any]) -> bool:
    """Try the first three values in both groupings.

    Returns
    -------
    bool
        Whether that says something: three equal values, such as zeros, show nothing of a difference or a mean.

    Raises
    ------
    FunctionFailed
        They differ, so that the result would depend on how patches are grouped.
    """
    three = [value for value in values if value is not None][:TRIED]
    if len(three) < TRIED:
        return False
    try:
        first, second = (copy.deepcopy(three) for _ in range(2))
        left = reduce(reduce(first[0], first[1]), first[2])
        right = reduce(second[0], reduce(second[1], second[2]))
        same = alike(left, right, *three)
        says_something = not (same and alike(three[0], three[1]) and alike(three[1], three[2]))
    except BaseException as error:
        if is_interrupt(error):
            raise
        return True  # what cannot be copied or compared cannot be tried; a failure of reduce shows in the job itself
    if not same:
        raise FunctionFailed(
            "reduce is not associative: reduce(reduce(a, b), c) differs from reduce(a, reduce(b, c)) on three of the "
            "values, so that the result depends on how patches are grouped. A mean, for instance, is a sum and a "
            "number; divide in finalize="
        )
    return says_something
