"""Patches of real tables: every row is in one patch, and every star is complete.

Covered: light curves of several nights (a star has rows in several files) with any patch size, object tables with any
partitions, the order of rows in a patch, columns that old files lack, margins of every patch, patches in a region.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gozen.archive.stores.directory_store import DirectoryStore
from gozen.catalog.format import partition_parquet
from gozen.catalog.format.manifest import Manifest
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.write import append, write_table
from gozen.catalog.write.table_options import TableOptions
from gozen.quickdb.patches.column_reader import TableReader
from gozen.quickdb.patches.patch_data import PatchData
from gozen.quickdb.patches.patch_extents import PatchExtent, overlapping, patches_of
from gozen.quickdb.patches.region import Cone
from gozen.quickdb.work.job_files import FileSource
from gozen.quickdb.work.tasks import TableFiles

from ..catalog_samples import Field, field_of, object_schema, objects_of, rows_of


@pytest.fixture(autouse=True, scope="module")
def _fast_disk() -> Iterator[None]:
    """Do without fsync: no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="module")
def _small_row_groups() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(append, "SOURCE_ROW_GROUP", 25)
        yield


class Opened:
    """A version of a table, cut into patches."""

    def __init__(self, store: DirectoryStore, version: Manifest, target: int) -> None:
        self.catalog = Catalog(store, version)
        index = partition_parquet.decoded(store.read(version.key_of(version.index)))
        self.patches = patches_of({"t": index}, version.kind, target)
        folder = version.key_of_file("").rstrip("/")
        self.files = {"t": TableFiles(folder, version.key_of(version.index), self.catalog.schema)}
        self.store = store
        self.reader = TableReader(store, folder)

    def rows(self, patch: PatchExtent, names: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """Return columns of a patch, row by row."""
        data = PatchData(patch, {"t": self.reader}, {"t": self.catalog.schema})
        columns = data.columns("t", names)
        assert {len(column) for column in columns.values()} == {data.rows}
        return list(zip(*(columns[name].tolist() for name in names), strict=True))


LIGHT_CURVE = ("_healpix_29", "source_id", "mjd", "flux", "sensor")


@pytest.fixture(scope="module", params=[(150, 0.5, 150.0), (60, 3.0, 0.0), (2, 0.001, 0.0)], ids=str)
def history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DirectoryStore:
    """Return three nights in small row groups; not all stars are seen each night, and the last has a column more."""
    count, size, ra = request.param
    field, random = field_of(count, 2, ra, 2.3, size), np.random.default_rng(count)
    store = DirectoryStore(tmp_path_factory.mktemp("history"))
    request.getfixturevalue("_small_row_groups")
    for night in range(20260101, 20260104):
        seen = np.flatnonzero(random.random(count) < 0.8) if count > 2 else np.arange(count)
        part = Field(field.source_id[seen], field.ra[seen], field.dec[seen], 2)
        append.append_night(store, "lc", night, [rows_of(part, night, "1", further=(10,) if night == 20260103 else ())])
    return store


@given(target=st.integers(1, 900))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_light_curves_are_whole_and_no_row_is_lost_or_doubled(history: DirectoryStore, target: int) -> None:
    table = Opened(history, Catalog.open(history, "lc").manifest, target)
    wanted = table.catalog.table(LIGHT_CURVE)
    found = [table.rows(patch, LIGHT_CURVE) for patch in table.patches]
    assert sorted(row for rows in found for row in rows) == sorted(zip(*wanted.to_pydict().values(), strict=True))
    stars_of = [{row[1] for row in rows} for rows in found]
    assert sum(map(len, stars_of)) == len(set().union(*stars_of))
    assert all(rows == sorted(rows, key=lambda row: row[:3]) for rows in found)
    for patch, rows in zip(table.patches, found, strict=True):
        assert all(patch.start <= row[0] < patch.stop for row in rows)
    assert all(one.stop <= other.start for one, other in itertools.pairwise(table.patches))


def test_files_that_lack_a_column_have_nan_there(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    field = field_of(5, 0)
    append.append_night(store, "lc", 20260101, [rows_of(field, 20260101, "1")])
    append.append_night(store, "lc", 20260102, [rows_of(field, 20260102, "1", further=(10,))])
    table = Opened(store, Catalog.open(store, "lc").manifest, 10**6)
    (patch,) = table.patches
    rows = table.rows(patch, ("night", "flux_10", "origin"))
    assert {(night, bool(np.isnan(flux)), origin) for night, flux, origin in rows} == {
        (20260101, True, "stack"), (20260102, False, "stack"),
    }  # fmt: skip


OBJECT = ("_healpix_29", "source_id", "ra", "kind")


@given(
    count=st.integers(1, 3000),
    most=st.integers(10, 3000),
    seed=st.integers(0, 1000),
    size=st.sampled_from([0.01, 1.0]),
    dec=st.sampled_from([0.0, 41.8, -89.0]),
)
@settings(max_examples=8)
def test_objects_are_in_one_patch_each_and_margins_are_the_sky_around(
    count: int, most: int, seed: int, size: float, dec: float
) -> None:
    objects = objects_of(count, seed, dec=dec, size=size)
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore(Path(folder))
        version = write_table.write_table(
            store, "t", object_schema(), [objects], TableOptions(partition_rows=most, margin_arcsec=None)
        )
        table = Opened(store, version, 1)
        wanted = table.catalog.table(OBJECT)
        found = [table.rows(patch, OBJECT) for patch in table.patches]
        assert [row for rows in found for row in rows] == list(zip(*wanted.to_pydict().values(), strict=True))
        assert all(len(rows) == patch.rows for patch, rows in zip(table.patches, found, strict=True))
        assert_margin(table, table.patches[seed % len(table.patches)], wanted)
        assert_region(table, found, Cone(150, dec, size / 3), wanted)


def assert_margin(table: Opened, patch: PatchExtent, every: pa.Table, arcsec: float = 30.0) -> None:
    source = FileSource(table.store, table.files)
    source.begin([(0, patch)])
    mine = set(source.columns(0, "t", ["source_id"])["source_id"].tolist())
    number, rows = source.margin(0, arcsec)
    margin = source.columns(number, "t", ["source_id"])["source_id"].tolist()
    assert len(margin) == len(set(margin)) == rows
    assert not mine & set(margin)
    near = near_of(table, mine, arcsec)
    assert near - mine <= set(margin) <= set(every["source_id"].to_pylist())


def near_of(table: Opened, mine: set[int], arcsec: float) -> set[int]:
    """Return what lies within a distance of the objects of a patch, by one tree over all."""
    from scipy.spatial import cKDTree

    from gozen.catalog.format.healpix import unit_vectors

    every = table.catalog.table(["source_id", "ra", "dec"])
    ids = every["source_id"].to_numpy()
    vectors = unit_vectors(every["ra"].to_numpy(), every["dec"].to_numpy())
    inside = np.isin(ids, list(mine))
    found = cKDTree(vectors).query_ball_point(vectors[inside], np.radians(arcsec / 3600))
    return {int(ids[other]) for others in found for other in others}


def assert_region(table: Opened, found: list[list[tuple[Any, ...]]], cone: Cone, every: pa.Table) -> None:
    chosen = {patch.id for patch in overlapping(table.patches, cone.ranges())}
    inside = table.catalog.cone(cone.ra, cone.dec, cone.radius * 3600, ["source_id"])["source_id"].to_pylist()
    of_chosen = {row[1] for patch, rows in zip(table.patches, found, strict=True) if patch.id in chosen for row in rows}
    assert set(inside) <= of_chosen
