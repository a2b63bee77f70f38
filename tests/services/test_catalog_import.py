"""Import of a user's file as a table, and verification of tables, as a user sees them.

Covered: the five formats with types, units, texts and nulls; recognised and named columns; Gaia ids, other ids, and two
rows at one position; rows without a position; files larger than the allowed memory; files that cannot be imported; each
kind of damage that `verify` must find. The documented commands are run by test_docs.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.table import MaskedColumn, Table
from pyarrow import csv

from gozen.archive.stores.open_store import Store, open_store
from gozen.catalog import open_catalog
from gozen.catalog.format import healpix, manifest, source_ids
from gozen.catalog.format.manifest import tables
from gozen.catalog.imports import astropy_tables, table_readers, table_stream
from gozen.catalog.imports import import_table as importing
from gozen.catalog.imports.formats.file_request import FileRequest
from gozen.catalog.imports.import_table import ImportRequest, import_table
from gozen.catalog.maintain.compact import compact
from gozen.catalog.maintain.release import release
from gozen.catalog.maintain.verify import verify
from gozen.catalog.write.append import append_night
from gozen.catalog.write.table_options import TableOptions
from gozen.cli.call import run
from gozen.errors import BadRequest, MissingObject, UnreadableInput

from ..catalog_samples import field_of, rows_of

COUNT = 40


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without fsync, which is most of the time here: no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "archive")


def stars(**replaced: object) -> Table:
    """Return a table as somebody may have it, positions under VizieR's names."""
    random = np.random.default_rng(5)
    ra, dec = random.uniform(10, 11, COUNT), random.uniform(-5, -4, COUNT)
    mask = np.arange(COUNT) % 7 == 0
    columns = {
        "Source": (healpix.pixels(ra, dec, 12) << 35) | np.arange(COUNT),
        "RA_ICRS": ra * units.deg,
        "DE_ICRS": dec * units.deg,
        "Vmag": MaskedColumn(random.uniform(10, 20, COUNT).astype(np.float32), mask=mask, unit="mag"),
        "N": np.arange(COUNT, dtype=np.int16),
        "name": [f"star {i}" for i in range(COUNT)],
        "good": np.arange(COUNT) % 2 == 0,
    } | replaced
    return Table(columns)


def written(folder: Path, table: Table, kind: str) -> str:
    path = folder / f"stars.{kind}"
    if kind.endswith(".gz"):
        path.write_bytes(gzip.compress(Path(written(folder, table, kind.removesuffix(".gz"))).read_bytes()))
    elif kind == "parquet":
        plain = {n: pa.array(np.ma.asarray(table[n]).data, mask=np.ma.getmaskarray(table[n])) for n in table.colnames}
        pq.write_table(pa.table(plain), path)
    else:
        name = {"vot": "votable", "csv": "ascii.csv", "ecsv": "ascii.ecsv", "fits": "fits"}[kind]
        table.write(path, format=name)
    return str(path)


@pytest.mark.parametrize("kind", ["fits", "vot", "ecsv", "csv", "parquet", "fits.gz", "csv.gz", "parquet.gz"])
def test_every_format_keeps_columns_types_units_and_nulls(store: Store, tmp_path: Path, kind: str) -> None:
    given = stars()
    url = written(tmp_path, given, kind)
    done = import_table(store, url, "mine")
    assert (done.ra, done.dec, done.source, done.left_out) == ("RA_ICRS", "DE_ICRS", "Source", 0)
    catalog = open_catalog(store, "mine")
    assert catalog.info().columns == ("_healpix_29", "source_id", "ra", "dec", "Vmag", "N", "name", "good")
    found = catalog.table().sort_by("N")
    np.testing.assert_array_equal(found["ra"], np.asarray(given["RA_ICRS"]))
    assert found["source_id"].to_pylist() == given["Source"].tolist()
    assert found["name"].to_pylist() == given["name"].tolist()
    assert found["Vmag"].null_count == 6
    np.testing.assert_allclose(found["Vmag"].to_numpy()[1], given["Vmag"][1], rtol=1e-6)
    if kind.partition(".")[0] not in ("csv", "parquet"):
        assert catalog.schema.field("Vmag").metadata[b"unit"] == b"mag"
        assert catalog.schema.field("Vmag").type == pa.float32()
    assert len(catalog.lightcurve(int(given["Source"][3]))) == 1
    assert not verify(store, "mine").problems
    assert import_table(store, url, "mine").version == done.version


