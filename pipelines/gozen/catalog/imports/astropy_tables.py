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
    """Return astropy's name of a file's format; empty for CSV and similar text, which is read without astropy.

    Parameters
    ----------
    name
        The file's name; only its ending is used.
    head
        First bytes of the file.
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
    """Return whether a file is FITS, by its first bytes."""
    return head[:6] == b"SIMPLE"


def of_fits_rows(header: Any, data: bytes, rows: int) -> pa.Table:
    """Return some rows of a binary table of a FITS file, in the form of `parse_with_astropy`.

    Parameters
    ----------
    header
        Header of the table.
    data
        The bytes of these rows.
    rows
        Number of rows.
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
    """Return the table of a file that astropy reads; the metadata of its fields has units and descriptions.

    Parameters
    ----------
    kind
        Format, from `kind_of`.
    data
        The file's bytes.
    asked
        The table of the file to read, and the encoding of its text.

    Raises
    ------
    NotATableError
        The file does not have the wanted table, or a column has a type that cannot be stored.
    Exception
        Any error of astropy, if the file does not have this format.
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
        # The Gaia archive writes missing values as an empty text or as `null`, which astropy refuses by default.
        return Table.read(text, format=kind, fill_values=[("", "0"), ("null", "0")])


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
    """Return a column and its name; sky coordinates become two columns in degrees, durations become seconds."""
    from astropy.table import Column
    from astropy.time import TimeDelta

    if hasattr(column, "frame"):
        place = column.icrs
        return [(f"{name}.{word}", Column(getattr(place, word).deg, unit="deg")) for word in ("ra", "dec")]
    return [(name, Column(column.to_value("s"), unit="s") if isinstance(column, TimeDelta) else column)]


def _array(name: str, column: Any) -> pa.Array:
    """Return an astropy column as an Arrow array; a time becomes ISO text, a vector becomes a list."""
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
            f"the column {name} of type {plain.dtype} cannot be stored ({error}): leave it out"
        ) from error


def _by_row(mask: np.ndarray) -> list[bool]:
    return [bool(row.size and np.all(row)) for row in mask]


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").rstrip()
    return [_text(one) for one in value] if isinstance(value, list | tuple | np.ndarray) else value
