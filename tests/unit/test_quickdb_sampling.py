"""Test jobs on a sample of the patches: sums are scaled and get an error, other results are unchanged.

Covered: the choice of patches, always the same; sums within their error; numbers, histograms with edges, dicts; results
that are not sums: maxima, lists, joined arrays; patches without a value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gozen.errors import BadRequest
from gozen.quickdb.jobs.sampling import FEWEST, chosen, estimated
from gozen.quickdb.patches.patch_extents import PatchExtent

PATCHES = [PatchExtent(f"5/1/{n}", 1000, n, n + 1, picked=False, pieces={}) for n in range(500)]


def test_the_same_part_each_time_in_order() -> None:
    part = chosen(PATCHES, 0.1)
    assert len(part) == 50
    assert part == chosen(PATCHES, 0.1)
    assert part == sorted(part, key=lambda patch: patch.start)
    assert part != chosen(PATCHES, 0.1, seed=1)


@pytest.mark.parametrize(("fraction", "count"), [(1e-9, FEWEST), (0.5, 250), (0.501, 251), (1, 500), (1.0, 500)])
def test_how_many_patches(fraction: float, count: int) -> None:
    assert len(chosen(PATCHES, fraction)) == count
    assert chosen(PATCHES[:3], fraction) == PATCHES[:3]


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, 100, float("nan")])
def test_a_part_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(BadRequest, match=r"as 0\.01 for 1 %"):
        chosen(PATCHES, fraction)


def test_sums_are_within_their_errors() -> None:
    random = np.random.default_rng(3)
    rows = random.integers(500, 1500, 500)
    counts = random.binomial(rows[:, None], [0.5, 0.1, 0.01])
    pulls = []
    for seed in range(100):
        at = np.random.default_rng(seed).choice(500, 40, replace=False)
        values = [counts[one] for one in at]
        found = estimated(sum(values), values, rows[at].tolist(), int(rows.sum()), 500)
        assert found.fraction == pytest.approx(rows[at].sum() / rows.sum())
        pulls.append((found.value - counts.sum(axis=0)) / found.error)
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.3
    assert np.std(pulls, axis=0) == pytest.approx(1, abs=0.25)


def of_sample(values: list[Any], total: Any) -> Any:
    return estimated(total, values, [10] * len(values), 10 * len(values) * 4, len(values) * 4)


def test_edges_of_a_histogram_are_not_scaled() -> None:
    edges = np.linspace(0, 1, 4)
    values = [(np.array([1.0, 2, n]), edges) for n in range(8)]
    value, error, fraction = of_sample(values, (sum(v[0] for v in values), edges))
    assert fraction == 0.25
    assert value[0].tolist() == [32, 64, 112]
    assert value[1] is edges
    assert error[0][0] == error[0][1] == 0 < error[0][2]
    assert np.isnan(error[1]).all()


def test_numbers_dicts_and_patches_without_a_value() -> None:
    value, error, _ = of_sample([None, {"n": 3}, {"n": 5, "m": 1}], {"n": 8, "m": 1})
    assert value == {"n": 32, "m": 4}
    assert error["n"] > 0
    value, error, _ = of_sample([1, 2, 3, True], 7)
    assert value == 28


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([3, 9, 4], 9),
        ([np.arange(2), np.arange(5), np.arange(1)], np.arange(8)),
        ([[1], [2, 3], []], [1, 2, 3]),
        ([(1, 2), (3,), (4, 5)], (8, 7, 6)),
        (["a", "b", "c"], "abc"),
        ([{"a": 1}, 5, None], {"a": 6}),
        ([None, None, None], None),
        ([{1}, {2}, {3}], {1, 2, 3}),
        ([np.array(["a"]), np.array(["b"]), np.array(["c"])], np.array(["a", "b", "c"])),
    ],
    ids=lambda one: type(one).__name__ if not isinstance(one, list) else "",
)
def test_what_does_not_add_up_is_given_as_it_is(values: list[Any], total: Any) -> None:
    value, _, _ = of_sample(values, total)
    np.testing.assert_equal(value, total)


def test_of_one_patch_alone_sums_are_told_from_the_rest_by_what_two_make() -> None:
    counts, edges = np.array([3, 4]), np.array([0.0, 1.0, 2.0])
    found = estimated((counts, edges), [None, (counts, edges)], [50, 50], 1000, 20, doubled=(2 * counts, edges))
    np.testing.assert_allclose(found.value[0], [30, 40])
    np.testing.assert_array_equal(found.value[1], edges)
    assert np.isnan(found.error[1]).all()
