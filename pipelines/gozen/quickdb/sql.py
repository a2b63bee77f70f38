"""SQL on the same files: DuckDB, given the files of one version, and of those only what the index says can matter."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import sqlglot
from numpy.typing import NDArray
from sqlglot import exp
from sqlglot.errors import SqlglotError

from gozen.archive.store import Store
from gozen.catalog import healpix
from gozen.errors import BadRequest, StorageUnavailable, UnreadableInput
from gozen.quickdb.tables import Tables
from gozen.settings import StorageSettings

_WITHIN = "within"
_DUCKDB_TYPES = {"int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT", "float": "FLOAT", "double": "DOUBLE"}
_USAGE = "within(ra, dec, 83.8, -5.4, 10): two columns, then a centre in degrees and a radius in arcsec, as numbers"
_DISTANCE = (
    "2 * asin(sqrt(least(1, pow(sin(radians({dec} - {d}) / 2), 2) + "
    "cos(radians({dec})) * cos(radians({d})) * pow(sin(radians({ra} - {r}) / 2), 2)))) <= radians({radius})"
)


class Query:
    """A SELECT, parsed.

    Parameters
    ----------
    text
        In DuckDB's SQL.

    Raises
    ------
    BadRequest
        It is no SELECT, or not one.
    """

    def __init__(self, text: str) -> None:
        try:
            parsed = [one for one in sqlglot.parse(text, read="duckdb") if one is not None]
        except SqlglotError as error:
            raise BadRequest(f"this is no SQL: {error}") from error
        if len(parsed) != 1 or not isinstance(parsed[0], exp.Query):
            raise BadRequest("api.sql takes one SELECT: tables are read, never changed")
        self._tree = parsed[0]
        self._nodes = [
            node
            for node in self._tree.find_all(exp.Table)
            if isinstance(node.this, exp.Identifier) and not node.db and not _is_of_the_query(node)
        ]

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables that it asks, as written and in small letters, which SQL takes for the same."""
        return tuple(sorted({name for node in self._nodes for name in (node.name, node.name.lower())}))

    def over(self, tables: Tables, mine: Collection[str] = ()) -> str:
        """Return the query on the files of these tables; circles become ranges of pixels and an exact test.

        Parameters
        ----------
        tables
            Those that it may ask.
        mine
            Names of others that the database knows.

        Raises
        ------
        TableNotFound
            It asks another one.
        """
        limits: dict[int, NDArray[np.int64]] = {}
        for call in list(self._tree.find_all(exp.Anonymous)):
            if call.name.lower() == _WITHIN:
                ranges = self._limit(call)
                table = self._table_of(call)
                if table is not None and _holds_for_every_row(call):
                    limits[id(table)] = ranges
                call.replace(sqlglot.parse_one(_condition(call, ranges), read="duckdb"))
        for node in self._nodes:
            if node.name not in mine:
                name = node.name.lower() if node.name.lower() in tables.versions else node.name
                tables.require(name)
                files = _files(tables, name, limits.get(id(node)))
                rows = exp.select("*", *_later(tables, name)).from_(sqlglot.parse_one(files, read="duckdb"))
                node.replace(rows.subquery(node.alias_or_name))
        return self._tree.sql(dialect="duckdb")

    def _limit(self, call: exp.Anonymous) -> NDArray[np.int64]:
        try:
            ra, dec, radius = (float(one.to_py()) for one in call.expressions[2:])
            columns = [isinstance(one, exp.Column) for one in call.expressions[:2]]
        except (ValueError, TypeError) as error:
            raise BadRequest(f"{call.sql()}: write {_USAGE}") from error
        if columns != [True, True] or not (-90 <= dec <= 90 and radius >= 0):
            raise BadRequest(f"{call.sql()}: write {_USAGE}")
        return healpix.cone_ranges(ra, dec, radius / 3600)

    def _table_of(self, call: exp.Anonymous) -> exp.Table | None:
        """Return the table whose columns a circle is about."""
        select = call.find_ancestor(exp.Select)
        mine = [node for node in self._nodes if node.find_ancestor(exp.Select) is select]
        qualifier = call.expressions[0].table
        found = [node for node in mine if not qualifier or node.alias_or_name == qualifier]
        return found[0] if len(found) == 1 else None


