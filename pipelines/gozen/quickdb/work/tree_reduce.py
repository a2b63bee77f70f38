"""The order of `reduce`: from left to right in groups of patches, then in pairs as a tree; the same on every engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gozen.errors import FunctionFailed
from gozen.quickdb.work.equal_results import alike
from gozen.quickdb.work.user_errors import is_interrupt

Reduce = Callable[[Any, Any], Any]
Node = tuple[int, int, Any]
"""Level in the tree (leaves: 0), position in that level, and value of a node."""

TRIED = 3
"""Number of values in a trial: the smallest that can be grouped in two ways."""


def combined(reduce: Reduce, one: Any, other: Any) -> Any:
    """Reduce two values; None means that there is no value.

    Raises
    ------
    FunctionFailed
        If `reduce` returns None, for example because it has no ``return``.
    """
    if one is None or other is None:
        return other if one is None else one
    found = reduce(one, other)
    if found is None:
        raise FunctionFailed("reduce(a, b) returned None: it must return the combination of a and b")
    return found


def along(reduce: Reduce, values: Sequence[Any]) -> Any:
    """Reduce values from left to right; return None if there are none."""
    total = None
    for value in values:
        total = combined(reduce, total, value)
    return total


class Tree:
    """Reduces the values of blocks in pairs of neighbours; the grouping does not depend on the order of arrival.

    A node (level, at) has the reduced value of up to ``1 << level`` leaves, beginning with leaf ``at << level``.
    Workers reduce the blocks of a task to nodes.

    Parameters
    ----------
    reduce
        Calls the user's function, in this process or another.
    leaves
        Number of leaves, each of which will be added.
    """

    def __init__(self, reduce: Reduce, leaves: int) -> None:
        self._reduce = reduce
        self._leaves = leaves
        self._waiting: dict[tuple[int, int], Any] = {}
        self._total: Any = None

    def add(self, leaf: int, value: Any) -> None:
        """Add the value of a leaf; None if it has no value."""
        self.take((0, leaf, value))

    def take(self, node: Node) -> None:
        """Add the value of a node."""
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
        """Return the nodes that wait for their siblings, or the root if all leaves were added."""
        if not self._waiting and self._total is not None:
            return [((self._leaves - 1).bit_length(), 0, self._total)]
        return [(*place, value) for place, value in self._waiting.items()]

    @property
    def total(self) -> Any:
        """Reduced value of all leaves; None if none has a value."""
        return self._total


class Trial:
    """Tests on three values at a time whether `reduce` is associative, until a test is conclusive.

    Parameters
    ----------
    check
        Calls `checked` in the process of the user's `reduce`, because the comparison, too, runs the user's code.
    """

    def __init__(self, check: Callable[[Sequence[Any]], bool]) -> None:
        self._check = check
        self._values: list[Any] = []
        self.is_over = False

    def add(self, values: Iterable[Any]) -> None:
        """Add copies of values, because a reduce may change the originals later.

        Raises
        ------
        FunctionFailed
            If `reduce` is not associative.
        """
        for value in values:
            if value is None or self.is_over:
                continue
            keep_copy(value, self._values)
            if len(self._values) == TRIED:
                three, self._values = self._values, []
                self.is_over = self._check(three)


def keep_copy(value: Any, copies: list[Any]) -> None:
    """Append a copy of a value, unless it cannot be copied."""
    try:
        copies.append(copy.deepcopy(value))
    except BaseException as error:  # copying runs code of the user's objects
        if is_interrupt(error):
            raise


def checked(reduce: Reduce, values: Sequence[Any]) -> bool:
    """Test on the first three values whether `reduce` is associative.

    Returns
    -------
    bool
        Whether no further test is needed. False if the three values are equal, such as zeros: then the test cannot show
        that `reduce` subtracts or averages.

    Raises
    ------
    FunctionFailed
        If the two groupings give different results: a job's result would depend on how patches are grouped.
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
        return True  # values cannot be copied or compared, or reduce fails, which the job itself reports
    if not same:
        raise FunctionFailed(
            "reduce is not associative: for three values a, b, c of your data, reduce(reduce(a, b), c) differs from "
            "reduce(a, reduce(b, c)), so the result would depend on the grouping of the patches. For a mean, for "
            "example, return the sum and the count, and divide in finalize="
        )
    return says_something
