"""In which order values are reduced, and what is said of a reduce that cannot work.

Covered: the same grouping for any order of arrival and any split into tasks, patches without a value, a reduce without
return, a reduce that is not associative, results of many kinds that are alike or not, a reduce that works in place.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gozen.errors import FunctionFailed
from gozen.quickdb.alike import alike
from gozen.quickdb.reduction import Tree, along, checked


def written(a: str, b: str) -> str:
    return f"({a}{b})"


def tree_of(values: list[Any], order: list[int]) -> Any:
    tree = Tree(written, len(values))
    for leaf in order:
        tree.add(leaf, values[leaf])
    return tree.total


@pytest.mark.parametrize("leaves", range(1, 6))
def test_the_grouping_is_the_same_in_every_order_of_arrival(leaves: int) -> None:
    values = list("abcde"[:leaves])
    found = {tree_of(values, list(order)) for order in itertools.permutations(range(leaves))}
    assert found == {["a", "(ab)", "((ab)c)", "((ab)(cd))", "(((ab)(cd))e)"][leaves - 1]}


@pytest.mark.parametrize("leaves", [16, 33, 100])
def test_the_grouping_of_many_leaves_too(leaves: int) -> None:
    values = [chr(ord("a") + one % 26) for one in range(leaves)]
    shuffled = random.Random(leaves)
    found = {tree_of(values, shuffled.sample(range(leaves), leaves)) for _ in range(5)}
    (one,) = found
    assert one.replace("(", "").replace(")", "") == "".join(values)


def test_leaves_without_a_value_are_left_out() -> None:
    assert tree_of(["a", None, None, "d"], [3, 1, 0, 2]) == "(ad)"
    assert tree_of([None, None, None], [0, 1, 2]) is None
    assert Tree(written, 0).total is None
    assert along(written, [None, "a", None, "b", "c"]) == "((ab)c)"
    assert along(written, []) is None


def test_what_is_waiting_is_given_up_as_it_is_reduced() -> None:
    tree = Tree(written, 64)
    for leaf in range(64):
        tree.add(leaf, "x")
        assert len(tree._waiting) <= 6
    assert tree.total is not None


def test_a_reduce_without_return_is_named() -> None:
    with pytest.raises(FunctionFailed, match=r"reduce\(a, b\) gave None"):
        along(lambda *_: None, [1, 2])


@pytest.mark.parametrize(
    "reduce",
    [
        lambda a, b: a - b,
        lambda a, b: (a + b) / 2,
        lambda a, b: a**b,
    ],
    ids=["difference", "mean", "power"],
)
def test_a_reduce_that_is_not_associative_is_named(reduce: Any) -> None:
    with pytest.raises(FunctionFailed, match="not associative"):
        checked(reduce, [2.0, 3.0, 2.5])


@dataclass
class Moments:
    count: int
    total: np.ndarray


class Bare:
    """Without ``__eq__``, as a class of a notebook is."""

    def __init__(self, total: float) -> None:
        self.total = total


ARRAY = np.array([0.1, 0.2, np.nan], np.float32)


@pytest.mark.parametrize(
    ("reduce", "values"),
    [
        (lambda a, b: a + b, [ARRAY, ARRAY * 3, ARRAY * 7]),
        (lambda a, b: a + b, [[1], [2, 3], []]),
        (lambda a, b: a + b, ["a", "b", "c"]),
        (lambda a, b: a | b, [{1}, {2}, {1, 3}]),
        (lambda a, b: a + b, [Counter("ab"), Counter("b"), Counter("c")]),
        (lambda a, b: (a[0] + b[0], a[1]), [(ARRAY, ARRAY)] * 3),
        (lambda a, b: Moments(a.count + b.count, a.total + b.total), [Moments(1, ARRAY)] * 3),
        (lambda a, b: Bare(a.total + b.total), [Bare(0.1), Bare(0.2), Bare(0.3)]),
        (lambda a, b: pd.concat([a, b]), [pd.DataFrame({"x": [1.0, np.nan], "y": ["a", None]})] * 3),
        (lambda a, b: pd.concat([a, b], ignore_index=True), [pd.DataFrame({"x": [1, 2]})] * 3),
        (np.maximum, [np.datetime64("2026-01-01"), np.datetime64("NaT"), np.datetime64("2026-01-02")]),
        (lambda a, b: np.concatenate([a, b]), [np.array([(1, np.nan)], "i4,f4")] * 3),
        (lambda a, b: a.union(b), [pd.Index([1]), pd.Index([2]), pd.Index([3])]),
        (max, [3, 1, 2]),
        (lambda a, b: a + b, [1e8, 1.0, -1e8]),
    ],
    ids=lambda one: type(one[0]).__name__ if isinstance(one, list) else "",
)
def test_a_reduce_that_is_associative_passes(reduce: Any, values: list[Any]) -> None:
    checked(reduce, values)


def test_a_class_without_equality_is_looked_into() -> None:
    with pytest.raises(FunctionFailed, match="not associative"):
        checked(lambda a, b: Bare(a.total - b.total), [Bare(0.1), Bare(0.2), Bare(0.3)])


def test_the_check_leaves_the_values_as_they_are() -> None:
    def reduce(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a += b
        return a

    values = [np.ones(2), np.ones(2), np.ones(2)]
    checked(reduce, values)
    assert np.array_equal(values, np.ones((3, 2)))


def test_few_values_or_a_failure_are_not_judged() -> None:
    checked(lambda a, b: a - b, [1, None, 2])
    checked(lambda *_: 1 / 0, [1, 2, 3])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1.0, 1.0 + 1e-12, True),
        (1.0, 1.001, False),
        ([1, 2], [1, 2, 3], False),
        ({"a": 1}, {"b": 1}, False),
        (None, 0, False),
        (np.zeros(3), np.zeros(4), False),
        (np.array(["a"]), np.array(["b"]), False),
        ("a", "a", True),
        (True, False, False),
        (np.array([np.inf, 1.0]), np.array([np.inf, 1.0]), True),
        (np.array([np.inf, 1.0]), np.array([np.inf, 2.0]), False),
    ],
)
def test_alike(one: Any, other: Any, same: bool) -> None:
    assert alike(one, other) is same
