"""Parse a query, find its tables and circles, and translate it to a query of the tables' files.

`gozen.quickdb.sql.allow_list` checks whether the query is allowed; `gozen.quickdb.sql.database` runs it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import sqlglot
from numpy.typing import NDArray
from sqlglot import exp
from sqlglot.errors import SqlglotError

from gozen.catalog.format import healpix
from gozen.errors import BadRequest, reason_of
from gozen.quickdb.sql.column_clashes import Spelling, require_spelling, with_dotted_columns
from gozen.quickdb.sql.query_sources import PIXEL, QuerySource, QuerySources, quoted
from gozen.resources.sky_circle import circle_fault

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # no warnings: Gozen raises an error instead
_WITHIN = "within"
_PLACE = ["ra", "dec"]
_UNDERLINED = re.compile(r"\x1b\[\d*m")
"""Terminal codes that sqlglot puts into its messages to underline text."""
_USAGE = "within(ra, dec, 83.8, -5.4, 10): two columns, then a centre in degrees and a radius in arcsec, as numbers"
_DISTANCE = (
    "2 * asin(sqrt(least(1, pow(sin(radians({dec} - {d}) / 2), 2) + "
    "cos(radians({dec})) * cos(radians({d})) * pow(sin(radians({ra} - {r}) / 2), 2)))) <= radians({radius})"
)


class Query:
    """A parsed SELECT.

    Parameters
    ----------
    text
        The query in DuckDB's SQL.

    Raises
    ------
    BadRequest
        The text is not exactly one SELECT.
    """

    def __init__(self, text: str) -> None:
        parsed = _parsed(text)
        if len(parsed) != 1 or not isinstance(parsed[0], exp.Query):
            raise BadRequest("the query must be one SELECT statement: a query can read tables, but not change them")
        self._tree = parsed[0]
        self._nodes = [
            node
            for node in self._tree.find_all(exp.Table)
            if isinstance(node.this, exp.Identifier) and not node.db and not _is_of_the_query(node)
        ]

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables in FROM, each as written and in lower case; SQL does not distinguish the two."""
        return tuple(sorted({name for node in self._nodes for name in (node.name, node.name.lower())}))

    @property
    def text(self) -> str:
        """The query in DuckDB's SQL, with the names of tables."""
        return _written(self._tree)

    def over(self, sources: QuerySources, *, files: bool = False) -> tuple[str, Spelling]:
        """Return the query on the files of these tables; circles become ranges of pixels and an exact test.

        Parameters
        ----------
        sources
            The tables that the query may read.
        files
            Whether DuckDB gets names that are not tables, and may open files of these names.

        Returns
        -------
        tuple
            The query for DuckDB, and the translation of its column names.

        Raises
        ------
        TableNotFound
            The query names another table, and `files` is not set.
        """
        asked = [node for node in self._nodes if not files or node.name.lower() in sources.names]
        found = {id(node): sources.find(node.name) for node in asked}
        with_dotted_columns(self._tree, {node.alias_or_name: found[id(node)].columns for node in asked})
        limits = self._circles(found)
        spelling = Spelling.of([source.columns for source in found.values()])
        spelling.spell(self._tree)
        require_spelling(self._tree)
        for node in asked:
            rows = spelling.rows(found[id(node)], limits.get(id(node)))
            _put(node, rows)
        return _written(self._tree), spelling

    def _circles(self, found: Mapping[int, QuerySource]) -> dict[int, NDArray[np.int64]]:
        """Replace circles by tests; return the ranges of pixels that limit a table, by the ``id()`` of its node."""
        limits: dict[int, NDArray[np.int64]] = {}
        for call in list(self._tree.find_all(exp.Anonymous)):
            if call.name.lower() == _WITHIN:
                ranges = _limit(call)
                table = self._table_of(call, found)
                if table is not None and _holds_for_every_row(call):
                    limits[id(table)] = ranges
                inside = None if table is None else _inside(table, ranges)
                call.replace(sqlglot.parse_one(_condition(call, inside), read="duckdb"))
        return limits

    def _table_of(self, call: exp.Anonymous, found: Mapping[int, QuerySource]) -> exp.Table | None:
        """Return the table whose spatial index can select the rows inside a circle.

        None if the circle of the query does not use the columns ra and dec of such a table.
        """
        select = call.find_ancestor(exp.Select)
        mine = [node for node in self._nodes if node.find_ancestor(exp.Select) is select]
        qualifier = call.expressions[0].table.lower()
        named = [node for node in mine if not qualifier or node.alias_or_name.lower() == qualifier]
        source = found.get(id(named[0])) if len(named) == 1 else None
        if source is None or source.catalog is None or [one.name.lower() for one in call.expressions[:2]] != _PLACE:
            return None
        return named[0] if {*_PLACE, PIXEL} <= {name.lower() for name in source.columns} else None


