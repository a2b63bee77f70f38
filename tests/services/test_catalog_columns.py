"""A table whose files have different columns: cameras with other apertures and filters, files of an older Gozen.

Covered: append, look up, correct, compact and SQL on all of them. LSDB and HATS: tests/real/test_catalog_lsdb.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.catalog.maintain.compact import compact
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.write.append import append_night
from gozen.quickdb import connect
from gozen.quickdb.patches.patch import Patch

from ..catalog_samples import field_of, older_gozen, rows_of

FIELD = field_of()
STAR = int(FIELD.source_id[0])
TOMOE = {"further": (10,), "aperture_diameter": 21, "filter": "None"}
SMALL = {"further": (21,), "aperture_diameter": 10, "filter": "R"}


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without fsync, which is most of the time here: no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "archive")


def appended(store: Store) -> Catalog:
    """A night of an older Gozen, then one with two cameras."""
    with older_gozen():
        append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, "1", further=(10,))])
    two = [rows_of(FIELD, 20240102, "1", **TOMOE), rows_of(FIELD, 20240102, "2", sensor=1, **SMALL)]
    append_night(store, "lightcurves", 20240102, two)
    return open_catalog(store, "lightcurves")


def seen(catalog: Catalog) -> list[tuple[object, ...]]:
    """Return what each row of a star says: once for the frames of an exposure."""
    names = ["night", "sensor", "aperture_diameter", "filter"]
    rows = catalog.lightcurve(STAR, [*names, "flux_10", "flux_21"]).to_pylist()
    known = [(*(row[name] for name in names), row["flux_10"] is None, row["flux_21"] is None) for row in rows]
    return list(dict.fromkeys(known))


MIXED = [
    (20240101, 111, None, None, False, True),
    (20240102, 111, 21, "None", False, True),
    (20240102, 1, 10, "R", True, False),
]


def test_cameras_of_other_apertures_and_older_files_are_looked_up_together(store: Store) -> None:
    catalog = appended(store)
    assert seen(catalog) == MIXED
    cone = catalog.cone(float(FIELD.ra[0]), float(FIELD.dec[0]), 1, ["aperture_diameter", "filter"])
    assert cone["aperture_diameter"].to_pylist() == [None] * 3 + [21] * 3 + [10] * 3
    assert b"21" not in catalog.schema.field("flux").metadata[b"description"], "it holds for all rows"


def test_a_compaction_keeps_what_each_row_says(store: Store) -> None:
    appended(store)
    compact(store, "lightcurves", everything=True)
    assert len(open_catalog(store, "lightcurves").urls()) == 1
    assert seen(open_catalog(store, "lightcurves")) == MIXED


@pytest.mark.parametrize("compacted", [False, True])
def test_a_correction_of_an_older_night_brings_its_columns(store: Store, compacted: bool) -> None:
    appended(store)
    if compacted:
        compact(store, "lightcurves", everything=True)
    append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, "1", run="r2", **TOMOE)])
    assert seen(open_catalog(store, "lightcurves")) == [(20240101, 111, 21, "None", False, True), *MIXED[1:]]


def test_an_older_table_alone_reads_newer_columns_as_null(store: Store, tmp_path: Path) -> None:
    with older_gozen():
        append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, "1")])
    star = open_catalog(store, "lightcurves").lightcurve(STAR)
    assert (star["filter"].null_count, star["aperture_diameter"].null_count) == (3, 3)
    api = connect(tmp_path / "archive", workers=0)
    found = api.sql("SELECT filter, aperture_diameter, count(*) AS n FROM lightcurves GROUP BY ALL").to_pylist()
    assert found == [{"filter": None, "aperture_diameter": None, "n": 36}]


def filters_in(patch: Patch) -> list[str]:
    return sorted(set(patch("lightcurves.filter")))


def test_a_function_of_a_users_reads_them_from_older_files_too(store: Store, tmp_path: Path) -> None:
    appended(store)
    api = connect(tmp_path / "archive", workers=0)
    assert {one for found in api.map(filters_in, table="lightcurves") for one in found} == {"", "None", "R"}


def test_sql_asks_for_apertures_and_filters(store: Store, tmp_path: Path) -> None:
    appended(store)
    api = connect(tmp_path / "archive", workers=0)
    found = api.sql(
        "SELECT aperture_diameter AS d, filter, count(*) AS n, count(flux_10) AS narrow FROM lightcurves "
        "GROUP BY ALL ORDER BY d NULLS FIRST"
    ).to_pylist()
    assert [tuple(row.values()) for row in found] == [(None, None, 36, 36), (10, "R", 36, 0), (21, "None", 36, 36)]
