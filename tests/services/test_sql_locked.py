"""A query reads only the tables that it names, and ends at its limits or when it is interrupted.

Covered: generated queries, with monitored files inside and outside of the archive; each way to a file with and without
`trusted`; DuckDB's own lock in addition to the allow-list; limits of time, memory and rows; Ctrl-C in a notebook and on
the command line; long steps that DuckDB does not interrupt.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot

from gozen.archive.stores.directory_store import DirectoryStore
from gozen.catalog.imports.import_table import import_table
from gozen.errors import BadRequest, GozenError, LimitExceeded
from gozen.quickdb import Api, connect
from gozen.quickdb.sql.database import Database
from gozen.settings import load_settings

from ..effort import SEED, rounds
from .opened_files import opened_files
from .small_demo import GOZEN
from .sql_texts import Texts
from .watched_processes import START_S, wait_until

pytestmark = pytest.mark.usefixtures("kept")
SOON_S = 3.0
"""Within which a query has stopped however busy the machine is; on a quiet one it takes some hundredths."""
ENDLESS = "SELECT count(*) FROM range(10000000000) a, range(1000000) b WHERE hash(a.range) = b.range"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an archive, and canaries in it and beside it."""
    folder = tmp_path_factory.mktemp("locked")
    rows = {"ra": [10.0, 11.0], "dec": [0.0, 1.0], "Gmag": [1.0, 2.0], "gmag": [3.0, 4.0], "i.mag": [5.0, 6.0]}
    pq.write_table(pa.table({**rows, "raw": [b"a", b"\xff"]}), folder / "mine.parquet")
    import_table(DirectoryStore(folder / "archive"), str(folder / "mine.parquet"), "mine")
    inside = folder / "archive" / "catalogs" / "mine"
    for place in (folder, folder / "archive", folder / "archive" / "tables", inside):
        place.mkdir(exist_ok=True)
        for ending in ("csv", "json", "parquet", "txt", "db"):
            (place / f"canary.{ending}").write_text('a,b\n1,2\n{"a": 1}\n')
    return folder


@pytest.fixture
def api(root: Path) -> Iterator[Api]:
    with connect(root / "archive", workers=0) as made:
        yield made


def limited(root: Path, **limits: Any) -> Api:
    settings = load_settings(archive=str(root / "archive"), quickdb=limits)
    return connect(workers=0, settings=settings)


