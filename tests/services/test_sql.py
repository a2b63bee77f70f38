"""Results of SQL queries in a notebook and on the command line: every column of every query, in every form.

Covered: names that differ only in case, have dots, or occur twice; values of every type in each output; joins of light
curves, exposures and nights; circles in joins and on columns without an index; tables whose files have different
columns; samples and aliases of columns. What a query must not do: test_sql_locked.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gozen.archive import keys
from gozen.archive.commit import write_commit
from gozen.archive.log.observation_log import rebuild_night
from gozen.archive.stores.directory_store import DirectoryStore
from gozen.catalog.imports.import_table import import_table
from gozen.catalog.write import append
from gozen.errors import BadRequest, TableNotFound
from gozen.quickdb import Api, connect

from ..catalog_samples import Field, rows_of
from ..unit.archive_samples import commit, processing_of
from .made_once import made_once

pytestmark = pytest.mark.usefixtures("kept")
Command = Callable[..., subprocess.CompletedProcess[str]]
STARS = Field(np.array([(1 << 35) | 1 << 7, (2 << 35) | 1 << 7]), np.array([45.0, 45.2]), np.array([0.1, 0.2]), 0)
TABLE = pa.table(
    {
        "ra": [10.0, 11.0, 12.0],
        "dec": [0.0, 1.0, 2.0],
        "Gmag": [1.0, 2.0, 3.0],
        "gmag": [4.0, 5.0, 6.0],
        "i.mag": [7.0, 8.0, 9.0],
        "start": pa.array([dt.datetime(2024, 3, 1, 20)] * 3, pa.timestamp("us")),
        "day": [dt.date(2024, 3, 1)] * 3,
        "raw": [b"a\xff"] * 3,
        "vector": [[1.0, 2.5]] * 3,
    }
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive with a user's table, light curves of two nights, and the log of these in R and V."""

    def make(folder: Path) -> None:
        store = DirectoryStore(folder / "archive")
        pq.write_table(TABLE, folder / "mine.parquet")
        import_table(store, str(folder / "mine.parquet"), "mine")
        import_table(store, str(folder / "mine.parquet"), "my.own")
        for night, exposure, colour in ((20240105, "1", "R"), (20240106, "2", "V")):
            append.append_night(store, "lightcurves", night, [rows_of(STARS, night, exposure, further=(9,))])
            one = commit(exposure, night=str(night), filter=colour)
            write_commit(store, processing_of(one), one)
            rebuild_night(store, str(night))

    return made_once(tmp_path_factory, "sql", make) / "archive"


@pytest.fixture(scope="module")
def api(archive: Path) -> Iterator[Api]:
    with connect(archive, workers=0) as made:
        yield made


def rows(api: Api, query: str, **mine: Any) -> list[tuple[Any, ...]]:
    """Return the rows of an answer, sorted; no two of its columns have one name."""
    found = api.sql(query, **mine)
    assert len(set(found.column_names)) == len(found.column_names)
    return sorted(tuple(row.values()) for row in found.to_pylist())


def test_names_that_differ_in_case_only_are_two_columns(api: Api) -> None:
    assert api.sql("SELECT * FROM mine LIMIT 1").column_names[-7:-5] == ["Gmag", "gmag"]
    for query, wanted in {
        "SELECT DISTINCT gmag - Gmag FROM mine": [(3.0,)],
        'SELECT m."gmag", Gmag AS g FROM mine m WHERE gmag > 5': [(6.0, 3.0)],
        "WITH near AS (SELECT * FROM mine) SELECT gmag FROM near ORDER BY gmag DESC LIMIT 1": [(6.0,)],
        'SELECT m.gmag, o.Gmag FROM mine m JOIN "my.own" o USING (source_id, gmag) WHERE Gmag < 2': None,
        'SELECT m.gmag, o.Gmag FROM mine m JOIN "my.own" o USING (source_id, gmag) WHERE o.Gmag < 2': [(4.0, 1.0)],
        "SELECT sum(gmag) FROM (SELECT gmag FROM mine GROUP BY gmag HAVING gmag > 4)": [(11.0,)],
        "SELECT max(gmag) OVER (ORDER BY Gmag) AS top FROM mine": [(4.0,), (5.0,), (6.0,)],
    }.items():
        if wanted is None:
            with pytest.raises(BadRequest, match="Gmag"):
                api.sql(query)
        else:
            assert rows(api, query) == wanted, query
    kept = api.sql("SELECT * EXCLUDE (Gmag) FROM mine")
    assert "gmag" in kept.column_names
    assert "Gmag" not in kept.column_names
    assert kept["gmag"].to_pylist() == api.sql("SELECT gmag FROM mine")["gmag"].to_pylist()
    with pytest.raises(BadRequest, match=r"column 'GMAG' is ambiguous, .* case: write Gmag or gmag"):
        api.sql("SELECT GMAG FROM mine")


