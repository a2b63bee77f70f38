"""Tables for people to read: all columns of a rerun, and light curves with what is derived from their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from gozen.catalog import parquet
from gozen.lightcurves.barycentre import Place, bjd_tdb
from gozen.quickdb.columns import BARYCENTRIC, TableColumns
from gozen.quickdb.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

_NEEDS = ("mjd", "ra", "dec")


def listed(tables: Tables) -> pd.DataFrame:
    """Return every column of every table, by the name that a patch takes."""
    import pandas as pd

    rows = []
    for word, schema in sorted(tables.schemas.items()):
        names = TableColumns.of_schema(word, schema).names()
        for name, field in zip(names, schema, strict=True):
            metadata = field.metadata or {}
            unit, meaning = (metadata.get(key, b"").decode() for key in (b"unit", b"description"))
            rows.append((name, str(field.type), unit, meaning))
    return pd.DataFrame(rows, columns=["name", "type", "unit", "meaning"]).set_index("name")


def read_for(columns: Sequence[str], place_m: Place | None) -> list[str]:
    """Return the columns of files that columns of a light curve are made of."""
    if BARYCENTRIC not in columns or place_m is None:
        return list(columns)
    return list(dict.fromkeys([*(name for name in columns if name != BARYCENTRIC), *_NEEDS]))


def shown(rows: pa.Table, columns: Sequence[str] | None, place_m: Place | None) -> pa.Table:
    """Return the columns that were asked for, in their order, derived ones among them."""
    if columns is None or place_m is None or BARYCENTRIC not in columns:
        return rows
    mjd, ra, dec = (parquet.numbers(rows, name) for name in _NEEDS)
    times = bjd_tdb(mjd, ra, dec, place_m)
    return rows.append_column(pa.field(BARYCENTRIC, pa.float64(), metadata={"unit": "d"}), pa.array(times)).select(
        list(columns)
    )