class Database:
    """A DuckDB in memory that reads an archive; keeps the footers that it has read.

    Parameters
    ----------
    store
        The archive.
    storage
        How an S3 server is reached.
    """

    def __init__(self, store: Store, storage: StorageSettings) -> None:
        # A name that is no table is an error, not a variable of this program.
        self._connection = duckdb.connect(config={"python_enable_replacements": "false"})
        self._connection.execute("SET parquet_metadata_cache = true")
        with contextlib.suppress(duckdb.InvalidInputException):  # in a notebook without ipywidgets there is no bar
            self._connection.execute("SET enable_progress_bar = false")
        if store.url.startswith("s3://"):
            from gozen.quickdb.sql_s3 import reach

            reach(self._connection, storage)

    def run(self, query: Query, tables: Tables, mine: Mapping[str, Any]) -> pa.Table:
        """Ask.

        Parameters
        ----------
        query
            What.
        tables
            The tables that it may name.
        mine
            Further tables by name: Arrow, pandas or polars.

        Raises
        ------
        BadRequest
            DuckDB refuses the query.
        UnreadableInput
            A file that the table names cannot be read.
        StorageUnavailable
            The storage does not answer.
        """
        cursor = self._connection.cursor()
        for name, one in mine.items():
            cursor.register(name, one)
        try:
            return cursor.execute(query.over(tables, mine)).to_arrow_table()
        except duckdb.HTTPException as error:
            if "(HTTP 404 " in str(error):  # the exception itself has no status where the file is one of a list
                raise _unreadable(error) from error
            raise StorageUnavailable(f"DuckDB cannot read the archive: {error}") from error
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            raise _unreadable(error) from error
        except duckdb.Error as error:
            raise BadRequest(f"DuckDB refuses the query: {error}") from error
        finally:
            cursor.close()


def _unreadable(error: duckdb.Error) -> UnreadableInput:
    return UnreadableInput(f"DuckDB cannot read the tables: {error}; try gozen catalog verify")


def _is_of_the_query(node: exp.Table) -> bool:
    """Tell whether a name is that of a WITH of the query, which within its own definition means the table."""
    above: Any = node
    inside: list[Any] = []
    while above is not None:
        inside.append(above)
        within = above.args.get("with_") or above.args.get("with")
        for cte in within.expressions if within is not None else ():
            if cte.alias.lower() == node.name.lower() and not any(one is cte for one in inside):
                return True
        above = above.parent
    return False


def _holds_for_every_row(call: exp.Expression) -> bool:
    """Tell whether rows that do not meet a condition are out, whatever else the WHERE says."""
    node = call.parent
    while isinstance(node, exp.And | exp.Paren):
        node = node.parent
    return isinstance(node, exp.Where)


def _condition(call: exp.Anonymous, ranges: NDArray[np.int64]) -> str:
    columns = [one.sql(dialect="duckdb") for one in call.expressions[:2]]
    numbers = [one.sql(dialect="duckdb") for one in call.expressions[2:]]
    prefix = columns[0].rpartition(".")[0]
    pixel = f"{prefix}._healpix_29" if prefix else "_healpix_29"
    inside = " OR ".join(f"{pixel} BETWEEN {start} AND {stop - 1}" for start, stop in ranges.tolist())
    distance = _DISTANCE.format(
        ra=columns[0], dec=columns[1], r=f"({numbers[0]})", d=f"({numbers[1]})", radius=f"({numbers[2]}) / 3600"
    )
    return f"(({inside}) AND {distance})"


def _later(tables: Tables, name: str) -> list[str]:
    """Return the columns that none of a table's files has yet: nulls."""
    catalog = tables.catalog(name)
    later = [field for field in catalog.schema if field.name not in catalog.stored.names]
    return [f'CAST(NULL AS {_DUCKDB_TYPES.get(str(field.type), "VARCHAR")}) AS "{field.name}"' for field in later]


def _files(tables: Tables, name: str, ranges: NDArray[np.int64] | None) -> str:
    catalog = tables.catalog(name)
    paths = None if ranges is None else {group.path for group in catalog.row_groups.of_ranges(ranges)}
    # The file with the columns and no rows gives the columns where nothing else is left.
    listed = [catalog.schema_url(), *catalog.urls(paths)]
    quoted = ", ".join("'" + url.replace("'", "''") + "'" for url in listed)
    return f"read_parquet([{quoted}], union_by_name = true, hive_partitioning = false)"
