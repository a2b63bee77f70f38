"""Tables as people have them (FITS, CSV, ECSV, Parquet, VOTable) as Arrow tables: every column, its type and unit."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

_FITS_BLOCK = 2880

FORMATS = "Parquet, FITS, VOTable, ECSV or CSV"


def parsed(name: str, data: bytes) -> pa.Table:
    """Return a file's table; units and descriptions stand in the metadata ``unit`` and ``description`` of its fields.

    Parameters
    ----------
    name
        The file's name, of which only the ending counts.
    data
        Its bytes; those of a ``.gz`` are unpacked.

    Raises
    ------
    Exception
        Whatever the format's library raises for what is no such file.
    """
    if name.endswith(".gz"):
        data, name = gzip.decompress(data), name.removesuffix(".gz")
    if data[:4] == b"PAR1":
        from gozen.archive.parquet import read_parquet

        return read_parquet(data)
    kind = _kind(name, data)
    if kind:
        return _of_astropy(data, kind)
    from pyarrow import csv

    return csv.read_csv(io.BytesIO(data))


def is_csv(name: str, head: bytes) -> bool:
    """Tell from a file's name and its first bytes whether it is read as CSV, as what is nothing else is."""
    return head[:4] != b"PAR1" and not name.endswith(".gz") and not _kind(name, head)


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
    return _of_astropy(b"".join([_block(whole), _block(mine), data, bytes(-len(data) % _FITS_BLOCK)]), "fits")


def _block(header: Any) -> bytes:
    return bytes(header.tostring(), "ascii")


def _kind(name: str, data: bytes) -> str:
    """Return the format's name in astropy; empty for CSV."""
    if is_fits(data):
        return "fits"
    if data[:7] == b"# %ECSV" or Path(name).suffix.lower() == ".ecsv":
        return "ascii.ecsv"
    return "votable" if b"<VOTABLE" in data[:4096].upper() else ""


def _of_astropy(data: bytes, kind: str) -> pa.Table:
    from astropy.table import Table

    table = Table.read(data.decode() if kind == "ascii.ecsv" else io.BytesIO(data), format=kind)
    arrays, fields = [], []
    for name in table.colnames:
        array = _array(table[name])
        unit = table[name].info.unit
        said = {"unit": "" if unit is None else str(unit), "description": table[name].info.description or ""}
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata={key: text for key, text in said.items() if text} or None))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _array(column: Any) -> pa.Array:
    """Return a column of astropy's; a time becomes its ISO text, a column of vectors one of lists."""
    if hasattr(column, "isot"):
        return pa.array(np.ma.filled(column.isot, "").tolist(), pa.string())
    values = np.ma.asarray(column.data if hasattr(column, "data") else column.value)
    mask = np.ma.getmaskarray(values)
    plain = values.data
    if plain.dtype.kind in "SUO":
        texts = [None if hidden else _text(one) for one, hidden in zip(plain.tolist(), _by_row(mask), strict=True)]
        return pa.array(texts)
    plain = plain.astype(plain.dtype.newbyteorder("="), copy=False)
    if plain.ndim > 1:
        return pa.array([None if hidden else row for row, hidden in zip(plain.tolist(), _by_row(mask), strict=True)])
    return pa.array(np.ascontiguousarray(plain), mask=mask)


def _by_row(mask: np.ndarray) -> list[bool]:
    return [bool(np.all(row)) for row in mask]


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace").rstrip() if isinstance(value, bytes) else value
