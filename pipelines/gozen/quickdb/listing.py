"""All columns of a rerun as a table to read: name, type, unit, meaning."""

from __future__ import annotations

import pandas as pd

from gozen.quickdb.columns import TableColumns
from gozen.quickdb.tables import Tables


def listed(tables: Tables) -> pd.DataFrame:
    """Return every column of every table, by the name that a patch takes."""
    rows = []
    for word, schema in sorted(tables.schemas.items()):
        names = TableColumns.of_schema(word, schema).names()
        for name, field in zip(names, schema, strict=True):
            metadata = field.metadata or {}
            unit, meaning = (metadata.get(key, b"").decode() for key in (b"unit", b"description"))
            rows.append((name, str(field.type), unit, meaning))
    return pd.DataFrame(rows, columns=["name", "type", "unit", "meaning"]).set_index("name")