def test_columns_can_be_named_and_radians_become_degrees(store: Store, tmp_path: Path) -> None:
    plain = stars()
    given = stars(
        alpha=np.radians(np.asarray(plain["RA_ICRS"])) * units.rad,
        delta=np.radians(np.asarray(plain["DE_ICRS"])) * units.rad,
    )
    done = import_table(store, written(tmp_path, given, "fits"), "mine", ImportRequest("alpha", "delta"))
    assert (done.ra, done.dec) == ("alpha", "delta")
    found = open_catalog(store, "mine").table().sort_by("N")
    np.testing.assert_allclose(found["ra"], np.asarray(plain["RA_ICRS"]), rtol=0, atol=1e-12)
    assert {"RA_ICRS", "DE_ICRS"} <= set(found.column_names)


def test_ids_that_say_no_place_stay_a_column_and_rows_at_one_place_are_told_apart(store: Store, tmp_path: Path) -> None:
    given = stars(Source=np.arange(COUNT))
    for name in ("RA_ICRS", "DE_ICRS"):
        given[name][1] = given[name][2] = given[name][0]
    done = import_table(store, written(tmp_path, given, "fits"), "mine")
    assert done.source == ""
    found = open_catalog(store, "mine").table()
    identity = found["source_id"].to_numpy()
    assert len(np.unique(identity)) == COUNT == len(np.unique(found["Source"]))
    assert source_ids.is_own(identity).all()
    assert all(len(open_catalog(store, "mine").lightcurve(int(one))) == 1 for one in identity)


def test_rows_without_a_position_are_left_out_and_vectors_are_kept(store: Store, tmp_path: Path) -> None:
    given = stars(ap=np.arange(COUNT * 3, dtype=np.float32).reshape(COUNT, 3), ra=np.arange(COUNT))
    given["DE_ICRS"][4] = np.nan
    done = import_table(store, written(tmp_path, given, "fits"), "mine", ImportRequest("RA_ICRS", "DE_ICRS"))
    assert (done.left_out, done.version.rows) == (1, COUNT - 1)
    found = open_catalog(store, "mine").table().sort_by("N")
    assert found["ap"][0].as_py() == [0, 1, 2]
    assert found["ra_file"].to_pylist() == [i for i in range(COUNT) if i != 4]


@pytest.mark.parametrize(
    ("replaced", "named", "error", "says"),
    [
        ({}, {"ra": "ALPHA"}, BadRequest, "ALPHA"),
        ({"RA_ICRS": [f"star {i}" for i in range(COUNT)]}, {}, UnreadableInput, "'star 0', is not an angle"),
        ({"Source": np.zeros(COUNT, int)}, {"source_id": "Source"}, BadRequest, "more than once"),
        ({"Source": [f"s{i}" for i in range(COUNT)]}, {"source_id": "Source"}, BadRequest, "ids are integers"),
        ({"DE_ICRS": np.full(COUNT, np.nan)}, {}, UnreadableInput, "no row with a position"),
    ],
)
def test_what_cannot_be_imported_is_named_and_nothing_is_written(
    store: Store, tmp_path: Path, replaced: dict, named: dict, error: type, says: str
) -> None:
    url = written(tmp_path, stars(**replaced), "fits")
    with pytest.raises(error, match=says):
        import_table(store, url, "mine", ImportRequest(**named))
    assert store.list("catalogs") == []


