"""Write the rows of a selection of commits from a light-curve table to a Parquet and a CSV file, part by part."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gozen.archive.commit import SensorCommit
from gozen.archive.stores.open_store import Store
from gozen.archive.stores.store import named_errors
from gozen.catalog.format import layout
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.read.row_group_batches import batches_of_nights
from gozen.errors import BadRequest
from gozen.publication.star_statistics import StarStatistics, statistics_of, sums_of

_PART_ROWS = 2**19
"""Rows that are written together: few enough for the memory of a pod, enough for large row groups."""
_FORMULA = r"^[=+\-@\t\r]"
_PARTS = ("night", "exposure", "run", "sensor")
_Key = tuple[int, str, str, int]


@dataclass(frozen=True)
class TablePart:
    """Facts about the rows that were written.

    Parameters
    ----------
    version
        Version of the table that was read.
    rows
        Number of rows.
    first_mjd, last_mjd
        Times of the first and last row, MJD (UTC).
    filters
        Names of the filters, sorted.
    """

    table: str
    version: int
    schema: pa.Schema
    rows: int
    first_mjd: float
    last_mjd: float
    filters: tuple[str, ...]
    stars: StarStatistics


def write_table_part(
    store: Store, catalog: Catalog, commits: Collection[SensorCommit], parquet: Path, csv: Path, most_rows: int
) -> TablePart:
    """Write the rows of some commits that are in a table; some row groups at a time are in memory.

    Parameters
    ----------
    parquet, csv
        The files to write. Both have the same rows in the same order.
    most_rows
        Largest number of rows.

    Raises
    ------
    BadRequest
        The table has no such rows, or more than `most_rows`.
    """
    schema = _plain(catalog.schema)
    rows, sums, times, filters = 0, [], [], set[str]()
    with ExitStack() as stack:
        stack.enter_context(named_errors(str(parquet.parent), "write"))
        binary = stack.enter_context(pq.ParquetWriter(parquet, schema, compression="zstd"))
        text = stack.enter_context(pv.CSVWriter(csv, schema))
        for part in _parts(store, catalog, commits, schema):
            rows += len(part)
            if rows > most_rows:
                raise BadRequest(
                    f"the selection has more than {most_rows:,} rows of the table {catalog.manifest.name}, the most "
                    "that is published (sharing.publish_rows); select less, for example a region"
                )
            binary.write_table(part)
            text.write_table(for_spreadsheets(part))
            sums.append(sums_of(part))
            times.append((pc.min(part["mjd"]).as_py(), pc.max(part["mjd"]).as_py()))
            filters |= {one for one in pc.unique(part["filter"]).to_pylist() if one is not None}
    if not rows:
        raise BadRequest(
            f"the table {catalog.manifest.name} has no rows of the selection; another run of the same exposures may "
            "have replaced them"
        )
    return TablePart(
        catalog.manifest.name, catalog.manifest.version, schema, rows, min(first for first, _ in times),
        max(last for _, last in times), tuple(sorted(filters)), statistics_of(sums),
    )  # fmt: skip


def for_spreadsheets(rows: pa.Table) -> pa.Table:
    """Return rows for a CSV file: an apostrophe precedes texts that a spreadsheet would run as formulas."""
    columns = [
        pc.if_else(
            pc.match_substring_regex(column, _FORMULA),
            pc.binary_join_element_wise(pa.scalar("'", column.type), column, pa.scalar("", column.type)),
            column,
        )
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        else column
        for column in rows.columns
    ]
    return pa.Table.from_arrays(columns, schema=rows.schema)


def rows_of_stars(parquet: Path, stars: Collection[int]) -> pa.Table:
    """Return the rows of some stars from a file that `write_table_part` has written, in the order of `stars`."""
    found = pq.read_table(parquet, filters=[("source_id", "in", list(stars))])
    place = {star: number for number, star in enumerate(stars)}
    order = np.array([place[one] for one in found["source_id"].to_pylist()], np.int64)
    return found.take(pa.array(np.lexsort((found["mjd"].to_numpy(), order))))


def _parts(store: Store, catalog: Catalog, commits: Collection[SensorCommit], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of some commits, about `_PART_ROWS` at a time."""
    held: list[pa.Table] = []
    for part in _found(store, catalog, commits, schema):
        held.append(part)
        if sum(map(len, held)) >= _PART_ROWS:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def _found(store: Store, catalog: Catalog, commits: Collection[SensorCommit], schema: pa.Schema) -> Iterator[pa.Table]:
    wanted = {(int(one.night), one.exposure, one.run, int(one.sensor)) for one in commits}
    nights = {night for night, *_ in wanted}
    keys = pa.schema([schema.field(name) for name in _PARTS])
    for file in catalog.manifest.files:
        if layout.night_of_path(file.path) in nights | {layout.SEVERAL_NIGHTS}:
            for read in batches_of_nights(store, catalog.manifest.key_of_file(file.path), nights):
                part = read.filter(pa.array(_chosen(_fitted(read, keys), wanted)))
                if len(part):
                    yield _fitted(part, schema)


def _chosen(rows: pa.Table, wanted: Collection[_Key]) -> NDArray[np.bool_]:
    """Return which rows belong to one of the wanted commits."""
    encoded = [rows[name].combine_chunks().dictionary_encode() for name in _PARTS]
    values = [one.dictionary.to_pylist() for one in encoded]
    codes = np.stack([one.indices.to_numpy() for one in encoded], axis=1)
    several, inverse = np.unique(codes, axis=0, return_inverse=True)
    keys = [tuple(value[code] for value, code in zip(values, one, strict=True)) for one in several.tolist()]
    return np.asarray(np.array([key in wanted for key in keys], bool)[inverse.reshape(-1)])


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return a schema without dictionaries, which CSV does not have; units and descriptions stay."""
    return pa.schema([
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema
    ])  # fmt: skip


def _fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns of a schema; columns that an older file lacks are null."""
    has: Mapping[str, pa.ChunkedArray] = {name: rows[name] for name in rows.column_names}
    columns = [
        pc.cast(has[field.name], field.type) if field.name in has else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
