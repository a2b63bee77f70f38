"""Write the rows of a partition as a Parquet file: sorted, cut at star boundaries, encoded."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gozen.archive.small_parquet import read_parquet
from gozen.catalog.format.schema import encoding_of

ROW_GROUP = 65_536
"""Rows in a row group of an object table: large, because objects are read many at a time."""

SOURCE_ROW_GROUP = 2_048
"""Rows in a row group of a light-curve table: small, because a look-up decodes complete ones (docs/decisions/0008)."""

_ENCODINGS = {"split": "BYTE_STREAM_SPLIT", "delta": "DELTA_BINARY_PACKED", "plain": "PLAIN"}
# Only these columns have statistics: those of all columns would be a third of a footer.
_PRUNED_BY = ("_healpix_29", "source_id", "ra", "dec", "mjd", "night", "first_night")
_TIE_BREAKERS = ("exposure", "sensor", "frame", "run", "x", "y", "flux")


def numbers(table: pa.Table, name: str) -> NDArray[Any]:
    """Return a column without nulls as a NumPy array."""
    array: NDArray[Any] = table.column(name).to_numpy()
    return array


def sorted_rows(table: pa.Table) -> pa.Table:
    """Sort by (``_healpix_29``, ``source_id``, ``mjd``); exposure, sensor, frame and further columns break ties."""
    keys = _keys(table)
    order = np.argsort(keys[0], kind="stable")  # faster, and enough if rows come in order of time, the usual case
    if not _ascending(keys, order):
        order = np.lexsort(keys[::-1])
    if not _ascending(keys, order):
        ranks = [_codes(table, name) for name in reversed(_TIE_BREAKERS) if name in table.column_names]
        order = np.lexsort([*ranks, *keys[::-1]])
    if (order[1:] > order[:-1]).all():
        return table
    return _taken(table, pa.array(order))


def _taken(table: pa.Table, order: pa.Array) -> pa.Table:
    """Take rows; the chunks of one column are joined at a time, because joining all at once would double the memory."""
    columns = [column.combine_chunks().take(order) for column in table.columns]
    return pa.Table.from_arrays(columns, schema=table.schema)


def is_sorted(table: pa.Table) -> bool:
    """Tell whether rows are sorted by ``_healpix_29``, ``source_id`` and ``mjd``."""
    keys = _keys(table)
    return bool((np.lexsort(keys[::-1]) == np.arange(len(table))).all())


def _keys(table: pa.Table) -> list[NDArray[Any]]:
    return [numbers(table, name) for name in ("_healpix_29", "source_id", "mjd") if name in table.column_names]


def _ascending(keys: list[NDArray[Any]], order: NDArray[np.intp]) -> bool:
    """Tell whether rows in this order ascend strictly by the keys, the first key first."""
    settled = np.zeros(max(len(order) - 1, 0), bool)
    for key in keys:
        ordered = key[order]
        if (~settled & (ordered[1:] < ordered[:-1])).any():
            return False
        settled |= ordered[1:] > ordered[:-1]
    return bool(settled.all())


def _codes(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Return the rank of each value; equal values have the same rank, and so have all nulls."""
    column = table.column(name)
    values = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    return np.asarray(pc.rank(values, "ascending", tiebreaker="dense")).astype(np.int64)


def row_group_cuts(healpix29: NDArray[np.int64], source_id: NDArray[np.int64], size: int = ROW_GROUP) -> list[int]:
    """Return the row numbers at which row groups begin and, last, the number of rows.

    Parameters
    ----------
    healpix29, source_id
        Columns of the sorted rows, shape (N,).
    size
        Target number of rows in a group.

    Returns
    -------
    list[int]
        From 0 to N. A group ends after the last star that fits into `size` rows. A star with more rows gets a separate
        group; if it has more than twice `size`, it is cut.
    """
    change = (healpix29[1:] != healpix29[:-1]) | (source_id[1:] != source_id[:-1])
    stars = np.concatenate([np.flatnonzero(change) + 1, [len(healpix29)]])
    cuts = [0]
    while cuts[-1] < len(healpix29):
        fits = int(np.searchsorted(stars, cuts[-1] + size, side="right"))
        last = int(stars[fits - 1]) if fits else 0
        if last <= cuts[-1]:
            whole = int(stars[np.searchsorted(stars, cuts[-1], side="right")])
            last = whole if whole - cuts[-1] <= 2 * size else cuts[-1] + size
        cuts.append(last)
    return cuts


def encoded(table: pa.Table, cuts: list[int], schema: pa.Schema) -> bytes:
    """Return sorted rows as a Parquet file with LZ4, a row group between two cuts, and the encodings of `schema`."""
    sink = io.BytesIO()
    table = table.cast(schema)  # once, not for each row group: a cast costs more than writing a small row group
    with pq.ParquetWriter(sink, schema, **options(schema)) as writer:
        for start, stop in itertools.pairwise(cuts):
            writer.write_table(table.slice(start, stop - start), row_group_size=stop - start)
    return sink.getvalue()


def options(schema: pa.Schema) -> dict[str, Any]:
    """Return the options of PyArrow's writer for these columns."""
    encodings = {field.name: encoding_of(field) for field in schema if not pa.types.is_nested(field.type)}
    return {
        "compression": "lz4",  # zstd takes 10 us to decode a page, and a look-up reads some fifty pages
        "use_dictionary": [name for name, encoding in encodings.items() if encoding == "dictionary"],
        "column_encoding": {name: _ENCODINGS[e] for name, e in encodings.items() if e != "dictionary"},
        "write_statistics": [name for name in _PRUNED_BY if name in schema.names],
        "version": "2.6",
    }


def empty_file(schema: pa.Schema) -> bytes:
    """Return a Parquet file with these columns and no rows: HATS' ``_common_metadata``."""
    sink = io.BytesIO()
    pq.write_metadata(schema, sink)
    return sink.getvalue()


def schema(data: bytes) -> pa.Schema:
    """Return the columns of a Parquet file."""
    return pq.read_schema(pa.BufferReader(data))


def small_file(table: pa.Table) -> bytes:
    """Return a Parquet file of a table that only Gozen reads."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def decoded(data: bytes) -> pa.Table:
    """Return the table of a small Parquet file."""
    return read_parquet(data)


def byte_ranges(metadata: pq.FileMetaData) -> Iterator[tuple[int, int]]:
    """Yield the byte range [start, stop) of each row group of a file."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(column) for column in range(group.num_columns)]
        start = min(chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks)
        yield start, start + sum(chunk.total_compressed_size for chunk in chunks)
