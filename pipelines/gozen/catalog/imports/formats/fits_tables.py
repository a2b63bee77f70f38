"""List the tables of a FITS file, choose one, and read its rows in batches."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa

from gozen.catalog.imports import astropy_tables
from gozen.catalog.imports.formats.compression import Batches, Open
from gozen.catalog.imports.formats.file_request import (
    FileRequest,
    NotATableError,
    joined_names,
    refuse_doubles,
    unclear,
)
from gozen.catalog.imports.split_positions import have_positions

_KINDS = ("BINTABLE", "TABLE")
_BATCH_BYTES = 4 << 20


@dataclass(frozen=True)
class FitsTable:
    """One table of a FITS file: number of the HDU, header, and offset of the first row in bytes."""

    number: int
    header: Any
    start: int

    @property
    def name(self) -> str:
        """EXTNAME; empty if there is none."""
        return str(self.header.get("EXTNAME", "")).strip()

    @property
    def columns(self) -> list[str]:
        """The names of the columns of the table."""
        return [str(self.header.get(f"TTYPE{n}", "")).strip() for n in range(1, self.header.get("TFIELDS", 0) + 1)]

    def __str__(self) -> str:
        named = f" ({self.name})" if self.name else ""
        return f"--hdu {self.number}{named}: {self.header['NAXIS2']} rows of {', '.join(self.columns[:6])}"


def open_fits_table(begin: Open, asked: FileRequest, batch: int) -> tuple[tuple[pa.Schema, Batches] | None, FitsTable]:
    """Choose a table of a FITS file; return its columns with a batch reader, and the table.

    None takes the place of columns and reader if the table cannot be read in batches. This is an ASCII table, or a
    table with arrays of variable length, whose values are stored behind all rows.

    Parameters
    ----------
    begin
        Opens the file.
    asked
        The user's choice of a table.
    batch
        Largest number of rows in a batch.

    Raises
    ------
    NotATableError
        There is no such table, the choice is ambiguous, or the table is compressed by fpack.
    """
    with begin() as stream:
        table = choose_fits_table(list(_tables(stream)), asked)
    header = table.header
    if header["PCOUNT"] or header["XTENSION"] != "BINTABLE":
        return None, table
    rows = min(_BATCH_BYTES // max(header["NAXIS1"], 1) + 1, batch)

    def tables() -> Iterator[pa.Table]:
        with begin() as stream:
            stream.seek(table.start)
            for at in range(0, header["NAXIS2"], rows):
                count = min(rows, header["NAXIS2"] - at)
                data = stream.read(count * header["NAXIS1"])
                if len(data) < count * header["NAXIS1"]:
                    raise EOFError(
                        f"it is truncated: it ends after row {at + len(data) // header['NAXIS1']} of {header['NAXIS2']}"
                    )
                yield astropy_tables.of_fits_rows(header, data, count)

    # A text column that is empty in one batch has type null there, but may have texts in the next.
    schema = pa.unify_schemas([astropy_tables.of_fits_rows(header, b"", 0).schema, *(one.schema for one in tables())])

    def read(names: Sequence[str]) -> Iterator[pa.Table]:
        return (one.cast(schema).select(names) for one in tables())

    return (schema, read), table


def choose_fits_table(tables: Sequence[FitsTable], asked: FileRequest) -> FitsTable:
    """Return the named table, else the only table, else the only table with positions.

    Raises
    ------
    NotATableError
        There is no such table, the choice is ambiguous, the table is compressed by fpack, or its names are not unique.
    """
    there = joined_names([str(one) for one in tables])
    if not tables:
        raise NotATableError("it is a FITS file without a table: it contains only images; give a file with a table")
    if asked.hdu is not None:
        found = [one for one in tables if asked.hdu.strip().lower() in (str(one.number), one.name.lower())]
        if len(found) != 1:
            raise NotATableError(unclear(len(found), asked.hdu, there))
    else:
        found = [one for one in tables if has_positions(one.columns, asked.columns)] if len(tables) > 1 else [*tables]
    if len(found) != 1:
        raise NotATableError(f"it has several tables; choose one with --hdu: {there}")
    if found[0].header.get("ZTABLE", False):
        raise NotATableError(f"its table {found[0].number} is compressed with fpack: decompress it with funpack")
    refuse_doubles(found[0].columns)
    return found[0]


def has_positions(names: Sequence[str], columns: frozenset[str]) -> bool:
    """Return whether a table has one of the columns that the user named or, if none are named, usual position names."""
    return bool(columns & set(names)) if columns else have_positions(names)


def _tables(stream: IO[bytes]) -> Iterator[FitsTable]:
    """Yield the tables of a FITS file, without images that are stored as compressed tables."""
    from astropy.io import fits

    number = -1
    while True:
        try:
            header = fits.Header.fromfile(stream)
        except (EOFError, OSError):  # the end of the file, or bytes behind the last HDU that are not a header
            if number < 0:
                raise
            return
        number += 1
        if header.get("XTENSION") in _KINDS and not header.get("ZIMAGE", False):
            yield FitsTable(number, header, stream.tell())
        stream.seek(header.data_size_padded, io.SEEK_CUR)