def _parsed(text: str) -> list[exp.Expr]:
    try:
        return [one for one in sqlglot.parse(text, read="duckdb") if one is not None]
    except SqlglotError as error:
        raise BadRequest(f"the query is not valid SQL: {_UNDERLINED.sub('', str(error))}") from error
    except RecursionError as error:
        raise BadRequest("the query is nested too deeply: write parts of it as WITH name AS (...)") from error
    except Exception as error:  # the parser gets any text and may raise anything
        raise BadRequest(
            f"the query cannot be parsed as SQL: {reason_of(error)}; write a simpler query, and add its parts "
            "one by one to find the part that fails"
        ) from error


def _written(tree: exp.Expr) -> str:
    try:
        return tree.sql(dialect="duckdb")
    except RecursionError as error:
        raise BadRequest("the query is nested too deeply: write parts of it as WITH name AS (...)") from error
    except Exception as error:  # as in `_parsed`
        raise BadRequest(
            f"the query cannot be converted for DuckDB: {reason_of(error)}; write a simpler query, and add its "
            "parts one by one to find the part that fails"
        ) from error


def _put(node: exp.Table, rows: str) -> None:
    """Replace a table's name by the SQL for its rows, and keep its alias, sample and joins."""
    inner = sqlglot.parse_one(f"SELECT * FROM {rows}", read="duckdb")  # noqa: S608 the connection limits what can be read
    subquery = exp.Subquery(this=inner, alias=node.args.get("alias") or exp.TableAlias(this=node.this.copy()))
    for part in ("joins", "laterals", "sample", "pivots"):
        if node.args.get(part):
            subquery.set(part, node.args[part])
    node.replace(subquery)


def _is_of_the_query(node: exp.Table) -> bool:
    """Return whether WITH defines a name, so that it is not a table.

    Inside its own definition, unless that is recursive, the name means the table.
    """
    above: Any = node
    inside: list[Any] = []
    while above is not None:
        inside.append(above)
        within = above.args.get("with_") or above.args.get("with")
        for cte in within.expressions if within is not None else ():
            itself = any(one is cte for one in inside) and not within.args.get("recursive")
            if cte.alias.lower() == node.name.lower() and not itself:
                return True
        above = above.parent
    return False


def _limit(call: exp.Anonymous) -> NDArray[np.int64]:
    try:
        ra, dec, radius = (float(one.to_py()) for one in call.expressions[2:])
        columns = [isinstance(one, exp.Column) for one in call.expressions[:2]]
    except (ValueError, TypeError) as error:
        raise BadRequest(f"{call.sql()}: write {_USAGE}") from error
    fault = circle_fault(ra, dec, radius / 3600)
    if columns != [True, True] or fault is not None:
        raise BadRequest(f"{call.sql()}: write {_USAGE}{'' if fault is None else f': {fault}'}")
    return healpix.cone_ranges(ra, dec, radius / 3600)


def _holds_for_every_row(call: exp.Expr) -> bool:
    """Return whether a condition is joined by AND to the rest of the WHERE, and so excludes each row that fails it."""
    node = call.parent
    while isinstance(node, exp.And | exp.Paren):
        node = node.parent
    return isinstance(node, exp.Where)


def _inside(table: exp.Table, ranges: NDArray[np.int64]) -> str:
    pixel = f"{quoted(table.alias_or_name)}.{PIXEL}"
    return " OR ".join(f"{pixel} BETWEEN {start} AND {stop - 1}" for start, stop in ranges.tolist()) or "false"


def _condition(call: exp.Anonymous, inside: str | None) -> str:
    columns = [one.sql(dialect="duckdb") for one in call.expressions[:2]]
    numbers = [one.sql(dialect="duckdb") for one in call.expressions[2:]]
    distance = _DISTANCE.format(
        ra=columns[0], dec=columns[1], r=f"({numbers[0]})", d=f"({numbers[1]})", radius=f"({numbers[2]}) / 3600"
    )
    return f"({distance})" if inside is None else f"(({inside}) AND {distance})"
