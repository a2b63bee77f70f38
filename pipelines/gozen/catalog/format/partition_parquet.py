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
"""Rows of a row group of objects, which are read many at a time."""

SOURCE_ROW_GROUP = 2_048
"""Rows of a row group of a light-curve table: a look-up decodes the whole of one (docs/decisions/0008)."""

_ENCODINGS = {"split": "BYTE_STREAM_SPLIT", "delta": "DELTA_BINARY_PACKED", "plain": "PLAIN"}
_PRUNED_BY = ("_healpix_29", "source_id", "ra", "dec", "mjd", "night", "first_night")  # else a third of a footer
_TIE_BREAKERS = ("exposure", "sensor", "frame", "run", "x", "y", "flux")


def numbers(table: pa.Table, name: str) -> NDArray[Any]:
    """Return a column without nulls as a NumPy array."""
    array: NDArray[Any] = table.column(name).to_numpy()
    return array


def sorted_rows(table: pa.Table) -> pa.Table:
    """Sort by (``_healpix_29``, ``source_id``, ``mjd``), equal keys by what is left: the input's order is forgotten."""
    keys = _keys(table)
    order = np.argsort(keys[0], kind="stable")  # rows that come in time, the usual case, are right already
    if not _ascending(keys, order):
        order = np.lexsort(keys[::-1])
    if not _ascending(keys, order):
        ranks = [_codes(table, name) for name in reversed(_TIE_BREAKERS) if name in table.column_names]
        order = np.lexsort([*ranks, *keys[::-1]])
    if (order[1:] > order[:-1]).all():
        return table
    return _taken(table, pa.array(order))


def _taken(table: pa.Table, order: pa.Array) -> pa.Table:
    """Take rows by columns: from many chunks it is four times slower, and all joined at once are the rows twice."""
    columns = [column.combine_chunks().take(order) for column in table.columns]
    return pa.Table.from_arrays(columns, schema=table.schema)


def is_sorted(table: pa.Table) -> bool:
    """Tell whether rows are in the order that `sorted_rows` gives them, as far as the sort keys say."""
    keys = _keys(table)
    return bool((np.lexsort(keys[::-1]) == np.arange(len(table))).all())


def _keys(table: pa.Table) -> list[NDArray[Any]]:
    return [numbers(table, name) for name in ("_healpix_29", "source_id", "mjd") if name in table.column_names]


def _ascending(keys: list[NDArray[Any]], order: NDArray[np.intp]) -> bool:
    """Tell whether rows in this order ascend strictly in the keys, the first of which counts most."""
    settled = np.zeros(max(len(order) - 1, 0), bool)
    for key in keys:
        ordered = key[order]
        if (~settled & (ordered[1:] < ordered[:-1])).any():
            return False
        settled |= ordered[1:] > ordered[:-1]
    return bool(settled.all())


def _codes(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Return each value's rank; equal values, and all nulls, share one."""
    column = table.column(name)
    values = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    return np.asarray(pc.rank(values, "ascending", tiebreaker="dense")).astype(np.int64)


def row_group_cuts(healpix29: NDArray[np.int64], source_id: NDArray[np.int64], size: int = ROW_GROUP) -> list[int]:
    """Return where row groups begin and, last, where the final one ends.

    Parameters
    ----------
    healpix29, source_id
        Of sorted rows, shape (N,).
    size
        Rows that a group aims at.

    Returns
    -------
    list[int]
        From 0 to N. A group ends at the last star that fits into `size` rows; a single star with more gets a group of
        its own up to twice `size`, beyond that it is cut.
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
    """Return the Parquet file of sorted rows: LZ4, a row group between each two cuts, encoded as fields say."""
    sink = io.BytesIO()
    table = table.cast(schema)  # once: it costs more than to write a small row group
    with pq.ParquetWriter(sink, schema, **options(schema)) as writer:
        for start, stop in itertools.pairwise(cuts):
            writer.write_table(table.slice(start, stop - start), row_group_size=stop - start)
    return sink.getvalue()


def options(schema: pa.Schema) -> dict[str, Any]:
    """Return what PyArrow's writer is told for these columns."""
    encodings = {field.name: encoding_of(field) for field in schema if not pa.types.is_nested(field.type)}
    return {
        "compression": "lz4",  # zstd takes 10 us for each page of a look-up, and a look-up reads some fifty pages
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
    """Read a whole small Parquet file."""
    return read_parquet(data)


def byte_ranges(metadata: pq.FileMetaData) -> Iterator[tuple[int, int]]:
    """Yield the bytes [start, stop) that each row group of a file takes."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(column) for column in range(group.num_columns)]
        start = min(chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks)
        yield start, start + sum(chunk.total_compressed_size for chunk in chunks)
