"""Mean and scatter of stars over the parts of a table, and which stars are drawn; compared with NumPy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gozen.catalog.format.schema import Flag
from gozen.publication.star_statistics import LEAST_POINTS, statistics_of, sums_of


def rows(source: int, mag: list[float | None], filter_: str = "r", flags: int = 0) -> pa.Table:
    count = len(mag)
    return pa.table({
        "source_id": pa.array([source] * count, pa.int64()),
        "filter": pa.array([filter_] * count, pa.string()),
        "mag": pa.array(mag, pa.float32()),
        "mag_err": pa.array([None if one is None else 0.01 for one in mag], pa.float32()),
        "flags": pa.array([flags] * count, pa.uint16()),
    })  # fmt: skip


def test_parts_together_give_the_statistics_of_all_points() -> None:
    dice = np.random.default_rng(1)
    values = dice.normal(15, 0.02, 40).astype(np.float32).tolist()
    found = statistics_of([sums_of(rows(1, values[:13])), sums_of(rows(1, [*values[13:], None]))])
    assert found.points.tolist() == [40]
    assert found.mag[0] == pytest.approx(np.mean(values), abs=1e-6)
    assert found.scatter[0] == pytest.approx(np.std(values), rel=1e-4)
    assert found.error[0] == pytest.approx(0.01)


@pytest.mark.parametrize("flag", [Flag.SATURATED, Flag.NOT_DETECTED, Flag.NO_CALIBRATION])
def test_bad_points_do_not_count(flag: Flag) -> None:
    parts = [sums_of(rows(1, [15.0, 15.2])), sums_of(rows(1, [9.0] * 5, flags=int(flag)))]
    assert statistics_of(parts).points.tolist() == [2]
    assert len(statistics_of(parts[1:]).points) == 0


def test_filters_of_a_star_are_not_mixed() -> None:
    found = statistics_of([sums_of(rows(1, [15.0] * 12)), sums_of(rows(1, [16.0] * 12, "g"))])
    assert sorted(found.mag.tolist()) == [15.0, 16.0]
    assert found.scatter.tolist() == [0.0, 0.0]


def test_the_most_variable_stars_come_first_and_those_with_few_points_last() -> None:
    quiet, loud = [15.0, 15.01] * 6, [15.0, 15.5] * 6
    few = [12.0, 18.0]
    assert len(few) < LEAST_POINTS
    found = statistics_of([sums_of(rows(n, mag)) for n, mag in ((1, quiet), (2, loud), (3, few), (4, quiet))])
    assert found.most_variable(3) == [2, 1, 4]
    assert found.source_id[found.comparable].tolist() == [1, 2, 4]
    assert statistics_of([sums_of(rows(3, few))]).comparable.all()
