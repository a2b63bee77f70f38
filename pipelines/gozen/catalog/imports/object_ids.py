"""Decide whether a column of a file can serve as object ids, and read ids exactly. No I/O."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gozen.catalog.format import healpix
from gozen.catalog.format.source_ids import PIXEL_ORDER, pixel_of
from gozen.errors import BadRequest

_SAMPLE = 64
_LARGEST_EXACT = 2**53
_INTEGER = r"^[0-9]+$"
_PADDED = r"^0[0-9]"

Degrees = NDArray[np.float64]


def ids_of(
    url: str, table: pa.Table, name: str | None, place: tuple[Degrees, Degrees], *, must: bool
) -> NDArray[np.int64] | None:
    """Return a file's ids if objects can be looked up by them, else None.

    Parameters
    ----------
    url
        The file, for messages.
    table
        The rows with a position.
    name
        The column of ids; None if there is none.
    place
        Right ascension and declination of the rows, degrees.
    must
        Whether the user named the column, so unusable ids are an error.

    Raises
    ------
    BadRequest
        The user named a column that does not have one integer id for each row.
    """
    if name is None:
        return None
    wrong, found = exact_ids(table.column(name))
    if wrong and must:
        raise BadRequest(f"the column {name} of {url} {wrong}")
    return found if found is not None and ids_match_positions(found, *place) else None


def exact_ids(column: pa.ChunkedArray) -> tuple[str, NDArray[np.int64] | None]:
    """Return an empty text and the ids of a column; or the reason why it has no usable ids, and None."""
    if column.null_count:
        return f"has no id in {column.null_count} rows: ids are integers, one for each row", None
    wrong, whole = _whole_numbers(column)
    if wrong:
        return wrong, None
    limits = pc.min_max(whole).as_py()
    if len(whole) and not 0 <= limits["min"] <= limits["max"] < 2**63:
        outside = limits["min"] if limits["min"] < 0 else limits["max"]
        return (
            f"contains {outside}, but ids are from 0 to 2^63: leave --id out, then it is imported as an ordinary column"
        ), None
    found: NDArray[np.int64] = whole.cast(pa.int64()).to_numpy()
    values, counts = np.unique(found, return_counts=True)
    if (counts > 1).any():
        twice = values[counts > 1]
        return (
            f"has {len(twice)} ids that occur more than once, such as {twice[0]}: import a table with one row for "
            "each object"
        ), None
    return "", found


def _whole_numbers(column: pa.ChunkedArray) -> tuple[str, pa.ChunkedArray]:
    """Return the reason why values are not integers (empty if they are), and the values."""
    kind = column.type
    if pa.types.is_integer(kind):
        return "", column
    if pa.types.is_decimal(kind) and kind.scale == 0:
        column, kind = column.cast(pa.string()), pa.string()
    if pa.types.is_string(kind) and pc.all(pc.match_substring_regex(column, _INTEGER)).as_py():
        padded = pc.index(pc.match_substring_regex(column, _PADDED), pa.scalar(True)).as_py()
        if padded >= 0:
            lost = f"contains {column[padded].as_py()}, whose leading zeros an integer would lose"
            return f"{lost}: leave --id out, then it is imported as a text column", column
        try:
            return "", column.cast(pa.uint64())
        except pa.ArrowInvalid:
            return "contains ids beyond 2^64: leave --id out, then it is imported as an ordinary column", column
    if pa.types.is_floating(kind):
        values = column.to_numpy()
        if np.isfinite(values).all() and (np.abs(values) < _LARGEST_EXACT).all() and (values % 1 == 0).all():
            return "", pa.chunked_array([values.astype(np.int64)])
        return (
            "contains numbers that are not exact integers: ids are integers, and float64 rounds those beyond 2^53, "
            "so take the ids from their source",
            column,
        )
    return f"has the type {kind}: ids are integers, one for each row", column


def ids_match_positions(ids: NDArray[np.int64], ra: Degrees, dec: Degrees) -> bool:
    """Return whether ids contain their positions, as Gaia's do and running numbers do not.

    A Gaia id contains a HEALPix pixel: for most ids of a sample, it must be the pixel of the star or a neighbour.
    """
    pixel = healpix.pixels(ra, dec, PIXEL_ORDER)
    near = [np.isin(pixel_of(one), healpix.with_neighbours(here, PIXEL_ORDER)) for one, here in _sample(ids, pixel)]
    return not near or float(np.mean(near)) > 0.5


def _sample(ids: NDArray[np.int64], pixel: NDArray[np.int64]) -> list[tuple[int, int]]:
    step = max(1, len(ids) // _SAMPLE)
    return [(int(one), int(here)) for one, here in zip(ids[::step], pixel[::step], strict=True)]
