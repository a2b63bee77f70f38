"""Random histories of appends, compared with a model of the table.

Covered: any order of nights, exposures, sensors and runs; repetitions; kills at a random write, followed by the same
append. After each step, Gozen and a reader that lists folders see exactly the rows of the model, and ids stay with
their sources.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gozen.archive.stores.open_store import open_store
from gozen.catalog import open_catalog
from gozen.catalog.format import healpix, layout, partition_parquet
from gozen.catalog.format.layout import Partition
from gozen.catalog.write.append import append_night
from gozen.errors import StorageUnavailable

from ..catalog_samples import DyingStore, directory_rows, field_of, identities, rows_of

FIELD = field_of(count=4, lone=1, size=2.5)
NIGHTS = [20240101, 20240102]

part = st.tuples(
    st.sampled_from(["1", "2"]), st.sets(st.sampled_from([111, 112]), min_size=1), st.sampled_from(["r1", "r2"])
)
step = st.tuples(
    st.sampled_from(NIGHTS),
    st.lists(part, min_size=1, max_size=2, unique_by=lambda one: one[0]),
    st.one_of(st.none(), st.integers(0, 30)),
)


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without fsync, which is most of the time here: no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(step, min_size=1, max_size=4))
def test_the_table_holds_what_was_appended(tmp_path_factory: pytest.TempPathFactory, history: list[tuple]) -> None:
    root = tmp_path_factory.mktemp("archive")
    store = open_store(root)
    held: dict[tuple[int, str], tuple[str, set[int]]] = {}
    for night, parts, killed_after in history:
        tables = [rows_of(FIELD, night, e, run, s, frames=1) for e, sensors, run in parts for s in sorted(sensors)]
        if killed_after is not None:
            _append_and_die(root, night, tables, killed_after)
        append_night(store, "lightcurves", night, tables)
        for exposure, sensors, run in parts:
            before_run, before = held.get((night, exposure), (run, set()))
            held[night, exposure] = (run, sensors | before if before_run == run else sensors)
        wanted = sorted(
            row
            for (n, exposure), (run, sensors) in held.items()
            for sensor in sensors
            for row in identities(rows_of(FIELD, n, exposure, run, sensor, frames=1))
        )
        catalog = open_catalog(store, "lightcurves")
        assert identities(catalog.table()) == wanted
        assert identities(directory_rows(root, "lightcurves")) == wanted
        star = catalog.lightcurve(int(FIELD.source_id[0]))
        assert len(star) == sum(len(sensors) for _, sensors in held.values())
    assert open_catalog(store, "objects").info().rows == FIELD.lone


def _append_and_die(root: Path, night: int, tables: list, after: int) -> None:
    try:
        append_night(DyingStore(root, after), "lightcurves", night, tables)
    except StorageUnavailable:
        return


@settings(max_examples=60, deadline=None)
@given(
    place=st.lists(st.integers(0, 12 * 4**29 - 1), min_size=1, max_size=30),
    deep=st.lists(st.tuples(st.integers(2, 7), st.integers(0, 12 * 4**7 - 1)), max_size=6),
)
def test_partitions_cover_every_row_and_never_overlap(place: list[int], deep: list[tuple[int, int]]) -> None:
    existing: list[Partition] = []
    for order, pixel in deep:
        one = Partition(order, pixel % (12 * 4**order))
        if all(one.stop <= other.start or other.stop <= one.start for other in existing):
            existing.append(one)
    rows = np.sort(np.array(place, np.int64))
    found = layout.partitions_for(rows, existing, 5)
    together = sorted({*existing, *found}, key=lambda p: p.start)
    assert all(one.stop <= other.start for one, other in itertools.pairwise(together))
    assert all(any(p.start <= row < p.stop for p in found) for row in rows)
    assert len(set(found)) == len(found)


@settings(max_examples=100, deadline=None)
@given(
    ra=st.floats(0, 359.99),
    dec=st.floats(-90, 90),
    radius=st.floats(0, 20),
    angle=st.floats(0, 360),
    inside=st.floats(0, 1),
)
def test_the_ranges_of_a_cone_hold_every_position_in_it(
    ra: float, dec: float, radius: float, angle: float, inside: float
) -> None:
    from astropy import units
    from astropy.coordinates import SkyCoord

    centre = SkyCoord(ra * units.deg, dec * units.deg)
    there = centre.directional_offset_by(angle * units.deg, inside * radius * units.deg)
    pixel = healpix.pixels([there.ra.deg], [there.dec.deg])[0]
    ranges = healpix.cone_ranges(ra, dec, radius)
    assert ((ranges[:, 0] <= pixel) & (pixel < ranges[:, 1])).any()
    assert (ranges[1:, 0] > ranges[:-1, 1]).all()


@settings(max_examples=100, deadline=None)
@given(stars=st.lists(st.integers(1, 60), min_size=1, max_size=40), size=st.integers(1, 50))
def test_row_groups_cover_all_rows_and_keep_stars_whole(stars: list[int], size: int) -> None:
    star = np.repeat(np.arange(len(stars)), stars)
    cuts = partition_parquet.row_group_cuts(star, star, size)
    assert cuts[0] == 0
    assert cuts[-1] == len(star)
    assert all(first < last for first, last in itertools.pairwise(cuts))
    assert max(np.diff(cuts)) <= 2 * size
    for cut in cuts[1:-1]:
        assert star[cut - 1] != star[cut] or stars[star[cut]] > 2 * size
