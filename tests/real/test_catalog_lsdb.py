"""Gozen's collections in other programs: unmodified LSDB, strict HATS validation, DuckDB.

Covered: two nights and a correction in LSDB and DuckDB, compared with Gozen's reader; LSDB's cone search; a compaction
that is killed at each step, after which LSDB counts every row once; releases with their margins; an object table; the
reference collection, cross-matched across its margin. The stars are observed ones if the test data exist: the field of
ATLAS-Refcat2 around EY UMa.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import lsdb
import numpy as np
import pandas as pd
import pytest
from hats.io.validation import is_valid_catalog
from scipy.spatial import cKDTree

from gozen.archive.stores.open_store import open_store
from gozen.catalog import open_catalog
from gozen.catalog.format import healpix, layout, source_ids
from gozen.catalog.maintain.compact import compact
from gozen.catalog.maintain.release import release
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.reference.reference_catalog import read_reference
from gozen.catalog.reference.reference_table import write_reference
from gozen.catalog.write.append import append_night
from gozen.catalog.write.table_options import TableOptions
from gozen.catalog.write.write_table import write_table
from gozen.errors import StorageUnavailable

from ..catalog_samples import DyingStore, field_of, object_schema, objects_of, older_gozen, rows_of
from ..observed_data import DATA

pytestmark = pytest.mark.xdist_group("lsdb")  # one process imports what takes seconds to import

FIELD = field_of(count=400, lone=20, size=2.0)
KEYS = ["source_id", "exposure", "sensor", "frame"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archive")
    store = open_store(root)
    with older_gozen():
        append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, e) for e in ("1", "2")])
    rows = rows_of(FIELD, 20240102, "7", further=(10,), filter="R", aperture_diameter=21)
    append_night(store, "lightcurves", 20240102, [rows])
    return root


@pytest.fixture(scope="module")
def corrected(root: Path) -> Catalog:
    store = open_store(root)
    append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, "2", run="r2")])
    return open_catalog(store, "lightcurves")


def by_key(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(KEYS).reset_index(drop=True)


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    columns = [
        "source_id",
        "mjd",
        "flux",
        "flux_10",
        "flags",
        "exposure",
        "run",
        "frame",
        "filter",
        "aperture_diameter",
    ]
    for name in columns:
        left, right = by_key(one)[name].astype(object), by_key(other)[name].astype(object)
        assert left.where(left.notna(), None).tolist() == right.where(right.notna(), None).tolist(), name


@pytest.mark.parametrize("table", ["lightcurves", "objects"])
def test_collections_are_strictly_valid(root: Path, table: str) -> None:
    assert is_valid_catalog(root / "catalogs" / table, strict=True)


def test_lsdb_reads_the_same_rows_before_and_after_a_correction(root: Path, request: pytest.FixtureRequest) -> None:
    ours = open_catalog(open_store(root), "lightcurves")
    same(lsdb.open_catalog(root / "catalogs/lightcurves").compute(), ours.table().to_pandas())
    corrected: Catalog = request.getfixturevalue("corrected")
    assert len(corrected.table()) == len(ours.table())
    same(lsdb.open_catalog(root / "catalogs/lightcurves").compute(), corrected.table().to_pandas())
    assert is_valid_catalog(root / "catalogs/lightcurves", strict=True)


@pytest.mark.parametrize("star", [0, 100, 250])
def test_lsdbs_cone_agrees_with_ours(root: Path, corrected: Catalog, star: int) -> None:
    where = (float(FIELD.ra[star]), float(FIELD.dec[star]), 900.0)
    theirs = lsdb.open_catalog(root / "catalogs/lightcurves", search_filter=lsdb.ConeSearch(*where)).compute()
    ours = corrected.cone(*where)
    assert len(ours) > 9
    same(theirs, ours.to_pandas())


def test_duckdb_on_the_explicit_files_agrees(corrected: Catalog) -> None:
    query = f"SELECT * FROM read_parquet({corrected.urls()}, union_by_name=true)"
    same(duckdb.sql(query).df(), corrected.table().to_pandas())


def test_lsdb_counts_every_row_once_while_a_compaction_runs(root: Path, corrected: Catalog, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "archive")
    begun = lsdb.open_catalog(tmp_path / "archive/catalogs/lightcurves")
    wanted = corrected.table().to_pandas()
    deaths, died = 0, True
    while died:
        try:
            compact(DyingStore(tmp_path / "archive", deaths), "lightcurves", everything=True, partition_rows=700)
            died = False
        except StorageUnavailable:
            deaths += 9
        same(lsdb.open_catalog(tmp_path / "archive/catalogs/lightcurves").compute(), wanted)
    assert deaths > 20
    assert open_catalog(open_store(tmp_path / "archive"), "lightcurves").info().generation > 2
    assert is_valid_catalog(tmp_path / "archive/catalogs/lightcurves", strict=True)
    same(begun.compute(), wanted)


def test_a_release_is_a_catalogue_of_its_own_with_its_margin(root: Path, corrected: Catalog, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "archive")
    store, wanted = open_store(tmp_path / "archive"), corrected.table().to_pandas()
    made = release(store, "dr1", {"lightcurves": "lightcurves", "objects": "objects"})
    append_night(store, "lightcurves", 20240103, [rows_of(FIELD, 20240103, "1")])
    paths = {w: tmp_path / "archive" / layout.generation(v.name, v.generation) for w, v in made.tables.items()}
    assert all(is_valid_catalog(path, strict=True) for path in paths.values())
    same(lsdb.open_catalog(paths["lightcurves"]).compute(), wanted)
    margin = paths["objects"].parent / made.tables["objects"].margin
    objects = lsdb.open_catalog(paths["objects"], margin_cache=margin)
    assert is_valid_catalog(margin, strict=True)
    assert len(objects.compute()) == FIELD.lone
    assert objects.margin is not None


def test_an_object_table_is_valid_and_lsdb_reads_its_rows(tmp_path: Path) -> None:
    rows = objects_of(3000)
    write_table(open_store(tmp_path), "forced", object_schema(), [rows], TableOptions(partition_rows=400))
    assert is_valid_catalog(tmp_path / "catalogs/forced", strict=True)
    theirs = lsdb.open_catalog(tmp_path / "catalogs/forced").compute().sort_values("source_id")
    ours = rows.to_pandas().sort_values("source_id")
    for name in ("source_id", "ra", "isprimary", "kind", "r_psfflux_flux"):
        left, right = theirs[name].astype(object), ours[name].astype(object)
        assert left.where(left.notna(), None).tolist() == right.where(right.notna(), None).tolist(), name


def test_a_crossmatch_loses_nothing_at_the_edges_of_partitions(tmp_path: Path) -> None:
    stars = read_reference(DATA / "eyuma/all_refcat2_ey_uma.ecsv")
    assert len(stars) == 187
    version = write_reference(open_store(tmp_path), "gaia", stars, partition_rows=4)
    assert len(version.partitions) > 40
    assert is_valid_catalog(tmp_path / "catalogs/gaia", strict=True)
    shifted = pd.DataFrame({"ra": stars.ra, "dec": stars.dec + 3.5 / 3600, "n": np.arange(len(stars))})
    left = lsdb.from_dataframe(
        shifted, ra_column="ra", dec_column="dec", lowest_order=8, highest_order=11, partition_rows=50
    )
    found = left.crossmatch(
        lsdb.open_catalog(tmp_path / "catalogs/gaia"),
        radius_arcsec=4.5,
        n_neighbors=5,
        suffix_method="overlapping_columns",
    ).compute()
    trees = [cKDTree(healpix.unit_vectors(stars.ra, dec)) for dec in (stars.dec + 3.5 / 3600, stars.dec)]
    expected = trees[0].count_neighbors(trees[1], 2 * np.sin(np.radians(4.5 / 3600) / 2))
    assert len(found) == expected >= len(stars)


def test_gaia_ids_of_the_real_field_are_kept() -> None:
    stars = read_reference(DATA / "eyuma/all_refcat2_ey_uma.ecsv")
    assert stars.epoch == 2015.5
    assert 1015783782961610496 in stars.source_id
    assert np.isfinite(stars.g).all()
    pixel = healpix.pixels(*stars.at_epoch(2016.0), 12)
    assert np.mean(stars.source_id >> 35 == pixel) > 0.95


def test_a_real_catalogue_without_ids_gets_ours() -> None:
    stars = read_reference(DATA / "lowell5945/truth/lowell5945_starcat_819.fits")
    assert len(stars) == 819 == len(np.unique(stars.source_id))
    assert np.nanmin(stars.g) < -16, "instrumental magnitudes"
    assert source_ids.is_own(stars.source_id).all()
