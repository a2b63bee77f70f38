"""Find the rows for a name in FROM: a table, the observation log, or a table of the caller."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive import keys
from gozen.archive.log.observation_log import SCHEMAS, LogTable
from gozen.archive.stores.open_store import Store
from gozen.catalog.imports.formats.column_types import converted, plain
from gozen.catalog.imports.formats.file_request import NotATableError
from gozen.catalog.read.lookup import Catalog
from gozen.errors import BadRequest, TableNotFound
from gozen.quickdb.jobs.rerun_tables import Tables

PIXEL = "_healpix_29"
"""The column that the index of every table refers to."""
LOGS: tuple[LogTable, ...] = get_args(LogTable)
_TYPES = {
    pa.int16(): "SMALLINT",
    pa.uint16(): "USMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.string(): "VARCHAR",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
}


@dataclass(frozen=True)
class QuerySource:
    """The rows for a name in FROM.

    Parameters
    ----------
    columns
        The original names of the columns, in order.
    rows
        The SQL for FROM that gives all rows, with columns in that order.
    catalog
        The table with its index; None if there is no index.
    """

    columns: tuple[str, ...]
    rows: str
    catalog: Catalog | None = None

    def within(self, ranges: NDArray[np.int64] | None) -> str:
        """Return the SQL for FROM that reads the files with rows in ranges of pixels; all files for None."""
        if self.catalog is None or ranges is None:
            return self.rows
        return _files(self.catalog, {group.path for group in self.catalog.row_groups.of_ranges(ranges)})


class QuerySources:
    """The rows for all names that are allowed in FROM, opened on request.

    Parameters
    ----------
    store
        The archive, which also has the observation log.
    tables
        The tables of a release, or the live tables.
    mine
        The caller's tables (Arrow, pandas or polars), by name.
    """

    def __init__(self, store: Store, tables: Tables, mine: Mapping[str, Any]) -> None:
        self._store, self._tables = store, tables
        self._mine = {name.lower(): (name, one) for name, one in mine.items()}

    @property
    def names(self) -> frozenset[str]:
        """Names of the caller's tables, the archive's tables and the logs, in lower case."""
        return frozenset({*self._mine, *(name.lower() for name in self._tables.versions), *LOGS})

    def find(self, name: str) -> QuerySource:
        """Return the rows for a name: first among the caller's tables, then the archive's, then the log.

        Raises
        ------
        TableNotFound
            There is no table of this name.
        BadRequest
            The caller's object of this name is not a table.
        """
        small = name.lower()
        if small in self._mine:
            given, one = self._mine[small]
            return QuerySource(_columns(given, one), quoted(given))
        known = small if small in self._tables.versions else name
        if known not in self._tables.versions:
            return _log(self._store, self._log_of(name))
        catalog = self._tables.catalog(known)
        return QuerySource(tuple(catalog.schema.names), _files(catalog, None), catalog)

    def _log_of(self, name: str) -> LogTable:
        there_are = [*sorted(self._tables.versions), *(name for name, _ in self._mine.values()), *LOGS]
        for log in LOGS:
            if log == name.lower():
                return log
        nearest = difflib.get_close_matches(name.lower(), there_are, 1) or there_are
        raise TableNotFound(f"there is no table {name!r}; try {', '.join(nearest)}")


def quoted(name: str) -> str:
    """Return a name as a quoted identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def _files(catalog: Catalog, paths: set[str] | None) -> str:
    # The schema's file has columns and no rows: the columns are known even if no other file is read.
    rows = _parquet([catalog.schema_url(), *catalog.urls(paths)])
    if catalog.schema.names == catalog.stored.names:
        return rows
    # Columns that no file has yet are null.
    columns = (quoted(one.name) if one.name in catalog.stored.names else _null(one) for one in catalog.schema)
    return f"(SELECT {', '.join(columns)} FROM {rows})"  # noqa: S608 the connection limits what can be read


def _null(field: pa.Field) -> str:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return f"CAST(NULL AS {_TYPES[kind]}) AS {quoted(field.name)}"


def _parquet(urls: list[str]) -> str:
    listed = ", ".join("'" + url.replace("'", "''") + "'" for url in urls)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def _log(store: Store, name: LogTable) -> QuerySource:
    schema = SCHEMAS[name]
    none = f"SELECT {', '.join(map(_null, schema))} WHERE false"
    # Columns that an older night's file lacks are null. No file has columns outside the schema.
    urls = [store.url_of(key) for key in store.list(keys.log_tables(name)) if key.endswith(".parquet")]
    both = f"{none} UNION ALL BY NAME SELECT * FROM {_parquet(urls)}" if urls else none  # noqa: S608 the connection limits what can be read
    return QuerySource(tuple(schema.names), f"({both})")


def readable(name: str, table: Any) -> Any:
    """Return the caller's table, with columns of types that DuckDB lacks converted to types that it has."""
    if not isinstance(table, pa.Table):
        return table
    for at, field in enumerate(table.schema):
        if pa.types.is_decimal256(field.type) or pa.types.is_float16(field.type):
            try:
                column = converted(field.name, table.column(at), plain(field.type))
            except NotATableError as error:
                raise BadRequest(f"{name}: {error}") from error
            table = table.set_column(at, field.with_type(column.type), column)
    return table


def _columns(name: str, table: Any) -> tuple[str, ...]:
    schema = getattr(table, "schema", None)
    names = schema.names if isinstance(schema, pa.Schema) else getattr(table, "columns", None)
    if names is None:
        raise BadRequest(f"{name}: a {type(table).__name__} is not a table: give one of Arrow, pandas or polars")
    return tuple(str(one) for one in names)
