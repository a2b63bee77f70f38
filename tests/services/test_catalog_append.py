"""Append nights and look them up, as a user does.

Covered: the same night twice, corrections, new sensors, further apertures, sources without a reference star, order and
cuts of the files, rows beyond the memory limit, two processes at once on a disk and on S3, a kill at every write, bad
input. LSDB and strict HATS validation are in tests/real; random histories in tests/property.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.catalog.format import hats_files, healpix, partition_parquet, source_ids
from gozen.catalog.format.schema import Flag
from gozen.catalog.read import row_group_reader
from gozen.catalog.write.append import append_night
from gozen.errors import BadRequest, MissingObject, StorageUnavailable
from gozen.settings import load_settings

from ..catalog_samples import DyingStore, RacingStore, directory_rows, field_of, identities, rows_of

FIELD = field_of()
NIGHT = [rows_of(FIELD, 20240101, "1"), rows_of(FIELD, 20240101, "2")]
NEXT = [rows_of(FIELD, 20240102, "7")]


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without fsync, which is most of the time here: no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def everything(store: Store) -> dict[str, bytes]:
    return {key: store.read(key) for key in store.list("catalogs")}


def test_a_star_comes_back_in_time_from_both_nights(store: Store) -> None:
    append_night(store, "lightcurves", "20240102", NEXT)
    append_night(store, "lightcurves", "20240101", NIGHT)
    star = open_catalog(store, "lightcurves").lightcurve(int(FIELD.source_id[0]))
    assert star.column("exposure").to_pylist() == ["1"] * 3 + ["2"] * 3 + ["7"] * 3
    assert star.column("frame").to_pylist() == [0, 1, 2] * 3
    assert (np.diff(star.column("mjd")) > 0).all()
    assert pc.unique(star.column("ra")).to_pylist() == [FIELD.ra[0]]


def test_the_same_night_twice_changes_no_byte(store: Store) -> None:
    first = append_night(store, "lightcurves", "20240101", NIGHT)
    before = everything(store)
    again = append_night(store, "lightcurves", "20240101", reversed(NIGHT))
    assert first.rows_added == len(NIGHT[0]) * 2
    assert (again.rows_added, again.version) == (0, first.version)
    assert everything(store) == before


def test_the_order_of_the_input_does_not_matter(tmp_path: Path) -> None:
    one, other = open_store(tmp_path / "a"), open_store(tmp_path / "b")
    append_night(one, "lightcurves", "20240101", NIGHT)
    shuffled = [t.take(pa.array(np.random.default_rng(1).permutation(len(t)))) for t in reversed(NIGHT)]
    append_night(other, "lightcurves", "20240101", shuffled)
    assert everything(one) == everything(other)


def test_rows_that_spill_to_the_disk_give_the_same_files(tmp_path: Path) -> None:
    one, other = open_store(tmp_path / "a"), open_store(tmp_path / "b")
    lone = field_of(lone=0)
    night = [rows_of(lone, 20240101, str(e)) for e in range(4)]
    append_night(one, "lightcurves", "20240101", night)
    append_night(other, "lightcurves", "20240101", night, memory=1)
    assert everything(one) == everything(other)


def test_a_sensor_that_comes_later_is_added(store: Store) -> None:
    append_night(store, "lightcurves", "20240101", NIGHT)
    late = rows_of(FIELD, 20240101, "2", sensor=112)
    report = append_night(store, "lightcurves", "20240101", [*NIGHT, late])
    assert (report.rows_added, report.exposures) == (len(late), ("2",))
    assert len(open_catalog(store, "lightcurves").table()) == 3 * len(late)


def test_another_run_replaces_the_exposure_in_a_new_generation(store: Store) -> None:
    append_night(store, "lightcurves", "20240101", NIGHT)
    append_night(store, "lightcurves", "20240102", NEXT)
    old = open_catalog(store, "lightcurves")
    better = rows_of(FIELD, 20240101, "2", run="r2")
    report = append_night(store, "lightcurves", "20240101", [better])
    assert (report.rows_added, report.rows_replaced) == (len(better), len(better))
    new = old.refresh()
    runs = new.table(["exposure", "run"]).group_by(["exposure", "run"]).aggregate([([], "count_all")]).to_pylist()
    assert {(r["exposure"], r["run"]) for r in runs} == {("1", "r1"), ("2", "r2"), ("7", "r1")}
    assert len(new.table()) == len(old.table()) == 3 * len(better)
    assert (old.info().generation, new.info().generation) == (1, 2)
    assert set(old.table(["run"])["run"].to_pylist()) == {"r1"}, "a reader of the old version still sees it whole"
    assert identities(directory_rows(store.path("catalogs").parent, "lightcurves")) == identities(new.table())


def test_untouched_files_of_a_correction_are_links(store: Store) -> None:
    append_night(store, "lightcurves", "20240101", NIGHT)
    append_night(store, "lightcurves", "20240102", NEXT)
    append_night(store, "lightcurves", "20240101", [rows_of(FIELD, 20240101, "2", run="r2")])
    kept = [f.path for f in open_catalog(store, "lightcurves").manifest.files if "/20240102-" in f.path]
    for path in kept:
        old, new = (store.path(f"catalogs/lightcurves/lightcurves.g{g}/dataset/{path}") for g in (1, 2))
        assert old.samefile(new)


def test_an_archive_without_links_copies(tmp_path: Path) -> None:
    store = open_store(f"memory://{tmp_path}")
    append_night(store, "lightcurves", "20240101", NIGHT)
    append_night(store, "lightcurves", "20240102", NEXT)
    append_night(store, "lightcurves", "20240101", [rows_of(FIELD, 20240101, "2", run="r2")])
    catalog = open_catalog(store, "lightcurves")
    assert catalog.info().generation == 2
    assert len(catalog.lightcurve(int(FIELD.source_id[0]))) == 9
    assert len(catalog.cone(float(FIELD.ra[0]), float(FIELD.dec[0]), 1)) == 9
    assert catalog.urls()[0].startswith("memory://")


def test_opening_the_package_is_cheap() -> None:
    code = "import sys, gozen.catalog; sys.exit(any(m in sys.modules for m in ('pyarrow', 'numpy', 'astropy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sources_without_a_star_keep_one_id_across_nights(store: Store) -> None:
    first = append_night(store, "lightcurves", "20240101", NIGHT)
    second = append_night(store, "lightcurves", "20240102", NEXT)
    assert (first.new_objects, second.new_objects) == (FIELD.lone, 0)
    rows = open_catalog(store, "lightcurves").table()
    own = rows.filter(pa.array(source_ids.is_own(partition_parquet.numbers(rows, "source_id"))))
    per_id = own.group_by("source_id").aggregate(
        [("night", "count_distinct"), ("mjd", "count"), ("ra", "count_distinct")]
    )
    assert per_id.column("night_count_distinct").to_pylist() == [2] * FIELD.lone
    assert per_id.column("mjd_count").to_pylist() == [9] * FIELD.lone
    assert per_id.column("ra_count_distinct").to_pylist() == [1] * FIELD.lone
    assert all(flags & Flag.UNMATCHED for flags in own.column("flags").to_pylist())
    registered = open_catalog(store, "objects").table()
    assert set(registered.column("source_id").to_pylist()) == set(own.column("source_id").to_pylist())
    assert set(registered.column("first_night").to_pylist()) == {20240101}


def test_two_lone_sources_further_apart_than_an_arcsec_are_two(store: Store) -> None:
    ra, dec = np.array([10.0, 10.0, 10.0]), np.array([5.0, 5.0 + 0.8 / 3600, 5.0 + 2.5 / 3600])
    field = type(FIELD)(np.zeros(3, np.int64), ra, dec, 3)
    append_night(store, "lightcurves", "20240101", [rows_of(field, 20240101, "1", offset_arcsec=0)])
    assert open_catalog(store, "objects").info().rows == 2
    found = open_catalog(store, "lightcurves").cone(10.0, 5.0, 1.5)
    assert len(found) == 6, "two sources within an arcsec are one"


def test_new_columns_read_as_null_from_older_files(store: Store) -> None:
    append_night(store, "lightcurves", "20240101", NIGHT)
    append_night(store, "lightcurves", "20240102", [rows_of(FIELD, 20240102, "7", further=(10,))])
    catalog = open_catalog(store, "lightcurves")
    names = list(catalog.info().columns)
    assert names[names.index("flux_err") + 1 :][:2] == ["flux_10", "flux_err_10"]
    star = catalog.lightcurve(int(FIELD.source_id[0]), ["night", "flux_10"]).to_pylist()
    assert [row["flux_10"] is None for row in star] == [row["night"] == 20240101 for row in star]


def test_files_are_sorted_and_cut_at_stars(store: Store) -> None:
    append_night(store, "lightcurves", "20240101", NIGHT)
    for url in open_catalog(store, "lightcurves").urls():
        table = pq.read_table(url, partitioning=None)
        keys = [partition_parquet.numbers(table, name) for name in ("mjd", "source_id", "_healpix_29")]
        np.testing.assert_array_equal(np.lexsort(keys), np.arange(len(table)))
        places = healpix.pixels(partition_parquet.numbers(table, "ra"), partition_parquet.numbers(table, "dec"))
        np.testing.assert_array_equal(places, keys[2])
        assert Path(url).name.startswith("20240101-")


def test_row_groups_end_between_stars() -> None:
    star = np.repeat(np.arange(100), 30)
    cuts = partition_parquet.row_group_cuts(star, star, size=100)
    assert cuts[0] == 0
    assert cuts[-1] == 3000
    assert all(cut % 30 == 0 for cut in cuts)
    assert max(np.diff(cuts)) == 90


def test_a_star_too_long_for_a_row_group_gets_its_own_then_is_cut() -> None:
    star = np.repeat([1, 2, 3], [20, 150, 500])
    assert partition_parquet.row_group_cuts(star, star, size=100) == [0, 20, 170, 270, 370, 470, 670]


def test_numbers_of_bytes_and_encodings_are_as_specified(store: Store) -> None:
    lone = field_of(count=2000, lone=0, size=0.2)
    append_night(store, "lightcurves", "20240101", [rows_of(lone, 20240101, str(e), frames=18) for e in range(2)])
    metadata = pq.read_metadata(open_catalog(store, "lightcurves").urls()[0])
    columns = {c.path_in_schema: c for c in (metadata.row_group(0).column(i) for i in range(metadata.num_columns))}
    assert {c.compression for c in columns.values()} == {"LZ4"}
    assert "BYTE_STREAM_SPLIT" in columns["flux"].encodings
    assert "RLE_DICTIONARY" in columns["source_id"].encodings
    assert "RLE_DICTIONARY" in columns["night"].encodings
    assert columns["ra"].total_compressed_size < metadata.row_group(0).num_rows


def test_lookups_find_nothing_where_there_is_nothing(store: Store) -> None:
    append_night(store, "lightcurves", "20240101", NIGHT)
    catalog = open_catalog(store, "lightcurves")
    for nothing in (catalog.lightcurve(4295806720), catalog.lightcurve(-5), catalog.cone(10.0, -80.0, 60)):
        assert len(nothing) == 0
        assert nothing.schema.names == list(catalog.info().columns)


def test_an_id_that_left_its_pixel_is_found_in_a_neighbour(store: Store) -> None:
    ra, dec = np.array([150.0]), np.array([2.0])
    pixel = int(healpix.pixels(ra, dec, 12)[0])
    other = next(int(p) for p in healpix.with_neighbours(pixel, 12) if p != pixel)
    moved = type(FIELD)(np.array([(other << 35) | 128]), ra, dec, 0)
    append_night(store, "lightcurves", "20240101", [rows_of(moved, 20240101, "1")])
    assert len(open_catalog(store, "lightcurves").lightcurve((other << 35) | 128)) == 3


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.999, 41.81), (45.0, 90.0), (200.0, -89.95), (90.0, 41.8103)])
def test_a_cone_is_exact_anywhere_on_the_sky(store: Store, ra: float, dec: float) -> None:
    field = field_of(count=300, lone=0, ra=ra, dec=min(max(dec, -89.9), 89.9), size=0.08)
    append_night(store, "lightcurves", "20240101", [rows_of(field, 20240101, "1", frames=1)])
    for radius in (30.0, 200.0):
        found = open_catalog(store, "lightcurves").cone(ra, dec, radius, ["source_id"])
        there = field.source_id[healpix.separation(ra, dec, field.ra, field.dec) * 3600 <= radius]
        assert sorted(found.column("source_id").to_pylist()) == sorted(there.tolist())


def test_threads_that_share_a_table_read_the_same_with_few_files_open(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = field_of(count=60, lone=0, size=3.0)
    append_night(store, "lightcurves", "20240101", [rows_of(wide, 20240101, "1")])
    catalog = open_catalog(store, "lightcurves")
    assert catalog.info().files > 3
    alone = [catalog.lightcurve(int(star)) for star in wide.source_id]
    assert [len(one) for one in alone] == [3] * 60
    monkeypatch.setattr(row_group_reader, "OPEN_FILES", 2)
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(catalog.lightcurve, wide.source_id.tolist()))
    assert together == alone


def test_missing_tables_columns_and_cones_are_named(store: Store) -> None:
    with pytest.raises(MissingObject, match="lightcurves"):
        open_catalog(store, "lightcurves")
    append_night(store, "lightcurves", "20240101", NIGHT)
    catalog = open_catalog(store, "lightcurves")
    with pytest.raises(BadRequest, match="fluxx"):
        catalog.lightcurve(1, ["fluxx"])
    with pytest.raises(BadRequest, match="dec 91"):
        catalog.cone(0, 91, 5)


@pytest.mark.parametrize(
    ("night", "tables", "says"),
    [
        ("2024-01-01", NIGHT, "YYYYMMDD"),
        ("20240102", NIGHT, "20240101"),
        ("20240101", [NIGHT[0].append_column("fluxx", NIGHT[0].column("flux"))], "fluxx"),
        ("20240101", [NIGHT[0].drop_columns(["mjd"])], "mjd"),
        ("20240101", [NIGHT[0].drop_columns(["ra_meas"])], "ra_meas"),
        ("20240101", [NIGHT[0], rows_of(FIELD, 20240101, "1", run="r2")], "two runs"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(
    store: Store, night: str, tables: list[pa.Table], says: str
) -> None:
    with pytest.raises(BadRequest, match=says):
        append_night(store, "lightcurves", night, tables)
    assert not [key for key in store.list("catalogs") if "/dataset/" in key]


def test_an_empty_night_is_no_version(store: Store) -> None:
    append_night(store, "lightcurves", "20240101", NIGHT)
    assert append_night(store, "lightcurves", "20240103", []).version == 2


APPEND = """
import sys
sys.path.insert(0, {tests!r})
from catalog_samples import field_of, rows_of
from gozen.archive.stores.open_store import open_store
from gozen.catalog.write.append import append_night
from gozen.settings import load_settings
store = open_store({root!r}, load_settings().storage)
create, versions = store.create, ["000000001", "000000002"]
def create_when_told(key, data):
    version = key.startswith("catalogs/lightcurves/manifest/") and key[-14:-5]
    if version in versions:
        versions.remove(version)
        print("ready for", version, flush=True)
        sys.stdin.readline()
    won = create(key, data)
    if version:
        print("first at" if won else "second at", version, flush=True)
    return won
