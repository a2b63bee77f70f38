"""Values in text tables: spellings of missing values, and the type of a text column. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

MISSING = (
    "", "nan", "NaN", "NAN", "-nan", "-NaN", "NULL", "Null", "null", "N/A", "NA", "n/a", "#N/A", "#NA", "<NA>", "None",
    "\\N", "-", "--", "---",
)  # fmt: skip
"""Spellings of a missing number, date or boolean; any other text is a value, also -999."""

_MISSING = pa.array(MISSING, pa.string())
_INTEGER = r"^[+-]?[0-9]+$"
_PADDED = r"^[+-]?0[0-9]+$"
_MINUS_ZERO = r"^-0$"
_WIDE_INTEGER = r"^[+-]?[0-9]{16,}(\.0*)?$"
_FORTRAN = r"^([+-]?[0-9]*\.?[0-9]*)[dD]([+-]?[0-9]+)$"
_COMMA = r"^([+-]?[0-9]*),([0-9]*(?:[eEdD][+-]?[0-9]+)?)$"


def trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts without the blanks around them."""
    return pc.utf8_trim_whitespace(column)


def present(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return trimmed texts; those in `MISSING` become null."""
    texts = trimmed(column)
    return pc.if_else(pc.is_in(texts, value_set=_MISSING), pa.scalar(None, pa.string()), texts)


def numbers(texts: pa.ChunkedArray, decimal: str = ".") -> pa.ChunkedArray:
    """Return texts as float64; signs, Fortran exponents (1D3) and, if `decimal` is a comma, decimal commas are read.

    Raises
    ------
    pyarrow.ArrowInvalid
        A text is not a number.
    """
    if decimal == ",":
        texts = pc.replace_substring_regex(texts, _COMMA, r"\1.\2")
    return pc.replace_substring_regex(texts, _FORTRAN, r"\1e\2").cast(pa.float64())


def _integers(texts: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return pc.replace_substring_regex(texts, r"^\+", "").cast(kind)


def _fits_integers(texts: pa.ChunkedArray, kind: pa.DataType) -> bool:
    """Return whether all texts are integers of a type; Arrow alone would also accept 0x10."""
    written = pc.all(pc.match_substring_regex(texts, _INTEGER)).as_py() is not False
    # An integer would lose the sign of -0, which matters for degrees of declination.
    if pc.any(pc.match_substring_regex(texts, _MINUS_ZERO)).as_py():
        return False
    return written and _works(partial(_integers, texts, kind))


def _fits_floats(texts: pa.ChunkedArray, decimal: str) -> bool:
    """Return whether all texts are numbers, and none is an integer that float64 would round: that would be an id."""
    wide = texts.filter(pc.match_substring_regex(texts, _WIDE_INTEGER))
    if any(int(float(one)) != int(one.partition(".")[0]) for one in wide.to_pylist()):
        return False
    return _works(partial(numbers, texts, decimal))


def _works(convert: Callable[[], pa.ChunkedArray]) -> bool:
    try:
        convert()
    except pa.ArrowInvalid:
        return False
    return True


class TextColumn:
    """Type of a text column, found batch by batch: the first of these that fits all values.

    The order is int64, uint64, float64, boolean, date, timestamp, text.

    Parameters
    ----------
    decimal
        Decimal sign.
    """

    def __init__(self, decimal: str = ".") -> None:
        self._decimal = decimal
        self._left = [pa.int64(), pa.uint64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us")]
        self._has_values = False
        self._is_whole, self._is_padded = True, False

    def add(self, column: pa.ChunkedArray) -> None:
        """Drop the types that the next values do not fit."""
        if not self._left:
            return
        texts = present(column).drop_null()
        self._has_values |= len(texts) > 0
        self._left = [kind for kind in self._left if self._fits(texts, kind)]
        self._is_whole &= pc.all(pc.match_substring_regex(texts, _INTEGER)).as_py() is not False
        self._is_padded |= pc.any(pc.match_substring_regex(texts, _PADDED)).as_py() is True

    @property
    def type(self) -> pa.DataType:
        """The type: null if all values are missing; text if no other type fits, or for integers such as 007."""
        if self._is_whole and self._is_padded:
            return pa.string()
        if not self._has_values and self._left:
            return pa.null()
        return self._left[0] if self._left else pa.string()

    def convert(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Convert values to `type`, without the blanks around them.

        If `type` is text, an empty text remains an empty text. For all other types, texts in `MISSING` become null.
        """
        kind = self.type
        if pa.types.is_string(kind):
            return trimmed(column)
        texts = present(column)
        if pa.types.is_null(kind):
            return pa.nulls(len(column))
        if pa.types.is_integer(kind):
            return _integers(texts, kind)
        return numbers(texts, self._decimal) if pa.types.is_floating(kind) else texts.cast(kind)

    def _fits(self, texts: pa.ChunkedArray, kind: pa.DataType) -> bool:
        if pa.types.is_integer(kind):
            return _fits_integers(texts, kind)
        if pa.types.is_floating(kind):
            return _fits_floats(texts, self._decimal)
        return _works(partial(texts.cast, kind))
