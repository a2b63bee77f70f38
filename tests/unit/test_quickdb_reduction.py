"""Test the order in which values are reduced, and the errors of a reduce function that cannot work.

Covered: the same grouping for any order of arrival and any split into tasks; patches without a value; a reduce without
a return value; a reduce that is not associative, and the values with which this is tested; results of many kinds that
are equal, equal except for rounding, different or unknown; a reduce that works in place.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gozen.errors import FunctionFailed
from gozen.quickdb.work.equal_results import alike
from gozen.quickdb.work.tree_reduce import Tree, Trial, along, checked


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
    with pytest.raises(FunctionFailed, match=r"reduce\(a, b\) returned None"):
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


def test_values_are_tried_on_as_they_come_until_they_show_something() -> None:
    tried: list[float] = []

    def difference(a: float, b: float) -> float:
        tried.append(a)
        return a - b

    trial = Trial(partial(checked, difference))
    trial.add([None, 0.0])
    trial.add([0.0, None])
    assert tried == []
    trial.add([0.0])  # of three zeros every difference is zero
    assert not trial.is_over
    trial.add([5.0, 3.0])
    with pytest.raises(FunctionFailed, match="not associative"):
        trial.add([2.0])


def test_a_reduce_that_is_tried_is_not_tried_again() -> None:
    calls: list[float] = []

    def total(a: float, b: float) -> float:
        calls.append(a)
        return a + b

    trial = Trial(partial(checked, total))
    for number in range(100):
        trial.add([float(number)])
    assert trial.is_over
    assert len(calls) == 4


def test_what_a_reduce_in_place_changes_later_is_tried_as_it_was() -> None:
    values = [np.array([1.0]), np.array([2.0]), np.array([3.0])]
    trial = Trial(partial(checked, lambda a, b: a - b))
    trial.add(values[:2])
    values[0] += values[1]
    values[1] *= 0
    with pytest.raises(FunctionFailed, match="not associative"):
        trial.add(values[2:])


class Exits:
    def __deepcopy__(self, memo: Any) -> Any:
        raise SystemExit("no copy")


def test_what_cannot_be_copied_is_not_tried() -> None:
    trial = Trial(partial(checked, lambda a, b: a - b))
    trial.add([Exits(), Exits(), Exits(), 1.0, 2.0])
    assert not trial.is_over


NOISE = np.float32(1e-4)


@dataclass
class Mean:
    """As generated, its equality knows neither NaN nor rounding."""

    count: int
    mean: float


def merged(a: Mean, b: Mean) -> Mean:
    count = a.count + b.count
    return Mean(count, (a.mean * a.count + b.mean * b.count) / count)


@pytest.mark.parametrize(
    ("reduce", "values"),
    [
        (lambda a, b: a + b, [1.0, -0.3, -0.7]),
        (lambda a, b: a + b, [np.float32(1e8), NOISE, np.float32(-1e8)]),
        (lambda a, b: {"s": a["s"] + b["s"], "n": a["n"] + b["n"]}, [{"s": x, "n": 10**6} for x in (1.0, -0.3, -0.7)]),
        (merged, [Mean(3, 0.1), Mean(5, 0.7), Mean(7, 0.3)]),
        (merged, [Mean(3, math.nan), Mean(5, 0.7), Mean(7, 0.3)]),
        (lambda a, b: a + b, [Decimal("0.1") / 3, Decimal(2) / 7, Decimal("1e20")]),
        (lambda a, b: pd.concat([a, b]), [pd.DataFrame({"x": pd.array([1, None], "Int64"), "y": ["a", pd.NA]})] * 3),
        (lambda a, b: pa.concat_tables([a, b]), [pa.table({"x": [1.0, math.nan], "y": [None, "b"]})] * 3),
        (lambda a, b: a.add(b, fill_value=0), [pd.Series([0.1, np.nan]), pd.Series([0.7]), pd.Series([0.2, 0.3])]),
        (np.ma.add, [np.ma.array([1.0, 2.0], mask=[False, one]) for one in (True, False, True)]),
        (lambda a, b: a @ b, [np.random.default_rng(n).normal(size=(9, 9)) for n in range(3)]),
    ],
    ids=["cancels", "cancels in 32 bits", "cancels beside a large number", "means with numbers", "unknown mean",
         "decimal", "pandas", "arrow", "series", "masked", "matrices"],
)  # fmt: skip
def test_rounding_and_unknown_values_are_no_difference(reduce: Any, values: list[Any]) -> None:
    trial = Trial(partial(checked, reduce))
    trial.add(values)
    checked(reduce, values)


@pytest.mark.parametrize(
    ("reduce", "values"),
    [
        (lambda a, b: a - b, [65536, 34464, 1]),
        (lambda a, b: a - b, [10**30, 10**29, 1]),
        (lambda a, b: {"n": a["n"] + b["n"], "x": (a["x"] + b["x"]) / 2}, [{"n": 1e6, "x": x} for x in (1.0, 2.0, 4)]),
        (lambda a, b: (a + b) / 2, [np.array([np.nan, x]) for x in (1.0, 2.0, 4.0)]),
        (lambda a, b: Mean(a.count + b.count, (a.mean + b.mean) / 2), [Mean(1, x) for x in (1.0, 2.0, 4.0)]),
        (lambda a, b: a.assign(x=a.x - b.x), [pd.DataFrame({"x": [x, np.nan], "n": 1}) for x in (1.0, 2.0, 4.0)]),
        (
            lambda a, b: pa.table({"x": (a["x"].to_numpy() + b["x"].to_numpy()) / 2}),
            [pa.table({"x": [x, math.nan]}) for x in (1.0, 2.0, 4.0)],
        ),
        (lambda a, b: Decimal(a - b), [Decimal(3), Decimal(2), Decimal(1)]),
        (lambda a, b: [a, b], [1, 2, 3]),
        (lambda a, b: np.ma.subtract(a, b), [np.ma.array([x, 9.0], mask=[False, True]) for x in (1.0, 2.0, 4.0)]),
    ],
    ids=["integers", "large integers", "dictionary", "array", "dataclass", "pandas", "arrow", "decimal", "nested",
         "masked"],
)  # fmt: skip
def test_a_difference_beside_unknown_or_large_values_is_found(reduce: Any, values: list[Any]) -> None:
    with pytest.raises(FunctionFailed, match="not associative"):
        checked(reduce, values)


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
        (float("nan"), float("nan"), True),
        ({"a": [np.nan]}, {"a": [np.nan]}, True),
        (np.array([1, None, np.nan, "a"], object), np.array([1, None, np.nan, "a"], object), True),
        (np.array([1, None, np.nan, "a"], object), np.array([1, None, np.nan, "b"], object), False),
        (pd.DataFrame({"x": [1.0]}), pd.DataFrame({"y": [1.0]}), False),
        (pd.NaT, pd.NaT, True),
        (1.0, "a", False),
        (3, 4, False),
    ],
)
def test_alike(one: Any, other: Any, same: bool) -> None:
    assert alike(one, other) is same