def test_a_part_of_a_query_with_two_spellings_of_a_name_is_refused(api: Api) -> None:
    own = {"a": pa.table({"n": [1], "flux": [1.0]}), "b": pa.table({"n": [1], "FLUX": [2.0]})}
    assert rows(api, "SELECT a.flux, b.FLUX FROM a JOIN b USING (n)", **own) == [(1.0, 2.0)]
    with pytest.raises(
        BadRequest, match="'flux' and 'FLUX' in both: the two names differ only in case; rename one of them with AS"
    ):
        api.sql("WITH both AS (SELECT a.flux, b.FLUX FROM a JOIN b USING (n)) SELECT FLUX FROM both", **own)
    with pytest.raises(BadRequest, match="'x' and 'X' in a subquery"):
        api.sql("SELECT X FROM (SELECT 1 AS x, 2 AS X)")


def test_a_name_that_is_there_once_may_be_written_in_any_case(api: Api) -> None:
    assert rows(api, "SELECT count(*) FROM Mine WHERE RA > 10.5") == [(2,)]
    own = pa.table({"Flux": [1.0], "FLUX": [2.0], "n": [3]})
    assert rows(api, "SELECT FLUX, Flux, N FROM OWN", own=own) == [(2.0, 1.0, 3)]


def test_a_column_with_a_dot_is_found_with_and_without_quotes(api: Api) -> None:
    for name in ("i.mag", '"i.mag"', 'm."i.mag"', "m.i.mag"):
        assert rows(api, f"SELECT {name} FROM mine m WHERE m.i.mag < 8") == [(7.0,)], name
    with pytest.raises(TableNotFound, match=r'written "my\.own", in quotes'):
        api.sql("SELECT * FROM my.own")


def test_two_columns_of_one_name_are_told_apart(api: Api) -> None:
    assert api.sql("SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS A, 5 AS a").to_pylist() == [
        {"a": 1, "a_2": 2, "a_1": 3, "A": 4, "a_3": 5}
    ]
    joined = api.sql('SELECT * FROM mine JOIN "my.own" USING (source_id)')
    assert {"ra", "ra_1", "Gmag", "gmag", "Gmag_1", "gmag_1", "source_id"} < set(joined.column_names)


OF_EVERY_TYPE = """
    SELECT true AS t, 1::UTINYINT AS small, 170141183460469231731::HUGEINT AS large, 1.50::DECIMAL(9, 2) AS price,
    'nan'::DOUBLE AS nothing, '-inf'::FLOAT AS below, 'naïve "x", y' AS words, '\\xFFa'::BLOB AS bytes,
    DATE '2024-03-01' AS day, DATE '12024-03-01' AS far_day, TIME '01:02:03.5' AS clock, '01:02:03+02'::TIMETZ AS zoned,
    TIMESTAMP '2024-03-01 20:00:00.25' AS moment, 'infinity'::TIMESTAMP AS never,
    '2024-03-01 20:00:00.123456789'::TIMESTAMP_NS AS nanos, TIMESTAMPTZ '2024-03-01 20:00:00+00' AS utc,
    INTERVAL 90 MINUTE AS span, '101'::BIT AS bits, 12345678901234567890123::BIGNUM AS huge, [1.5, NULL] AS list,
    [1, 2]::FLOAT[2] AS vector, {'a': DATE '2024-03-01', 'b': ['\\xFF'::BLOB], 'c': INTERVAL 1 DAY} AS parts,
    MAP {'k': 1} AS named, MAP {1: 'v'} AS numbered, 'b'::ENUM ('a', 'b') AS kind, union_value(k := 1) AS either,
    '{"a": [1]}'::JSON AS json, [DATE '12024-03-01'] AS far_days, NULL AS null
"""
PLAIN = {
    "t": True,
    "small": 1,
    "large": 170141183460469231731,
    "price": 1.5,
    "nothing": None,
    "below": None,
    "words": 'naïve "x", y',
    "bytes": "/2E=",
    "day": "2024-03-01",
    "clock": "01:02:03.500000",
    "zoned": "01:02:03+02",
    "moment": "2024-03-01T20:00:00.250000",
    "nanos": "2024-03-01T20:00:00.123456789",
    "utc": "2024-03-01T20:00:00+00:00",
    "span": "01:30:00",
    "bits": "101",
    "huge": "12345678901234567890123",
    "list": [1.5, None],
    "vector": [1.0, 2.0],
    "parts": {"a": "2024-03-01", "b": ["/w=="], "c": "1 day"},
    "named": {"k": 1},
    "numbered": [[1, "v"]],
    "kind": "b",
    "either": "1",
    "json": '{"a": [1]}',
    "null": None,
}