def test_a_table_without_known_columns_lists_what_it_has(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,flux\n1,2\n")
    with pytest.raises(UnreadableInput, match=r"time, flux: name the columns with --ra and --dec"):
        import_table(store, str(tmp_path / "a.csv"), "mine")


PEOPLE = {
    "twice.csv": (b"ra,dec,ra\n10,1,10\n", 65, "the name ra occurs twice in line 1, as columns 1 and 3"),
    "blank.csv": (b"name, RA, Dec\n a, 10, 1\n", 0, "1 rows, positions from RA and Dec"),
    "comment.csv": (b"# by hand\nname,ra,dec\na,40,1\n# later\nb,41,2\n", 0, "2 rows"),
    "semicolon.csv": (b"name;ra;dec\na;40,5;1\n", 0, "1 rows"),
    "ragged.csv": (b"name,ra,dec\na,40,1\nb,41\n", 65, "line 3 has 2 values, but there are 3 names"),
    "wide.csv": (b"id,ra,dec\n18446744073709551615,40,1\n", 0, "ids made from the positions"),
    "off.csv": (b"ra,dec\n40,1\n41,2\n-999,-999\n", 0, "1 of 3 rows have a declination beyond"),
    "hours.csv": (b"ra,dec\n14,10\n", 0, "note: right ascensions are read as degrees, but all are between 0 and 24"),
}


@pytest.mark.parametrize("name", PEOPLE)
def test_a_table_as_people_write_it_is_imported_or_refused_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    data, code, says = PEOPLE[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(data)
    assert int(run(["catalog", "import", name, "--name", "mine"])) == code
    printed = capsys.readouterr()
    assert says in printed.out + printed.err
    assert bool(tables(open_store(tmp_path / "archive"))) == (code == 0)


def test_columns_called_as_ours_and_types_of_other_programs_are_kept(store: Store, tmp_path: Path) -> None:
    columns = {
        "ra": [1, 2], "RA_file": [3, 4], "alpha": [40.0, 41.0], "delta": [1.0, 2.0],
        "view": pa.array(["a", None], pa.string_view()),
        "wide": pa.array([Decimal("1.50"), None], pa.decimal256(50, 2)),
        "id": pa.array([2**63 + 1, None], pa.uint64()),
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    request = ImportRequest("alpha", "delta")
    import_table(store, str(tmp_path / "t.parquet"), "mine", request, TableOptions(margin_arcsec=None))
    found = open_catalog(store, "mine").table().sort_by("RA_file")
    assert found["ra"].to_pylist() == [40.0, 41.0]
    assert found["ra_file_file"].to_pylist() == [1, 2]
    assert found["view"].to_pylist() == ["a", None]
    assert found["id"].to_pylist() == [2**63 + 1, None]
    assert found["wide"].to_pylist() == [Decimal("1.50"), None]


def test_a_type_that_no_table_holds_is_refused_before_anything_is_written(store: Store, tmp_path: Path) -> None:
    spans = pa.array([pa.MonthDayNano([1, 2, 3])], pa.month_day_nano_interval())
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink:
        table = pa.table({"ra": [40.0], "dec": [1.0], "span": spans})
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    with pytest.raises(UnreadableInput, match="the column span has the type month_day_nano_interval"):
        import_table(store, str(tmp_path / "t.arrow"), "mine")
    assert store.list("catalogs") == []


def many(folder: Path, kind: str, rows: int = 50_000, **replaced: object) -> tuple[str, pa.Table]:
    """Write a file of several batches and blocks."""
    random = np.random.default_rng(7)
    dec = np.where(np.arange(rows) % 1000 == 5, np.nan, random.uniform(-5, 30, rows))
    columns = {"ra": random.uniform(10, 40, rows), "dec": dec, "number": np.arange(rows)}
    table = pa.table(columns | {f"value{n}": random.integers(0, 10, rows) for n in range(80)} | replaced)
    path = folder / f"many-{rows}.{kind}"
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=30_000, use_dictionary=False, compression="none")
    elif kind == "fits":
        Table({name: table[name].to_numpy() for name in table.column_names}).write(path)
    else:
        csv.write_csv(table, path)
    return str(path), table


IN_BATCHES = """
import sys, tracemalloc
import pyarrow as pa
from gozen.archive.stores.open_store import open_store
from gozen.catalog.imports.import_table import ImportRequest, import_table
from gozen.catalog.write.table_options import TableOptions
tracemalloc.start()
import_table(open_store(sys.argv[1]), sys.argv[2], "mine", options=TableOptions(10_000, None, 1 << 20))
print(pa.default_memory_pool().max_memory() + tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.parametrize("kind", ["parquet", "csv", "fits"])
def test_a_larger_file_takes_little_more_memory(tmp_path: Path, kind: str) -> None:
    most, sizes = [], []
    for rows in (20_000, 60_000):
        archive, (url, table) = tmp_path / f"archive-{rows}", many(tmp_path, kind, rows)
        command = [sys.executable, "-c", IN_BATCHES, str(archive), url]
        most.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        sizes.append(table.nbytes)
    assert most[1] - most[0] < 0.5 * (sizes[1] - sizes[0])
    found = open_catalog(open_store(archive), "mine").table().sort_by("number")
    kept = table.filter(pa.array(np.isfinite(table["dec"])))
    assert found.select(kept.column_names).equals(kept)


def test_a_type_that_shows_late_in_a_csv_is_the_type_of_all(store: Store, tmp_path: Path) -> None:
    late = pa.array([str(n) for n in range(49_999)] + ["about 7"])
    url, _ = many(tmp_path, "csv", late=late)
    assert import_table(store, url, "mine", options=TableOptions(margin_arcsec=None)).left_out == 50
    assert open_catalog(store, "mine").table().sort_by("number")["late"].to_pylist()[-1] == "about 7"


@pytest.mark.parametrize(
    ("kind", "says"), [("parquet", "as Parquet, FITS"), ("csv", "near line .* is not valid UTF-8")]
)
def test_damage_in_the_middle_of_a_file_names_it_and_nothing_is_written(
    store: Store, tmp_path: Path, kind: str, says: str
) -> None:
    url, _ = many(tmp_path, kind)
    data = bytearray(Path(url).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300_000] = b"\xff" * 300_000
    Path(url).write_bytes(data)
    with pytest.raises(UnreadableInput, match=rf"many-50000\.{kind}.* {says}"):
        import_table(store, url, "mine")
    assert store.list("catalogs") == []


def test_a_fits_table_in_batches_is_the_table_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = stars(late=["" for _ in range(COUNT - 1)] + ["text"], vector=np.arange(2.0 * COUNT).reshape(COUNT, 2))
    url = written(tmp_path, given, "fits")
    whole = astropy_tables.parse_with_astropy("fits", Path(url).read_bytes(), FileRequest())
    monkeypatch.setattr(table_readers, "BATCH", 7)
    file = table_stream.open_table_stream(url)
    batches = list(file.batches(file.schema.names))
    assert [len(one) for one in batches][:-1] == [7] * (COUNT // 7)
    assert pa.concat_tables(batches).equals(whole)
    assert file.schema.equals(whole.schema, check_metadata=True)


def test_a_fits_table_that_is_cut_says_where(store: Store, tmp_path: Path) -> None:
    url, _ = many(tmp_path, "fits")
    data = Path(url).read_bytes()
    Path(url).write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableInput, match=r"many-50000\.fits as Parquet, FITS.*it ends after row \d+ of 50000"):
        import_table(store, url, "mine")
    assert store.list("catalogs") == []


def test_what_comes_through_a_pipe_is_imported(store: Store, tmp_path: Path) -> None:
    pipe, text = tmp_path / "pipe", "ra,dec,mag\n10.5,20.5,3.25\n11.5,21.5,4.25\n"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(text,), daemon=True)
    writer.start()
    assert import_table(store, str(pipe), "mine", options=TableOptions(margin_arcsec=None)).version.version == 1
    assert sorted(open_catalog(store, "mine").table(["mag"])["mag"].to_pylist()) == [3.25, 4.25]


def test_a_file_that_changes_between_two_looks_at_it_is_refused(store: Store, tmp_path: Path, monkeypatch) -> None:
    file, ids_of = tmp_path / "mine.csv", importing.own_ids
    file.write_text("ra,dec,mag\n10.5,20.5,3.25\n11.5,21.5,4.25\n")

    def ids_while_somebody_writes(*place):
        file.write_text("ra,dec,mag\n40.5,50.5,3.25\n41.5,51.5,4.25\n")
        return ids_of(*place)

    monkeypatch.setattr(importing, "own_ids", ids_while_somebody_writes)
    with pytest.raises(UnreadableInput, match=r"mine\.csv changed while it was read"):
        import_table(store, str(file), "mine")
    assert "mine" not in tables(store)


def test_a_file_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"cannot read the table .*nowhere\.csv: .*no such file"):
        import_table(store, str(tmp_path / "nowhere.csv"), "mine")


FIELD = field_of(count=40, lone=4, size=1.0)


def damaged_file(store: Store, change: Callable[[bytes], bytes]) -> str:
    version = manifest.current_or_raise(store, "lightcurves")
    key = version.key_of_file(version.files[0].path)
    data = change(store.read(key))
    store.delete(key)
    if data:
        store.write(key, data)
    return key


def shuffled(store: Store) -> str:
    """Put a file under its rightful name whose rows are in another order."""
    version = manifest.current_or_raise(store, "lightcurves")
    return damaged_file(store, lambda data: data[:40] + bytes(8) + data[48:]) or version.name


DAMAGES: dict[str, tuple[Callable[[Store], str], str]] = {
    "missing file": (lambda s: damaged_file(s, lambda _: b""), "does not exist, but the manifest names it"),
    "cut file": (lambda s: damaged_file(s, lambda data: data[:-20]), "truncated"),
    "changed bytes": (shuffled, "does not have the checksum that is in its name"),
    "no side file": (
        lambda s: s.delete("catalogs/lightcurves/lightcurves.g1/partition_info.csv") or "partition_info.csv",
        "out of date",
    ),
    "no collection": (
        lambda s: s.delete("catalogs/lightcurves/collection.properties") or "collection.properties",
        "current generation",
    ),
    "no index": (
        lambda s: s.delete(manifest.current_or_raise(s, "lightcurves").key_of(
            manifest.current_or_raise(s, "lightcurves").index)) or "index/", "does not exist",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_names_the_object_and_what_to_do(store: Store, damage: str) -> None:
    append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, "1")])
    assert tables(store) == ["lightcurves", "objects"]
    assert not verify(store, "lightcurves").problems
    act, says = DAMAGES[damage]
    key = act(store)
    (problem,) = verify(store, "lightcurves").problems
    assert key in problem.key
    assert says in problem.what
    assert problem.remedy


def test_verify_passes_after_all_that_may_happen_and_finds_leftovers(store: Store) -> None:
    for night in (20240101, 20240102):
        append_night(store, "lightcurves", night, [rows_of(FIELD, night, "1")])
    release(store, "dr1", {"lightcurves": "lightcurves", "objects": "objects"})
    compact(store, "lightcurves", everything=True, partition_rows=60)
    append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, "1", run="r2")])
    found = verify(store, "lightcurves")
    assert found.problems == ()
    assert found.rows == 2 * open_catalog(store, "lightcurves").info().rows
    version = manifest.current_or_raise(store, "lightcurves")
    first = version.key_of_file(version.files[0].path)
    stray = first.rsplit("/", 1)[0] + "/20240109-000000000000.parquet"
    store.write(stray, store.read(first))
    (problem,) = verify(store, "lightcurves").problems
    assert (problem.key, "no manifest names it" in problem.what) == (stray, True)


def test_side_files_that_are_gone_come_back_by_a_compaction_that_has_nothing_to_do(store: Store) -> None:
    append_night(store, "lightcurves", 20240101, [rows_of(FIELD, 20240101, "1")])
    for name in ("lightcurves.g1/partition_info.csv", "collection.properties"):
        store.delete(f"catalogs/lightcurves/{name}")
    assert len(verify(store, "lightcurves").problems) == 2
    assert compact(store, "lightcurves").merged == 0
    assert not verify(store, "lightcurves").problems


def test_a_table_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(MissingObject, match="nowhere"):
        verify(store, "nowhere")
