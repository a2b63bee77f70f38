"""Readers of tables in batches, one for each format; what cannot be read in batches is read whole and handed out so."""

from __future__ import annotations

import contextlib
import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from gozen.catalog import table_file

BATCH = 65_536
"""Most rows of a batch; wide rows make fewer."""

_BATCH_BYTES = 4 << 20
_BLOCK = 1 << 20
_BUFFER = 1 << 20
HEAD = 4096
"""Bytes from which a format is told."""

Open = Callable[[], AbstractContextManager[IO[bytes]]]
Batches = Callable[[Sequence[str]], Iterator[pa.Table]]


def reader(name: str, head: bytes, begin: Open) -> tuple[pa.Schema, Batches]:
    """Return a file's columns, and what begins to read some of them.

    Parameters
    ----------
    name
        The file's name, of which only the ending counts.
    head
        Its first bytes.
    begin
        Opens it.

    Raises
    ------
    Exception
        Whatever the format's library raises for what is no such file.
    """
    if name.endswith(".gz"):
        return _unpacked(name, begin)
    if head[:4] == b"PAR1":
        return _of_parquet(begin)
    if table_file.is_fits(head) and (found := _of_fits(begin)) is not None:
        return found
    if table_file.is_csv(name, head):
        try:
            return _of_csv(begin)
        except pa.ArrowInvalid:
            pass  # a column's type shows only behind the first block, or it is no CSV, which the other reader says
    with begin() as file:
        return _of_table(table_file.parsed(name, file.read()))


def _unpacked(name: str, begin: Open) -> tuple[pa.Schema, Batches]:
    @contextlib.contextmanager
    def unpacked() -> Iterator[IO[bytes]]:
        with begin() as packed, gzip.GzipFile(fileobj=packed) as stream:
            yield stream  # type: ignore[misc]  # it is as good as one

    with unpacked() as stream:
        head = stream.read(HEAD)
    if head[:4] == b"PAR1":  # which is read from its end
        with unpacked() as stream:
            return _of_table(table_file.parsed("", stream.read()))
    return reader(name.removesuffix(".gz"), head, unpacked)


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
        return first.schema_arrow, read


def _of_fits(begin: Open) -> tuple[pa.Schema, Batches] | None:
    """Return a reader of the rows of the first table; None where they have parts that lie behind all rows."""
    with begin() as stream:
        header = _first_table(stream)
    if header is None or header["PCOUNT"]:
        return None
    rows = min(_BATCH_BYTES // max(header["NAXIS1"], 1) + 1, BATCH)

    def tables() -> Iterator[pa.Table]:
        with begin() as stream:
            _first_table(stream)
            for at in range(0, header["NAXIS2"], rows):
                count = min(rows, header["NAXIS2"] - at)
                data = stream.read(count * header["NAXIS1"])
                if len(data) < count * header["NAXIS1"]:
                    raise EOFError(f"it ends behind row {at + len(data) // header['NAXIS1']} of {header['NAXIS2']}")
                yield table_file.of_fits_rows(header, data, count)

    # A column without a text in one batch may have one in the next.
    schema = pa.unify_schemas([table_file.of_fits_rows(header, b"", 0).schema, *(one.schema for one in tables())])
    return schema, lambda names: (one.cast(schema).select(names) for one in tables())


def _first_table(stream: IO[bytes]) -> Any:
    """Return the header of a FITS file's first table, whose rows then follow; None where it has none."""
    from astropy.io import fits

    while True:
        try:
            header = fits.Header.fromfile(stream)
        except EOFError:
            return None
        if header.get("XTENSION") == "BINTABLE":
            return header
        stream.seek(header.data_size_padded, io.SEEK_CUR)


def _of_csv(begin: Open) -> tuple[pa.Schema, Batches]:
    """Return a reader of blocks, once all of them have shown to hold the types of the first."""
    from pyarrow import csv

    def read(names: Sequence[str] | None) -> Iterator[pa.Table]:
        options = csv.ReadOptions(use_threads=False, block_size=_BLOCK)
        wanted = csv.ConvertOptions(include_columns=names)
        with begin() as stream, csv.open_csv(stream, options, convert_options=wanted) as batches:
            for batch in batches:
                yield pa.Table.from_batches([batch])

    schema = None
    for batch in read(None):
        schema = batch.schema
    if schema is None:
        raise pa.ArrowInvalid("no rows")
    return schema, read