store.create = create_when_told
rows = [rows_of(field_of(), {night}, str(e)) for e in range({night} % 10, 9, 2)]
append_night(store, "lightcurves", {night}, rows)
"""


@pytest.mark.parametrize("where", ["disk", "s3"])
def test_of_two_processes_at_once_one_tries_again_and_nothing_is_lost(
    tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    folder, root = tmp_path, str(tmp_path)
    if where == "s3":
        root = request.getfixturevalue("s3_bucket")
        folder = request.getfixturevalue("s3").folder / root.removeprefix("s3://")
    tests = str(Path(__file__).parents[1])
    nights = [20240101, 20240102]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND.format(tests=tests, root=root, night=night)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for night in nights
    ]
    for version in (1, 2):  # the empty table, and its first night
        for worker in workers:
            while not (line := worker.stdout.readline()).startswith(f"ready for {version:09d}"):
                assert line, "it ended before"
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
    said = sorted(worker.communicate(timeout=60)[0].split("\n")[:-1] for worker in workers)
    assert [worker.returncode for worker in workers] == [0, 0]
    assert said == [["first at 000000002"], ["second at 000000002", "first at 000000003"]]
    store = open_store(root, load_settings().storage)
    catalog = open_catalog(store, "lightcurves")
    wanted = [rows_of(field_of(), n, str(e)) for n in nights for e in range(n % 10, 9, 2)]
    assert identities(catalog.table()) == identities(pa.concat_tables(wanted))
    assert identities(directory_rows(folder, "lightcurves")) == identities(catalog.table())
    objects = open_catalog(store, "objects").table()
    assert len(set(objects.column("source_id").to_pylist())) == len(objects) == FIELD.lone


@pytest.mark.parametrize("correction", [False, True], ids=["append", "correction"])
def test_killed_at_any_write_readers_see_one_whole_version_and_a_rerun_finishes(
    tmp_path: Path, correction: bool
) -> None:
    small = field_of(count=6, lone=2)
    nights = {20240101: [rows_of(small, 20240101, str(e)) for e in (1, 2)]}
    change = rows_of(small, 20240101, "2", run="r2") if correction else rows_of(small, 20240102, "7")
    night = int(change.column("night")[0].as_py())
    after = pa.concat_tables([nights[20240101][0], change] if correction else [*nights[20240101], change])
    before = pa.concat_tables(nights[20240101])
    append_night(open_store(tmp_path / "base"), "lightcurves", 20240101, nights[20240101])
    deaths = 0
    while True:
        root = shutil.copytree(tmp_path / "base", tmp_path / str(deaths))
        store = open_store(root)
        try:
            append_night(DyingStore(root, survives=deaths), "lightcurves", night, [change])
            break
        except StorageUnavailable:
            deaths += 1
        ours = identities(open_catalog(store, "lightcurves").table())
        assert ours in (identities(before), identities(after))
        theirs = identities(directory_rows(root, "lightcurves"))
        assert len(set(theirs)) == len(theirs), "a row counts twice"
        assert set(identities(before) if not correction else []) <= set(theirs)
        append_night(store, "lightcurves", night, [change])
        assert identities(open_catalog(store, "lightcurves").table()) == identities(after)
        assert identities(directory_rows(root, "lightcurves")) == identities(after)
    assert deaths >= 8


def test_a_killed_first_append_leaves_no_table_for_directory_readers_until_it_is_whole(tmp_path: Path) -> None:
    small = field_of(count=6, lone=2)
    night = [rows_of(small, 20240101, "1")]
    deaths = 0
    while True:
        root = tmp_path / str(deaths)
        try:
            append_night(DyingStore(root, survives=deaths), "lightcurves", 20240101, night)
            break
        except StorageUnavailable:
            deaths += 1
        seen = directory_rows(root, "lightcurves")
        assert seen is None or identities(seen) == identities(night[0])
        append_night(open_store(root), "lightcurves", 20240101, night)
        assert identities(directory_rows(root, "lightcurves")) == identities(night[0])
    assert deaths > 8


BETTER = rows_of(FIELD, 20240101, "2", run="r2")
LATE = rows_of(FIELD, 20240101, "3")
RACES = {
    "another night": (NIGHT, (20240102, NEXT), [*NIGHT, *NEXT]),
    "the same": (NIGHT, (20240101, NIGHT), NIGHT),
    "more of the same night": (NIGHT, (20240101, [*NIGHT, LATE]), [*NIGHT, LATE]),
    "less of the same night": (NIGHT, (20240101, NIGHT[:1]), NIGHT),
    "another part of the same night": (NIGHT, (20240101, [NIGHT[1], LATE]), [*NIGHT, LATE]),
    "another run of the same": (NIGHT, (20240101, [BETTER]), NIGHT),
    "a correction": ([BETTER], (20240102, NEXT), [NIGHT[0], BETTER, *NEXT]),
    "two corrections": ([BETTER], (20240101, [BETTER]), [NIGHT[0], BETTER]),
}


@pytest.mark.parametrize("moment", ["lightcurves.g", "index", "manifest/00000000", "generation"])
@pytest.mark.parametrize("race", RACES)
def test_who_comes_second_rereads_and_nothing_is_lost_or_counted_twice(tmp_path: Path, race: str, moment: str) -> None:
    mine, (night, theirs), wanted = RACES[race]
    store = open_store(tmp_path)
    append_night(store, "lightcurves", 20240101, NIGHT if mine == [BETTER] else [])
    racing = RacingStore(
        tmp_path, f"catalogs/lightcurves/{moment}", lambda: append_night(store, "lightcurves", night, theirs)
    )
    append_night(racing, "lightcurves", 20240101, mine)
    if not racing.acted and race != "another run of the same":  # nothing was written there: they come later
        append_night(store, "lightcurves", night, theirs)
    assert identities(open_catalog(store, "lightcurves").table()) == identities(pa.concat_tables(wanted))
    assert identities(directory_rows(tmp_path, "lightcurves")) == identities(pa.concat_tables(wanted))


@pytest.mark.parametrize("file", ["skymap.fits", "partition_info.csv", "hats.properties"])
def test_directory_readers_get_the_newest_version_whoever_writes_last(tmp_path: Path, file: str) -> None:
    store = open_store(tmp_path)
    elsewhere = rows_of(field_of(ra=20.0, dec=-40.0), 20240102, "7")
    racing = RacingStore(
        tmp_path,
        f"catalogs/lightcurves/lightcurves.g1/{file}",
        lambda: append_night(store, "lightcurves", 20240102, [elsewhere]),
    )
    append_night(racing, "lightcurves", 20240101, NIGHT)
    wanted = identities(pa.concat_tables([*NIGHT, elsewhere]))
    assert identities(directory_rows(tmp_path, "lightcurves")) == wanted
    folder = tmp_path / "catalogs/lightcurves/lightcurves.g1"
    assert f"hats_nrows={len(wanted)}\n" in (folder / "hats.properties").read_text()
    assert hats_files.read_map((folder / "skymap.fits").read_bytes()).rows.sum() == len(wanted)


@pytest.mark.parametrize("key", ["journal/000000001", "manifest/000000002"])
def test_two_registrations_at_once_give_one_source_one_id(tmp_path: Path, key: str) -> None:
    store = open_store(tmp_path)
    other = rows_of(field_of(count=14, lone=5), 20240102, "7")
    racing = RacingStore(
        tmp_path, f"catalogs/objects/{key}", lambda: append_night(store, "lightcurves", 20240102, [other])
    )
    append_night(racing, "lightcurves", 20240101, NIGHT)
    objects = open_catalog(store, "objects").table()
    numbers = objects.column("source_id").to_pylist()
    assert len(set(numbers)) == len(numbers)
    for ra, dec in zip(objects["ra"].to_pylist(), objects["dec"].to_pylist(), strict=True):
        near = healpix.separation(ra, dec, objects["ra"], objects["dec"]) * 3600
        assert (near < 1).sum() == 1
    rows = open_catalog(store, "lightcurves").table()
    assert set(
        rows.filter(pa.array(source_ids.is_own(partition_parquet.numbers(rows, "source_id"))))["source_id"].to_pylist()
    ) == set(numbers)
    folder = store.path("catalogs/objects/objects.g1/dataset")
    assert sorted(
        i for f in folder.rglob("*.parquet") for i in pq.read_table(f, partitioning=None)["source_id"].to_pylist()
    ) == sorted(numbers)


def test_leftovers_of_a_killed_attempt_with_fewer_exposures_never_count(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append_night(store, "lightcurves", "20240102", NEXT)
    writes = 0
    while not [key for key in store.list("catalogs/lightcurves") if "/20240101-" in key]:
        with pytest.raises(StorageUnavailable):
            append_night(DyingStore(tmp_path, writes), "lightcurves", "20240101", NIGHT[:1])
        writes += 1
    append_night(store, "lightcurves", "20240101", NIGHT)
    wanted = identities(pa.concat_tables([*NIGHT, *NEXT]))
    assert identities(open_catalog(store, "lightcurves").table()) == wanted
    assert identities(directory_rows(tmp_path, "lightcurves")) == wanted
