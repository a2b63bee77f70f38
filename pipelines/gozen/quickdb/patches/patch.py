"""What a user's function gets: a piece of the tables whose columns are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gozen.errors import BadRequest
from gozen.quickdb.patches.column_definitions import Names
from gozen.quickdb.patches.region import Pixels, SkyRegion

Array = NDArray[Any]
WIDEST_MARGIN_ARCSEC = 3600
SMALLEST_MARGIN_ARCSEC = 0.001
"""Below what any position is known to."""


class PatchSource(Protocol):
    """Where a patch's columns come from: files, or a process that may open them."""

    def rows(self, patch: int) -> int:
        """Return the number of rows of a patch."""

    def columns(self, patch: int, table: str, names: Sequence[str]) -> Mapping[str, Array]:
        """Return columns of a table's files, each of shape (N,)."""

    def margin(self, patch: int, arcsec: float) -> tuple[int, int]:
        """Return the number by which the sky around a patch is known, and its rows."""


class Whole:
    """All rows of a patch: columns that were read, for all views of it.

    Parameters
    ----------
    number
        By which the source knows the patch.
    source
        Where columns come from.
    names
        What names stand for.
    expected
        Columns of files that are read together with the first of their table.
    touched
        Called with each table and column that is read.
    """

    def __init__(
        self,
        number: int,
        source: PatchSource,
        names: Names,
        expected: Mapping[str, Sequence[str]],
        touched: Callable[[str, str], None],
    ) -> None:
        self.number = number
        self.source = source
        self.names = names
        self._expected = expected
        self._touched = touched
        self._read: dict[tuple[str, str], Array] = {}

    def columns(self, table: str, names: Sequence[str]) -> list[Array]:
        """Return columns of files, all rows of each."""
        for name in names:
            self._touched(table, name)
        missing = [name for name in names if (table, name) not in self._read]
        if missing:
            first = not any(known == table for known, _ in self._read)
            wanted = dict.fromkeys([*self._expected.get(table, ()), *missing] if first else missing)
            found = self.source.columns(self.number, table, list(wanted))
            self._read.update({(table, name): array for name, array in found.items()})
        return [self._read[table, name] for name in names]

    def around(self, arcsec: float) -> tuple[Whole, int]:
        """Return what lies around this patch, and its rows."""
        number, rows = self.source.margin(self.number, arcsec)
        return Whole(number, self.source, self.names, self._expected, self._touched), rows


class Patch:
    """A view of some rows of a patch; nothing is read before it is asked for.

    ``patch('forced.i.psfflux_mag')`` gives a column, ``patch[mask]``, ``patch[indices]`` and ``patch[a:b]`` a view of
    fewer rows; views nest.

    Parameters
    ----------
    whole
        All rows.
    id
        As `Api.patch` takes it.
    covered
        The range of ``_healpix_29`` that the patch covers.
    rows
        How many, or which, of the whole.
    """

    def __init__(self, whole: Whole, id: str, covered: tuple[int, int], rows: int | NDArray[np.intp]) -> None:  # noqa: A002 its name in docs/reference/quickdb.md
        self._whole = whole
        self._rows = rows
        self._made: dict[str, Array] = {}
        self.id = id
        self.healpix = covered

    @property
    def size(self) -> int:
        """The number of rows."""
        return self._rows if isinstance(self._rows, int) else len(self._rows)

    @property
    def region(self) -> Pixels:
        """The piece of sky that the patch covers, whatever the view."""
        return Pixels(np.array([self.healpix], np.int64))

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"<patch {self.id}: {self.size:,} rows>"

    def __call__(self, column: str) -> Array:
        """Return a column.

        Parameters
        ----------
        column
            ``forced.ra`` for a column of the object, ``forced.i.psfflux_flux`` for one of a band. Derived: ``*_mag``
            from ``*_flux`` (nJy) and ``*_instmag`` from ``*_instflux``, with ``err`` at the end their errors;
            ``coord``, unit vectors of shape (3, N); ``coord_ra`` and ``coord_dec``, radians.

        Returns
        -------
        Array
            Shape (N,), or (3, N). What is not known is NaN, False or empty text; so is a whole column of a band that
            this piece of the sky lacks.

        Raises
        ------
        ColumnNotFound
            There is no such column.
        """
        if column not in self._made:
            found = self._whole.names.find(column)
            arrays = self._whole.columns(found.table, found.needs)
            if not isinstance(self._rows, int):
                arrays = [array[self._rows] for array in arrays]
            made = found.make(arrays, self.size)
            made.flags.writeable = False  # it is given again when the function asks again
            self._made[column] = made
        return self._made[column]

    def __getitem__(self, selection: slice | ArrayLike) -> Patch:
        """Return a view of the rows that a mask, an index array or a slice picks."""
        if isinstance(selection, slice):
            chosen = np.arange(self.size)[selection]
        else:
            chosen = _indices(np.asarray(selection), self.size)
        rows = chosen if isinstance(self._rows, int) else self._rows[chosen]
        return Patch(self._whole, self.id, self.healpix, rows)

    def margin(self, arcsec: float) -> Patch:
        """Return the rows of the sky around the patch.

        Parameters
        ----------
        arcsec
            How far, 0.001 to 3600.

        Returns
        -------
        Patch
            Everything outside of the patch within this distance of it, and a little more.
        """
        check_margin(arcsec)
        whole, rows = self._whole.around(arcsec)
        return Patch(whole, self.id, self.healpix, rows)

    def within(self, region: SkyRegion) -> Patch:
        """Return a view of the rows that lie in a region."""
        table = next(iter(self._whole.names.tables))
        ra, dec, pixel = (self(f"{table}.{name}") for name in ("ra", "dec", "_healpix_29"))
        return self[region.contains(ra, dec, pixel)]


def check_margin(arcsec: float) -> None:
    """Raise `BadRequest` where a margin is too small to mean anything, or too wide."""
    if not SMALLEST_MARGIN_ARCSEC <= arcsec <= WIDEST_MARGIN_ARCSEC:
        raise BadRequest(
            f"a margin of {arcsec} arcsec: it is above 0 and at most {WIDEST_MARGIN_ARCSEC} arcsec; the smallest is "
            f"{SMALLEST_MARGIN_ARCSEC}"
        )


def _indices(selection: Array, rows: int) -> NDArray[np.intp]:
    if selection.dtype == bool:
        if selection.shape != (rows,):
            raise IndexError(f"a mask of shape {selection.shape} for a patch of {rows} rows: it needs one value a row")
        return np.flatnonzero(selection)
    if selection.size and not np.issubdtype(selection.dtype, np.integer):
        raise IndexError(f"a patch is indexed by a mask, integers or a slice, not by {selection.dtype}")
    if selection.ndim != 1:
        raise IndexError(f"a patch is indexed by a mask, a list of integers or a slice, not by {selection!r}")
    chosen = selection.astype(np.intp)  # in the caller's small integers the sum below would not fit
    outside = chosen[(chosen < -rows) | (chosen >= rows)]
    if len(outside):
        raise IndexError(f"row {outside[0]} of a patch of {rows} rows")
    return np.where(chosen < 0, chosen + rows, chosen)
