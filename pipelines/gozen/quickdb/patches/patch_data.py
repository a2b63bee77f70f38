"""Assemble the rows of a patch from its pieces as NumPy arrays, sorted by star."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.catalog.format import partition_parquet
from gozen.quickdb.patches.column_reader import TableReader
from gozen.quickdb.patches.patch_extents import PatchExtent, Piece

Array = NDArray[Any]
ORDER = ("_healpix_29", "source_id", "mjd")
"""Columns by which the rows of a patch are sorted if it has several pieces."""


class PatchData:
    """Reads columns of one patch; all columns have the same order of rows.

    Parameters
    ----------
    patch
        The places of its rows in files.
    readers
        The reader of each of its tables.
    schemas
        The tables' columns; a column that a file lacks is null in its rows.
    ranges
        Sorted ranges [start, stop) of ``_healpix_29``, shape (M, 2), to which rows are limited; None means the range
        of the patch.
    """

    def __init__(
        self,
        patch: PatchExtent,
        readers: Mapping[str, TableReader],
        schemas: Mapping[str, pa.Schema],
        ranges: NDArray[np.int64] | None = None,
    ) -> None:
        self.patch = patch
        self._readers = readers
        self._schemas = schemas
        self._ranges = np.array([[patch.start, patch.stop]]) if ranges is None else ranges
        self._layouts: dict[str, tuple[list[NDArray[np.intp]], NDArray[np.intp] | None]] = {}

    @property
    def rows(self) -> int:
        """The number of rows."""
        if not self.patch.picked:
            return self.patch.rows
        chosen, _ = self._layout(next(iter(self.patch.pieces)))
        return sum(map(len, chosen))

    def columns(self, table: str, names: Sequence[str]) -> dict[str, Array]:
        """Return columns of a table's files, each of shape (N,) and read-only; nulls are NaN, False or empty text."""
        pieces, schema = self.patch.pieces[table], self._schemas[table]
        chosen, order = self._layout(table) if self.patch.picked else (None, None)
        parts = [self._readers[table].read(piece, names) for piece in pieces]
        return {name: self._column(name, schema, pieces, parts, chosen, order) for name in names}

    def _column(
        self,
        name: str,
        schema: pa.Schema,
        pieces: Sequence[Piece],
        parts: Sequence[pa.Table],
        chosen: Sequence[NDArray[np.intp]] | None,
        order: NDArray[np.intp] | None,
    ) -> Array:
        kind = schema.field(name).type
        arrays = [
            as_array(part.column(name)) if name in part.column_names else _nulls(kind, piece.rows)
            for piece, part in zip(pieces, parts, strict=True)
        ]
        if chosen is not None:
            arrays = [_taken(array, rows) for array, rows in zip(arrays, chosen, strict=True)]
        found = arrays[0] if len(arrays) == 1 else np.concatenate(arrays or [_nulls(kind, 0)])
        found = found if order is None else found[order]
        found.flags.writeable = False
        return found

    def _layout(self, table: str) -> tuple[list[NDArray[np.intp]], NDArray[np.intp] | None]:
        """Return the rows of each piece that belong to the patch, and the indices that sort them (None: one piece)."""
        if table not in self._layouts:
            pieces = self.patch.pieces[table]
            keys = [name for name in ORDER if name in self._schemas[table].names][: 3 if len(pieces) > 1 else 1]
            parts = [self._readers[table].read(piece, keys) for piece in pieces]
            chosen = [_inside(partition_parquet.numbers(part, "_healpix_29"), self._ranges) for part in parts]
            order = None
            if len(pieces) > 1:
                sorted_by = [
                    np.concatenate([_taken(as_array(p.column(k)), c) for p, c in zip(parts, chosen, strict=True)])
                    for k in keys
                ]
                order = np.lexsort(sorted_by[::-1])
            self._layouts[table] = chosen, order
        return self._layouts[table]


def as_array(column: pa.ChunkedArray) -> Array:
    """Return an Arrow column as NumPy: nulls are NaN (integers then become float64), False or empty text."""
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _text(column)
    if pa.types.is_boolean(kind) and column.null_count:
        column = column.fill_null(False)
    if pa.types.is_integer(kind) and column.null_count:
        column = column.cast(pa.float64(), safe=False)
    found: Array = column.to_numpy()
    return found


def _text(column: pa.ChunkedArray) -> Array:
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    one = coded.unify_dictionaries().combine_chunks()
    one = one.chunk(0) if isinstance(one, pa.ChunkedArray) else one
    words: Array = np.array([*one.dictionary.to_pylist(), ""], dtype=str)
    found: Array = words[one.indices.fill_null(len(words) - 1).to_numpy().astype(np.intp)]
    return found


def _nulls(kind: pa.DataType, rows: int) -> Array:
    if pa.types.is_boolean(kind):
        return np.zeros(rows, bool)
    if pa.types.is_floating(kind):
        return np.full(rows, np.nan, kind.to_pandas_dtype())
    text = pa.types.is_dictionary(kind) or pa.types.is_string(kind)
    return np.full(rows, "") if text else np.full(rows, np.nan)


def _inside(healpix29: NDArray[np.int64], ranges: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the indices of the rows whose ``_healpix_29`` is in one of these sorted ranges [start, stop)."""
    at = np.searchsorted(ranges[:, 0], healpix29, side="right") - 1
    return np.flatnonzero((at >= 0) & (healpix29 < ranges[np.maximum(at, 0), 1]))


def _taken(array: Array, rows: NDArray[np.intp]) -> Array:
    if len(rows) == len(array):
        return array
    together = len(rows) and rows[-1] - rows[0] == len(rows) - 1
    return array[rows[0] : rows[-1] + 1] if together else array[rows]
