"""Turn DuckDB's answer into an Arrow table: unique column names, common types, a size limit."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from gozen.errors import LimitExceeded
from gozen.quickdb.sql.column_clashes import Spelling, distinct
from gozen.quickdb.sql.query_sources import quoted
from gozen.settings import QuickDBSettings

_BATCH = 65_536
_AS_TEXT = frozenset({"bignum", "bit", "geometry", "interval", "time with time zone", "uhugeint", "union", "variant"})
"""Types that are returned as text: Arrow or Parquet lacks them, or has bytes that only DuckDB understands."""


def answer(
    cursor: duckdb.DuckDBPyConnection, text: str, spelling: Spelling, limits: QuickDBSettings, stopped: threading.Event
) -> pa.Table:
    """Run a query and return the result with unique column names.

    Parameters
    ----------
    spelling
        Translates DuckDB's column names back to the original ones.
    stopped
        Set when the caller no longer waits for the result.

    Raises
    ------
    LimitExceeded
        The result has too many rows, or takes too much memory.
    """
    described = cursor.execute(text).description
    kinds = [kind for _, kind, *_ in described]
    if any(_needs_text(kind) for kind in kinds) and not stopped.is_set():
        cursor.execute(_converted(text, kinds))
    names = distinct([spelling.read(name) for name, *_ in described])
    reader = cursor.to_arrow_reader(_BATCH)
    batches, rows, size = [], 0, 0
    while not stopped.is_set():
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            break
        batches.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        _require_room(rows, size, limits)
    return pa.Table.from_batches(batches, reader.schema).rename_columns(names)


def _require_room(rows: int, size: int, limits: QuickDBSettings) -> None:
    if rows > limits.sql_rows:
        raise LimitExceeded(
            f"the result has more than {limits.sql_rows:,} rows: add a WHERE or LIMIT, or raise quickdb.sql_rows"
        )
    if size > limits.sql_memory_mb << 20:
        raise LimitExceeded(
            f"the result needs more than {limits.sql_memory_mb:,} MB: select fewer rows or columns, or raise "
            "quickdb.sql_memory_mb"
        )


def _parts(kind: Any) -> list[Any]:
    if kind.id in ("list", "array"):
        return [dict(kind.children)["child"]]
    return [inner for _, inner in kind.children] if kind.id in ("map", "struct") else []


def _needs_text(kind: Any) -> bool:
    return kind.id in _AS_TEXT or any(_needs_text(part) for part in _parts(kind))


def _converted(text: str, kinds: Sequence[Any]) -> str:
    """Return the query with columns of the types in `_AS_TEXT` cast to text."""
    names = [f"c{number}" for number in range(len(kinds))]
    columns = (
        f"CAST({name} AS {_known(kind)}) AS {name}" if _needs_text(kind) else name
        for name, kind in zip(names, kinds, strict=True)
    )
    return f"SELECT {', '.join(columns)} FROM ({text}) AS answer({', '.join(names)})"  # noqa: S608 the connection limits what can be read


def _known(kind: Any) -> str:
    """Return a type in DuckDB's SQL, with text in place of the types in `_AS_TEXT`."""
    if not _needs_text(kind):
        return str(kind)
    if kind.id in _AS_TEXT:
        return "VARCHAR"
    if kind.id == "struct":
        return "STRUCT(" + ", ".join(f"{quoted(name)} {_known(inner)}" for name, inner in kind.children) + ")"
    inner = ", ".join(map(_known, _parts(kind)))
    if kind.id == "map":
        return f"MAP({inner})"
    return f"{inner}[{dict(kind.children).get('size', '')}]"
