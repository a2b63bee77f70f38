"""Read tables with astropy (FITS, VOTable, ECSV and other text) as Arrow tables, with units."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gozen.catalog.imports.formats import votable_tables
from gozen.catalog.imports.formats.file_request import FileRequest, NotATableError

_FITS_BLOCK = 2880
_SEXTRACTOR = re.compile(rb"#[ \t]+1[ \t]+[A-Za-z]\w*[^\n]*\n#[ \t]+\d+[ \t]+[A-Za-z]\w*\s")
_IPAC = re.compile(rb"(?:\\[^\n]*\n)*\|[^\n]*\|[ \t]*\r?\n(?:\|[^\n]*\n){0,3}[ \t]*[^|\s][^|\n]*(?:\n|\Z)")

FORMATS = "Parquet, FITS, VOTable, ECSV, Arrow or CSV"


def kind_of(name: str, head: bytes) -> str:
    """Return the name that astropy has for a file's format; empty for CSV and its kin, which astropy need not read.

    Parameters
    ----------
    name
        The file's name, of which only the ending counts.
    head
        Its first bytes.
    """
    if is_fits(head):
        return "fits"
    if head[:7] == b"# %ECSV" or Path(name).suffix.lower() == ".ecsv":
        return "ascii.ecsv"
    if b"<VOTABLE" in head[:4096].upper():
        return "votable"
    if b"Byte-by-byte Description of file" in head:
        return "ascii.mrt"
    if _SEXTRACTOR.match(head):
        return "ascii.sextractor"
    return "ascii.ipac" if _IPAC.match(head) else ""


def is_fits(head: bytes) -> bool:
    """Tell from its first bytes whether a file is FITS."""
    return head[:6] == b"SIMPLE"


def of_fits_rows(header: Any, data: bytes, rows: int) -> pa.Table:
    """Return rows of a binary table of a FITS file, as `parsed` returns the whole.

    Parameters
    ----------
    header
        That of the table.
    data
        The bytes of these rows.
    """
    from astropy.io import fits

    mine = header.copy()
    mine["NAXIS2"] = rows
    for word in ("CHECKSUM", "DATASUM"):
        mine.remove(word, ignore_missing=True)
    whole = fits.Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)])
    return parse_with_astropy(
        "fits", b"".join([_block(whole), _block(mine), data, bytes(-len(data) % _FITS_BLOCK)]), FileRequest()
    )


def _block(header: Any) -> bytes:
    return bytes(header.tostring(), "ascii")


def parse_with_astropy(kind: str, data: bytes, asked: FileRequest) -> pa.Table:
    """Return the table of a file that astropy reads; units and descriptions stand in the metadata of its fields.

    Parameters
    ----------
    kind
        As `kind_of` gives it.
    data
        The file's bytes.
    asked
        Which table is meant.

    Raises
    ------
    NotATableError
        No table of the file is meant, or a column is of a kind that cannot be kept.
    Exception
        Whatever astropy raises for what is no such file.
    """
    from astropy.table import Table

    if kind == "votable":
        from astropy.io import votable

        document = votable.parse(io.BytesIO(data), verify="ignore")
        return _of_columns(votable_tables.choose_votable_table(document, asked).to_table(use_names_over_ids=True))
    if kind.startswith("ascii."):
        return _of_columns(_of_text(kind, data.decode(asked.encoding or "utf-8-sig")))
    return _of_columns(Table.read(io.BytesIO(data), format=kind, hdu=asked.hdu and int(asked.hdu)))


def _of_text(kind: str, text: str) -> Any:
    from astropy.table import Table

    try:
        return Table.read(text, format=kind)
    except ValueError:
        if kind != "ascii.ecsv":
            raise
        return Table.read(text, format=kind, fill_values=[("", "0"), ("null", "0")])  # as the Gaia archive writes it


def _of_columns(table: Any) -> pa.Table:
    arrays, fields = [], []
    for name in table.colnames:
        for label, column in _parts(name, table[name]):
            array = _array(label, column)
            unit = column.info.unit
            said = {"unit": "" if unit is None else str(unit), "description": column.info.description or ""}
            arrays.append(array)
            fields.append(pa.field(label, array.type, metadata={k: text for k, text in said.items() if text} or None))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _parts(name: str, column: Any) -> list[tuple[str, Any]]:
    """Return a column, or the plain ones that one of sky coordinates or of durations is made of."""
    from astropy.table import Column
    from astropy.time import TimeDelta

    if hasattr(column, "frame"):
        place = column.icrs
        return [(f"{name}.{word}", Column(getattr(place, word).deg, unit="deg")) for word in ("ra", "dec")]
    return [(name, Column(column.to_value("s"), unit="s") if isinstance(column, TimeDelta) else column)]


def _array(name: str, column: Any) -> pa.Array:
    """Return a column of astropy's; a time becomes its ISO text, a column of vectors one of lists."""
    if hasattr(column, "isot"):
        return pa.array(np.ma.filled(column.isot, "").tolist(), pa.string())
    values = np.ma.asarray(column.data if hasattr(column, "data") else column.value)
    mask = np.ma.getmaskarray(values)
    plain = values.data
    if plain.dtype.kind == "c":
        raise NotATableError(f"the column {name} is complex: write its real and imaginary part as two columns")
    try:
        if plain.dtype.kind in "SUO":
            texts = [None if hidden else _text(one) for one, hidden in zip(plain.tolist(), _by_row(mask), strict=True)]
            return pa.array(texts)
        plain = plain.astype(plain.dtype.newbyteorder("="), copy=False)
        if plain.ndim > 1:
            rows = zip(plain.tolist(), _by_row(mask), strict=True)
            kind = pa.from_numpy_dtype(plain.dtype)
            for _ in plain.shape[1:]:
                kind = pa.list_(kind)
            return pa.array([None if hidden else row for row, hidden in rows], kind)
        return pa.array(np.ascontiguousarray(plain), mask=mask)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise NotATableError(
            f"the column {name} of type {plain.dtype} cannot be kept: leave it out ({error})"
        ) from error


def _by_row(mask: np.ndarray) -> list[bool]:
    return [bool(row.size and np.all(row)) for row in mask]


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").rstrip()
    return [_text(one) for one in value] if isinstance(value, list | tuple | np.ndarray) else value
