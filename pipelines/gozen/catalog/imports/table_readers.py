"""Batch readers, one for each format; formats without batches are read completely."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from gozen.catalog.imports import astropy_tables
from gozen.catalog.imports.formats import arrow_file, column_types, delimited, fits_tables
from gozen.catalog.imports.formats.compression import Batches, Open, unpacked
from gozen.catalog.imports.formats.file_request import FileRequest, NotATableError, refuse_doubles

BATCH = 65_536
"""Largest number of rows in a batch; batches of wide rows have fewer."""

_BATCH_BYTES = 4 << 20
_BUFFER = 1 << 20
HEAD = 4096
"""Number of first bytes by which a format is recognised."""

_ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".zip")


def open_batches(name: str, head: bytes, begin: Open, asked: FileRequest) -> tuple[pa.Schema, Batches]:
    """Return a file's columns, with the types that a table of the archive stores, and a function that reads batches.

    Parameters
    ----------
    name
        The file's name; only its ending is used.
    head
        First bytes of the file.
    begin
        Opens the file.
    asked
        The user's choices.

    Raises
    ------
    NotATableError
        The file is not a table that can be imported; the message says why.
    Exception
        Any error of the format's library, if the file does not have this format.
    """
    content = unpacked(head, begin)
    if content is not None:
        with content() as stream:
            head = stream.read(HEAD)
        return open_batches(_without_ending(name), head, content if head[:4] != b"PAR1" else _held(content), asked)
    schema, read = _of_format(name, head, begin, asked)
    refuse_doubles(schema.names)
    return _plain(schema, read)


def _of_format(name: str, head: bytes, begin: Open, asked: FileRequest) -> tuple[pa.Schema, Batches]:
    kind = astropy_tables.kind_of(name, head)
    if asked.hdu is not None and kind not in ("fits", "votable"):
        raise NotATableError("--hdu is only for FITS files and VOTables; leave it out, because this file has one table")
    if head[:4] == b"PAR1":
        return _of_parquet(begin)
    if arrow_file.is_arrow(head):
        return arrow_file.open_arrow(head, begin)
    if not kind:
        return delimited.open_delimited(begin, asked)
    if kind == "fits":
        found, table = fits_tables.open_fits_table(begin, asked, BATCH)
        if found is not None:
            return found
        asked = replace(asked, hdu=str(table.number))
    with begin() as file:
        return _of_table(astropy_tables.parse_with_astropy(kind, file.read(), asked))


def _without_ending(name: str) -> str:
    return next((name[: -len(one)] for one in _ENDINGS if name.lower().endswith(one)), name)


def _held(content: Open) -> Open:
    """Decompress a file into memory, for a format that is read from its end; return a function that opens it."""
    with content() as stream:
        data = stream.read()
    return lambda: io.BytesIO(data)


def _plain(schema: pa.Schema, read: Batches) -> tuple[pa.Schema, Batches]:
    """Convert a reader's columns to the types that a table of the archive stores."""
    kept = pa.schema([field.with_type(column_types.plain(field.type) or field.type) for field in schema])
    if kept.equals(schema):
        return schema.remove_metadata(), read

    def converted(names: Sequence[str]) -> Iterator[pa.Table]:
        wanted = pa.schema([kept.field(name) for name in names])
        for batch in read(names):
            columns = [column_types.converted(field.name, batch[field.name], field.type) for field in wanted]
            yield pa.Table.from_arrays(columns, schema=wanted)

    return kept, converted


def _of_table(table: pa.Table) -> tuple[pa.Schema, Batches]:
    def read(names: Sequence[str]) -> Iterator[pa.Table]:
        some = table.select(names)
        return (some.slice(at, BATCH) for at in range(0, len(some), BATCH))

    return table.schema, read


def _of_parquet(begin: Open) -> tuple[pa.Schema, Batches]:
    def file(stream: IO[bytes]) -> pq.ParquetFile:
        return pq.ParquetFile(stream, pre_buffer=False, buffer_size=_BUFFER)

    def read(names: Sequence[str]) -> Iterator[pa.Table]:
        with begin() as stream:
            for batch in file(stream).iter_batches(rows, columns=list(names), use_threads=False):
                yield pa.Table.from_batches([batch]).select(names)

    with begin() as stream:
        first = file(stream)
        groups = [first.metadata.row_group(number) for number in range(first.num_row_groups)]
        width = sum(group.total_byte_size for group in groups) // max(first.metadata.num_rows, 1)
        rows = min(_BATCH_BYTES // max(width, 1) + 1, BATCH)
        return arrow_file.with_units(first.schema_arrow), read