def test_every_type_comes_out_in_every_form(command: Command, archive: Path, tmp_path: Path) -> None:
    def said(*form: str) -> str:
        return command("sql", OF_EVERY_TYPE, "--archive", str(archive), *form, cwd=tmp_path).stdout

    [row] = json.loads(said("--json"))
    assert {name: row[name] for name in PLAIN} == PLAIN
    assert row["far_day"].startswith("12024-03-01")
    assert row["far_days"][0].startswith("12024-03-01")
    assert isinstance(row["never"], str)
    names, cells = csv.reader(io.StringIO(said("--csv")))
    texts = dict(zip(names, cells, strict=True))
    assert names == list(row)
    assert (texts["bytes"], json.loads(texts["vector"]), json.loads(texts["parts"])) == ("/2E=", [1, 2], PLAIN["parts"])
    assert texts["large"] == "170141183460469231731"
    said("--parquet", str(tmp_path / "all.parquet"))
    assert pq.read_table(tmp_path / "all.parquet").column_names == names
    assert said()
    few = "SELECT words, bytes, list, parts, never FROM (" + OF_EVERY_TYPE + ")"
    shown = command("sql", few, "--archive", str(archive), cwd=tmp_path).stdout
    assert all(one in shown for one in ('naïve "x", y', "/2E=", "[1.5, null]", '"b": ["/w=="]'))


def test_a_table_of_a_user_comes_out_in_every_form(command: Command, archive: Path, tmp_path: Path) -> None:
    query = 'SELECT m.*, o.gmag FROM mine m JOIN "my.own" o USING (source_id) ORDER BY m.ra LIMIT 1'
    for form in ("--json", "--csv", None, "--parquet"):
        words = [form, str(tmp_path / "out.parquet")] if form == "--parquet" else [form] if form else []
        done = command("sql", query, "--archive", str(archive), *words, cwd=tmp_path)
        assert form == "--parquet" or "gmag_1" in done.stdout, done.stdout
    assert pq.read_table(tmp_path / "out.parquet")["gmag_1"].to_pylist() == [4.0]


def test_light_curves_exposures_and_nights_are_joined(api: Api) -> None:
    by_filter = """
        SELECT e.filter, l.night, count(*) AS n FROM lightcurves l
        JOIN exposures e USING (night, exposure, run, sensor) GROUP BY ALL
    """
    assert rows(api, by_filter) == [("R", 20240105, 6), ("V", 20240106, 6)]
    assert rows(api, "SELECT DISTINCT q.frame, e.filter FROM quality q JOIN exposures e USING (exposure)") == [
        (0, "R"),
        (0, "V"),
        (1, "R"),
        (1, "V"),
    ]
    assert rows(api, "SELECT count(*) FROM Tracklets") == [(0,)]
    with pytest.raises(TableNotFound, match="no table 'exposure'; try exposures"):
        api.sql("SELECT * FROM exposure")


def test_the_log_is_there_before_any_table_and_has_columns_before_any_night(tmp_path: Path) -> None:
    with connect(tmp_path / "archive", workers=0) as api:
        assert rows(api, "SELECT exposure, filter FROM exposures") == []
        assert api.sql("SELECT * FROM tracklets").column_names[:2] == ["night", "exposure"]


