"""The patch that a user's function gets: a piece of the tables whose columns are read on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gozen.errors import BadRequest
from gozen.quickdb.patches.column_definitions import Names
from gozen.quickdb.patches.region import Pixels, SkyRegion

Array = NDArray[Any]
_Answer = TypeVar("_Answer")
WIDEST_MARGIN_ARCSEC = 3600
SMALLEST_MARGIN_ARCSEC = 0.001
"""Smaller than the error of any position."""


class PatchSource(Protocol):
    """The source of a patch's columns: files, or a process that may open files."""

    def rows(self, patch: int) -> int:
        """Return the number of rows of a patch."""

    def columns(self, patch: int, table: str, names: Sequence[str]) -> Mapping[str, Array]:
        """Return columns of a table's files, by name, each of shape (N,)."""

    def margin(self, patch: int, arcsec: float) -> tuple[int, int]:
        """Open the margin of a patch; return the margin's number, for later reads, and the count of its rows."""


class PatchReads:
    """Reads a patch, and the sky around it, for one call of a function; reads each column once, remembers failures.

    If a function caught the exception of a failed read, its result would lack these rows but look complete, and would
    be cached. So `check` raises the failure again. A `BadRequest`, such as an unknown column, is not remembered: the
    function may catch it, because it is the same on each run.

    Parameters
    ----------
    source
        The source of columns.
    names
        The columns that can be requested.
    expected
        Columns of files, by table, that are read in the same request as the first column of their table.
    touched
        Filled with the columns of files that are read, by table, in the order of first use.
    """

    def __init__(
        self,
        source: PatchSource,
        names: Names,
        expected: Mapping[str, Sequence[str]],
        touched: dict[str, list[str]],
    ) -> None:
        self.names = names
        self._source = source
        self._expected = expected
        self._touched = touched
        self._read: dict[tuple[int, str], dict[str, Array]] = {}
        self._failures: dict[Any, BaseException] = {}

    def columns(self, patch: int, table: str, names: Sequence[str]) -> list[Array]:
        """Return columns of a table's files, each with all rows."""
        seen = self._touched.setdefault(table, []) if names else []
        seen += [name for name in dict.fromkeys(names) if name not in seen]
        known = self._read.setdefault((patch, table), {})
        missing = [name for name in names if name not in known]
        if missing:
            wanted = list(dict.fromkeys(missing if known else [*self._expected.get(table, ()), *missing]))
            known |= self._asked((patch, table, *wanted), partial(self._source.columns, patch, table, wanted))
        return [known[name] for name in names]

    def margin(self, patch: int, arcsec: float) -> tuple[int, int]:
        """Open the margin of a patch; return the margin's number, for later reads, and the count of its rows."""
        return self._asked(("margin", patch, arcsec), partial(self._source.margin, patch, arcsec))

    def check(self) -> None:
        """Raise the error of the first failed read, unless the same read succeeded later."""
        for error in self._failures.values():
            raise error

    def _asked(self, request: Any, ask: Callable[[], _Answer]) -> _Answer:
        try:
            found = ask()
        except BadRequest:
            raise
        except BaseException as error:
            self._failures[request] = error
            raise
        self._failures.pop(request, None)
        return found


class Patch:
    """A view of some rows of a patch; a column is read when it is first requested.

    ``patch('forced.i.psfflux_mag')`` gives a column, ``patch[mask]``, ``patch[indices]`` and ``patch[a:b]`` give a
    view of fewer rows; views can be nested.

    Parameters
    ----------
    reads
        Reads the columns.
    number
        The number of the patch in `reads`.
    id
        The id for `Api.patch`.
    covered
        The range of ``_healpix_29`` that the patch covers.
    rows
        The number of rows if the view has all of them, else the row numbers in the complete patch.
    """

    def __init__(
        self,
        reads: PatchReads,
        number: int,
        id: str,  # noqa: A002 its name in docs/reference/quickdb.md
        covered: tuple[int, int],
        rows: int | NDArray[np.intp],
    ) -> None:
        self._reads = reads
        self._number = number
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
        """The piece of sky that the complete patch covers; the same for all its views."""
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
            from ``*_flux`` (nJy) and ``*_instmag`` from ``*_instflux``; ``*_magerr`` and ``*_instmagerr``;
            ``coord``, unit vectors of shape (3, N); ``coord_ra`` and ``coord_dec``, radians.

        Returns
        -------
        Array
            Shape (N,), or (3, N). Unknown values are NaN, False or empty text. If the table has the column only in
            other bands, all values are NaN or False.

        Raises
        ------
        ColumnNotFound
            There is no such column.
        """
        if column not in self._made:
            found = self._reads.names.find(column)
            arrays = self._reads.columns(self._number, found.table, found.needs)
            if not isinstance(self._rows, int):
                arrays = [array[self._rows] for array in arrays]
            made = found.make(arrays, self.size)
            made.flags.writeable = False  # the same array is returned if the function asks again
            self._made[column] = made
        return self._made[column]

    def __getitem__(self, selection: slice | ArrayLike) -> Patch:
        """Return a view of the rows that a mask, an index array or a slice selects."""
        if isinstance(selection, slice):
            chosen = np.arange(self.size)[selection]
        else:
            chosen = _indices(np.asarray(selection), self.size)
        rows = chosen if isinstance(self._rows, int) else self._rows[chosen]
        return Patch(self._reads, self._number, self.id, self.healpix, rows)

    def margin(self, arcsec: float) -> Patch:
        """Return the rows around the patch on the sky.

        Parameters
        ----------
        arcsec
            The width of the margin, 0.001 to 3600 arcsec.

        Returns
        -------
        Patch
            All rows outside the patch within this distance of it, and some slightly farther.
        """
        check_margin(arcsec)
        number, rows = self._reads.margin(self._number, arcsec)
        return Patch(self._reads, number, self.id, self.healpix, rows)

    def within(self, region: SkyRegion) -> Patch:
        """Return a view of the rows in a region."""
        table = next(iter(self._reads.names.tables))
        ra, dec, pixel = (self(f"{table}.{name}") for name in ("ra", "dec", "_healpix_29"))
        return self[region.contains(ra, dec, pixel)]


def check_margin(arcsec: float) -> None:
    """Raise `BadRequest` if a margin is below the error of positions, or too wide."""
    if not SMALLEST_MARGIN_ARCSEC <= arcsec <= WIDEST_MARGIN_ARCSEC:
        raise BadRequest(
            f"a margin of {arcsec} arcsec is not possible: give {SMALLEST_MARGIN_ARCSEC} to "
            f"{WIDEST_MARGIN_ARCSEC} arcsec"
        )


def _indices(selection: Array, rows: int) -> NDArray[np.intp]:
    if selection.dtype == bool:
        if selection.shape != (rows,):
            raise IndexError(
                f"the mask has shape {selection.shape}, but the patch has {rows} rows: give one value for each row"
            )
        return np.flatnonzero(selection)
    if selection.size and not np.issubdtype(selection.dtype, np.integer):
        raise IndexError(f"a patch is indexed by a mask, integers or a slice, not by {selection.dtype}")
    if selection.ndim != 1:
        raise IndexError(f"a patch is indexed by a mask, a list of integers or a slice, not by {selection!r}")
    chosen = selection.astype(np.intp)  # the sum below would overflow the caller's small integers
    outside = chosen[(chosen < -rows) | (chosen >= rows)]
    if len(outside):
        raise IndexError(f"there is no row {outside[0]} in a patch of {rows} rows: give 0 to {rows - 1}")
    return np.where(chosen < 0, chosen + rows, chosen)
