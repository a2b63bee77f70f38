"""Run queries on a DuckDB connection that can read only the archive, with limits of time, memory and rows."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest, GozenError, LimitExceeded, StorageUnavailable, UnreadableInput
from gozen.quickdb.sql.allow_list import require_allowed
from gozen.quickdb.sql.answer_table import answer
from gozen.quickdb.sql.column_clashes import Spelling
from gozen.quickdb.sql.parse_query import Query
from gozen.quickdb.sql.query_sources import QuerySources, readable
from gozen.settings import QuickDBSettings

Result = TypeVar("Result")
_ASK_AGAIN_S = 0.02
_STOPS_IN_S = 0.4
"""Seconds to wait for a query to stop. If one long step does not end, it runs on and its connection is abandoned."""
_READ = ("catalogs/", "tables/")
"""Folders of the archive that queries may read."""
_KIND = re.compile(r"^(\w[\w ]*) Error: ", re.ASCII)


class Database:
    """Runs queries; keeps its connection, which caches footers of files, until the archive's S3 keys change.

    Parameters
    ----------
    store
        The archive.
    limits
        Limits of a query: seconds, memory and rows.
    """

    def __init__(self, store: Store, limits: QuickDBSettings) -> None:
        self._store, self._limits = store, limits
        self._open: dict[bool, tuple[object, duckdb.DuckDBPyConnection]] = {}
        self._lock = threading.Lock()

    def run(self, query: Query, sources: QuerySources, mine: Mapping[str, Any], *, trusted: bool = False) -> pa.Table:
        """Run a query and return its result.

        Parameters
        ----------
        query
            The parsed query.
        sources
            The tables that the query may read.
        mine
            The caller's tables, by name.
        trusted
            Whether the query may open files.

        Raises
        ------
        BadRequest
            The query does more than read tables, or DuckDB refuses it.
        LimitExceeded
            The query takes too long or too much memory, or its result has too many rows.
        UnreadableInput
            A file of a table cannot be read.
        StorageUnavailable
            The storage does not answer.
        """
        if not trusted:
            require_allowed(query.text, sources.names)
        text, spelling = query.over(sources, files=trusted)
        cursor = self._connection(trusted).cursor()
        with self._errors_named(spelling):
            for name, one in mine.items():
                cursor.register(name, readable(name, one))
            return self._in_time(cursor, lambda stopped: answer(cursor, text, spelling, self._limits, stopped))

    def _connection(self, trusted: bool) -> duckdb.DuckDBPyConnection:
        """Return a connection with the current S3 keys; a locked connection cannot get new keys, so it is replaced."""
        keys = self._keys()
        with self._lock:
            if trusted not in self._open or self._open[trusted][0] != keys:
                self._open[trusted] = keys, self._connected(keys, trusted)
            return self._open[trusted][1]

    def _keys(self) -> Any:
        if not self._store.url.startswith("s3://"):
            return None
        from gozen.archive.stores.s3_store import S3Store

        assert isinstance(self._store, S3Store)
        return self._store.access()

    def _connected(self, keys: Any, trusted: bool) -> duckdb.DuckDBPyConnection:
        # Otherwise an unknown table name would be looked up among the variables of this program.
        made = duckdb.connect(config={"python_enable_replacements": "false"})
        made.execute(f"SET parquet_metadata_cache = true; SET memory_limit = '{self._limits.sql_memory_mb} MiB'")
        # Otherwise data that do not fit in memory would be written into the working directory.
        made.execute("SET temp_directory = ''")
        with contextlib.suppress(duckdb.InvalidInputException):  # raised in a notebook without ipywidgets
            made.execute("SET enable_progress_bar = false")
        if keys is not None:
            from gozen.quickdb.sql.duckdb_s3 import reach

            reach(made, keys)
        if not trusted:
            root = self._store.url.rstrip("/")
            folders = ", ".join("'" + f"{root}/{folder}".replace("'", "''") + "'" for folder in _READ)
            made.execute(f"SET allowed_directories = [{folders}]; SET autoinstall_known_extensions = false")
            made.execute("SET autoload_known_extensions = false; SET enable_external_access = false")
            made.execute("SET lock_configuration = true")
        return made

    def _in_time(self, cursor: duckdb.DuckDBPyConnection, work: Callable[[threading.Event], Result]) -> Result:
        """Run `work` in another thread, so that the caller can react to the time limit and to Ctrl-C."""
        done, stopped = threading.Event(), threading.Event()
        found: list[Result] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                found.append(work(stopped))
            except BaseException as error:  # raised again in the waiting thread
                failed.append(error)
            finally:
                done.set()

        threading.Thread(target=run, name="gozen sql", daemon=True).start()
        try:
            ended = done.wait(self._limits.sql_seconds)
        except BaseException:
            stopped.set()
            self._stop(cursor, done)
            raise
        if not ended:
            stopped.set()
            self._stop(cursor, done)
            raise LimitExceeded(
                f"the query takes more than {self._limits.sql_seconds:g} s: select fewer rows, for example with "
                "within(...) or night = ..., or raise quickdb.sql_seconds"
            )
        cursor.close()
        if failed:
            raise failed[0]
        return found[0]

    def _stop(self, cursor: duckdb.DuckDBPyConnection, done: threading.Event) -> None:
        for _ in range(round(_STOPS_IN_S / _ASK_AGAIN_S)):
            cursor.interrupt()  # repeated, because it has no effect between two statements
            if done.wait(_ASK_AGAIN_S):
                cursor.close()
                return
        with self._lock:
            self._open.clear()

    @contextlib.contextmanager
    def _errors_named(self, spelling: Spelling) -> Iterator[None]:
        try:
            yield
        except GozenError:
            raise
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            raise self._named(error, spelling.read(str(error))) from error

    def _named(self, error: Exception, said: str) -> GozenError:
        """Return the Gozen error for an error of DuckDB, by the type in its message: the class may be too general."""
        found = _KIND.match(said)
        kind = found[1] if found else ""
        if kind == "Out of Memory" or isinstance(error, duckdb.OutOfMemoryException):
            return LimitExceeded(
                f"the query needs more than {self._limits.sql_memory_mb:,} MB: select fewer rows or columns, or raise "
                "quickdb.sql_memory_mb"
            )
        # The exception has no HTTP status if the file is one of a list.
        if kind == "HTTP" and "(HTTP 404 " not in said:
            return StorageUnavailable(f"DuckDB cannot read the archive: {said}; try again when the storage answers")
        if kind in ("HTTP", "IO") or (kind == "Invalid Input" and self._store.url in said):
            return UnreadableInput(f"DuckDB cannot read the tables: {said}; run `gozen catalog verify`")
        return BadRequest(f"DuckDB refuses the query: {said}")