def test_generated_texts_open_no_file_and_fail_by_name(root: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    canaries = sorted(root.rglob("canary.*"))
    names = [str(path) for path in canaries] + [f"{root}/archive/../canary.csv", "canary.csv", "*.csv", "/etc/issue"]
    asked = answered = parsed = 0
    with opened_files([*canaries, Path("/etc/issue")]) as opened:
        for number in rounds("texts of SQL"):
            text = Texts(SEED * 1_000_000 + number, names).one()
            asked += 1
            with contextlib.suppress(Exception):
                parsed += bool(sqlglot.parse(text, read="duckdb"))
            with contextlib.suppress(GozenError):
                api.sql(text)
                answered += 1
            assert opened() == [], text
    assert parsed > asked / 2
    assert answered > asked / 25


@pytest.mark.parametrize("query", [
    "SELECT * FROM read_csv('{f}')", "SELECT * FROM '{f}'", 'SELECT * FROM "{f}"', "SELECT * FROM glob('{f}')",
    "SELECT size FROM read_text('{f}')", "SELECT * FROM mine WHERE ra IN (SELECT a FROM '{f}')",
    "WITH x AS (FROM read_csv('{f}')) FROM x",
])  # fmt: skip
def test_only_who_is_trusted_opens_a_file(root: Path, api: Api, query: str) -> None:
    text = query.format(f=root / "own.csv")
    (root / "own.csv").write_text("a,b\n10,2\n")
    with opened_files([root / "own.csv"]) as opened:
        with pytest.raises(BadRequest, match=r"(?s)no files.*trusted"):
            api.sql(text)
        assert opened() == []
        assert api.sql(text, trusted=True).num_rows in (0, 1)
    assert api.sql("SELECT count(*) AS n FROM mine", trusted=True)["n"].to_pylist() == [2]
    with pytest.raises(BadRequest, match="one SELECT"):
        api.sql("COPY mine TO 'x.csv'", trusted=True)


@pytest.mark.parametrize("query", [
    "SELECT getenv('HOME')", "SELECT current_setting('memory_limit')", "FROM duckdb_settings()",
    "FROM information_schema.tables", "SELECT sleep_ms(9000)", "FROM arrow_scan(1, 2, 3)", "FROM pragma_version()",
    "SELECT repeat('x', 3000000000)", "SELECT len(range(3000000000))", "SELECT printf('%900000000d', 1)",
    "SELECT list_transform([1], x -> range(10000))", "SELECT nextval('x')", "SELECT main.read_text('x')",
])  # fmt: skip
def test_what_asks_the_system_or_grows_without_end_is_refused_at_once(api: Api, query: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadRequest):
        api.sql(query)
    assert time.monotonic() - began < SOON_S


def test_duckdb_itself_is_locked_behind_the_list(root: Path, api: Api) -> None:
    """What gets past the list, were it wrong, meets a connection that opens nothing outside of the tables."""
    locked = Database(api._store, load_settings().quickdb)._connection(trusted=False)
    for statement in (
        f"SELECT * FROM read_csv('{root}/canary.csv')",
        f"SELECT * FROM read_text('{root}/archive/canary.txt')",
        f"SELECT * FROM read_text('{root}/archive/catalogs/../canary.txt')",
        f"ATTACH '{root}/archive/canary.db'",
        f"COPY (SELECT 1) TO '{root}/new.csv'",
        "SET enable_external_access = true",
        "SET memory_limit = '99GB'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ):
        with opened_files(root.rglob("canary.*")) as opened:
            with pytest.raises(duckdb.Error):
                locked.execute(statement)
            assert opened() == [], statement
    assert not (root / "new.csv").exists()


def test_a_variable_of_the_program_is_no_table(api: Api) -> None:
    own = pa.table({"a": [1]})
    with pytest.raises(BadRequest, match="no table 'own'"):
        api.sql("SELECT * FROM own")
    with pytest.raises(BadRequest):
        api.sql("SELECT * FROM own", trusted=True)
    assert len(api.sql("SELECT * FROM own", own=own)) == 1


@pytest.mark.parametrize("query", [
    ENDLESS,
    "SELECT * FROM range(100000000000)",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "SELECT levenshtein(string_agg('a', ''), string_agg('b', '')) FROM range(40000)",
])  # fmt: skip
def test_a_query_ends_with_its_time_and_the_next_one_is_answered(root: Path, query: str) -> None:
    with limited(root, sql_seconds=0.5, sql_rows=10**12) as api:
        began = time.monotonic()
        with pytest.raises(LimitExceeded, match=r"more than 0.5 s: .*quickdb.sql_seconds"):
            api.sql(query)
        assert time.monotonic() - began < SOON_S
        assert api.sql("SELECT count(*) AS n FROM mine")["n"].to_pylist() == [2]


@pytest.mark.parametrize(("query", "limits", "said"), [
    ("SELECT range FROM range(101)", {"sql_rows": 100}, r"more than 100 rows: .*quickdb.sql_rows"),
    ("SELECT range FROM range(30000000)", {"sql_memory_mb": 64}, r"more than 64 MB: .*quickdb.sql_memory_mb"),
    ("SELECT * FROM range(20000000) ORDER BY hash(range)", {"sql_memory_mb": 64}, r"more than 64 MB"),
    ("SELECT len(list(range)) FROM range(90000000)", {"sql_memory_mb": 64}, r"more than 64 MB"),
])  # fmt: skip
def test_memory_and_rows_have_limits(root: Path, query: str, limits: dict[str, int], said: str) -> None:
    with limited(root, **limits) as api, pytest.raises(LimitExceeded, match=said):
        api.sql(query)


def test_limits_by_default(api: Api) -> None:
    quickdb = load_settings().quickdb
    assert (quickdb.sql_seconds, quickdb.sql_memory_mb, quickdb.sql_rows) == (60, 2048, 10_000_000)
    with pytest.raises(LimitExceeded, match="10,000,000 rows"):
        api.sql("SELECT range FROM range(10000001)")


def test_ctrl_c_in_a_notebook_stops_a_query_and_the_next_one_is_answered(api: Api) -> None:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        api.sql(ENDLESS)
    assert time.monotonic() - began < SOON_S
    assert api.sql("SELECT count(*) AS n FROM mine")["n"].to_pylist() == [2]


def test_ctrl_c_stops_the_command(root: Path, tmp_path: Path) -> None:
    code = f"""
        import sys
        from pathlib import Path
        from gozen.cli import main
        from gozen.quickdb.sql import database

        def begun(*words, asked=database.answer):
            Path("begun").touch()
            return asked(*words)

        database.answer = begun
        sys.argv = ["gozen", "sql", {ENDLESS!r}, "--archive", {str(root / "archive")!r}]
        main()
    """
    running = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    wait_until((tmp_path / "begun").exists, START_S)
    began = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert time.monotonic() - began < SOON_S
    assert (running.returncode, said.count("\n")) == (130, 1), said


def test_the_command_ends_where_a_query_cannot_be_stopped(root: Path) -> None:
    long_step = "SELECT levenshtein(string_agg('a', ''), string_agg('b', '')) FROM range(200000)"
    done = subprocess.run(
        [GOZEN, "sql", long_step, "--archive", str(root / "archive")],
        env={**os.environ, "GOZEN_QUICKDB__SQL_SECONDS": "0.5"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (64, 1), done.stderr
    assert "LimitExceeded: the query takes more than 0.5 s" in done.stderr