def test_the_log_of_an_older_version_has_nulls_where_it_lacks_a_column(archive: Path, tmp_path: Path) -> None:
    key = keys.log_table("exposures", "20240105")
    (tmp_path / key).parent.mkdir(parents=True)
    pq.write_table(pq.read_table(archive / key).drop_columns(["filter"]), tmp_path / key)
    newer = keys.log_table("exposures", "20240106")
    (tmp_path / newer).write_bytes((archive / newer).read_bytes())
    with connect(tmp_path, workers=0) as api:
        assert api.sql("SELECT night, filter FROM exposures ORDER BY night").to_pylist() == [
            {"night": 20240105, "filter": None},
            {"night": 20240106, "filter": "V"},
        ]


def test_a_table_whose_files_have_different_columns_gives_null_for_the_rest(archive: Path, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "archive")
    for night, exposure, further in ((20240105, "1", ()), (20240106, "2", (9,))):
        append.append_night(store, "lightcurves", night, [rows_of(STARS, night, exposure, further=further)])
    with connect(tmp_path / "archive", workers=0) as api:
        found = api.sql("SELECT night, count(flux), count(flux_9) FROM lightcurves GROUP BY night ORDER BY night")
    assert [tuple(row.values()) for row in found.to_pylist()] == [(20240105, 6, 0), (20240106, 6, 6)]


def test_a_circle_finds_its_rows_wherever_it_stands(api: Api) -> None:
    circle = "45.0, 0.1, 60"
    for query, count in {
        f"SELECT * FROM lightcurves WHERE within(ra, dec, {circle})": 6,
        f"SELECT * FROM lightcurves l, mine m WHERE within(l.ra, l.dec, {circle})": 18,
        f"SELECT * FROM lightcurves l JOIN exposures e USING (exposure) WHERE within(l.ra, l.dec, {circle})": 6,
        f"SELECT * FROM (SELECT ra, dec FROM lightcurves) WHERE within(ra, dec, {circle})": 6,
        f"SELECT * FROM lightcurves WHERE within(ra_meas, dec_meas, {circle})": 6,
        "SELECT * FROM exposures e WHERE within(e.ra, e.dec, 19.7, 29.7, 10)": 2,
        f'SELECT * FROM lightcurves AS "my stars" WHERE within("my stars".ra, "my stars".dec, {circle})': 6,
    }.items():
        assert len(api.sql(query)) == count, query


def test_measured_places_are_not_looked_for_by_the_catalogue_s(api: Api) -> None:
    place = api.sql("SELECT ra_meas, dec_meas FROM lightcurves ORDER BY abs(dec - dec_meas) DESC LIMIT 1").to_pylist()[
        0
    ]
    near = f"within(ra_meas, dec_meas, {place['ra_meas']!r}, {place['dec_meas']!r}, 0.001)"
    assert len(api.sql(f"SELECT * FROM lightcurves WHERE {near}")) >= 3


def test_what_belongs_to_a_table_s_name_stays(api: Api) -> None:
    assert rows(api, "SELECT count(*) FROM mine TABLESAMPLE 0%") == [(0,)]
    assert len(api.sql("SELECT star FROM mine AS m(pixel, star)")) == 3
    turned = api.sql("SELECT * FROM mine PIVOT (sum(gmag) FOR ra IN (10, 11))")
    assert {"10", "11"} < set(turned.column_names)
    own = "WITH RECURSIVE mine AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM mine WHERE n < 3) SELECT max(n) FROM mine"
    assert rows(api, own) == [(3,)]


@pytest.mark.parametrize(("query", "mine", "said"), [
    ("SELECT strptime('x', '%Y')", {}, "refuses the query: .*parse"),
    ("SELECT ra FROM mine WHERE regexp_matches('a', '(')", {}, r"refuses the query: .*missing \)"),
    ("SELECT sqrt(ra - 100) FROM mine", {}, "refuses the query: .*square root"),
    ("SELECT * FROM stars", {"stars": {"ra": [1.0]}}, "stars: a dict is not a table: give one of Arrow"),
    ("SELECT " + "(" * 200 + "1" + ")" * 200, {}, "nested too deeply"),
    ("VALUES (1)", {}, "one SELECT"),
])  # fmt: skip
def test_what_a_query_has_wrong_is_not_the_archive_s(api: Api, query: str, mine: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=f"(?s){said}"):
        api.sql(query, **mine)
