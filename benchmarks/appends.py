"""What an append costs beside its floor, PyArrow's sort and one file: a part of benchmarks/lookup.py."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gozen.archive.stores.open_store import open_store
from gozen.catalog.format import partition_parquet
from gozen.catalog.write.append import append_night
from star_tables import night_of, with_places
from timing import elapsed

ORDER = [("_healpix_29", "ascending"), ("source_id", "ascending"), ("mjd", "ascending")]


def appending(folder: Path, rows: int, repeats: int) -> dict[str, float]:
    """Append the same rows by Gozen and by the floor, in turns; return the medians, the first turn left out."""
    ((night, made),) = night_of(rows)
    tables = list(made)
    placed = with_places(pa.concat_tables(tables))
    spent: dict[str, list[float]] = {"append_s": [], "floor_s": []}
    for number in range(repeats):
        store = open_store(folder / f"append-{number}")
        spent["append_s"].append(elapsed(lambda store=store: append_night(store, "lightcurves", night, tables)))
        spent["floor_s"].append(elapsed(lambda: write_sorted(folder / "floor.parquet", placed, placed.schema)))
    return {"rows": len(placed), **{name: float(np.median(times[1:])) for name, times in spent.items()}}


def write_sorted(path: Path, rows: pa.Table, schema: pa.Schema) -> None:
    """Sort by PyArrow, and write one file with the encodings of our tables of this schema, down to the disk."""
    options = partition_parquet.options(schema)
    with path.open("wb") as stream:
        pq.write_table(rows.sort_by(ORDER), stream, row_group_size=partition_parquet.SOURCE_ROW_GROUP, **options)
        stream.flush()
        os.fsync(stream.fileno())
