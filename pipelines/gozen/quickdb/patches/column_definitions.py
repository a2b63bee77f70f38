"""Find a patch's columns by name, and compute derived columns. No I/O."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.catalog.format.healpix import unit_vectors
from gozen.errors import ColumnNotFound
from gozen.lightcurves.barycentric_times import Place, bjd_tdb

Array = NDArray[Any]
Make = Callable[[Sequence[Array], int], Array]

BARYCENTRIC = "bjd_tdb"
BANDS = b"gozen_bands"
"""Key of a table's metadata; its value lists the bands, separated by blanks."""

_AB_NANOJANSKY = 31.4
_INSTRUMENTAL = 27.0
_MAG_PER_RELATIVE_ERROR = 2.5 / np.log(10)


@dataclass(frozen=True)
class PatchColumn:
    """A column of a patch, and how it is computed.

    Parameters
    ----------
    table
        The table of the column.
    needs
        The columns of the table's files from which it is computed.
    make
        Computes the column from the arrays of `needs` and the number N of rows; its last axis has N values.
    """

    table: str
    needs: tuple[str, ...]
    make: Make


@dataclass(frozen=True)
class TableColumns:
    """The columns of one table.

    Parameters
    ----------
    name
        The table's name, for example ``forced``.
    kinds
        ``bool``, ``text`` or ``number`` of each column of the files.
    units
        Unit of each column of the files; empty if it has none.
    bands
        Bands, which are the prefixes of columns that exist once per band.
    place_m
        The position of the camera, geocentric, in metres; for barycentric times.
    """

    name: str
    kinds: Mapping[str, str]
    units: Mapping[str, str]
    bands: tuple[str, ...] = ()
    place_m: Place | None = None

    @classmethod
    def of_schema(cls, name: str, schema: pa.Schema, place_m: Place | None = None) -> TableColumns:
        """Build a `TableColumns` from the schema of a table's files."""
        units = {field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in schema}
        bands = (schema.metadata or {}).get(BANDS, b"").decode().split()
        return cls(name, {field.name: _kind(field.type) for field in schema}, units, tuple(bands), place_m)

    def names(self) -> list[str]:
        """Return the full names of all stored columns, such as ``forced.i.psfflux_flux`` and ``forced.ra``."""
        return [f"{self.name}.{self._dotted(column)}" for column in self.kinds]

    def find(self, rest: str) -> PatchColumn | None:
        """Return the column for a name without the table, such as ``i.psfflux_mag`` or ``ra``; else None."""
        band, dot, column = rest.rpartition(".")
        if dot and band not in self.bands:
            return None
        return self._of_band(band, column) if dot else self._plain("", column)

    def _dotted(self, column: str) -> str:
        band, _, rest = column.partition("_")
        return f"{band}.{rest}" if rest and band in self.bands else column

    def _of_band(self, band: str, column: str) -> PatchColumn | None:
        found = self._plain(f"{band}_", column)
        if found is not None:
            return found
        others = (self._plain(f"{other}_", column) for other in self.bands)
        elsewhere = next((one for one in others if one is not None), None)
        return None if elsewhere is None else self._absent(elsewhere)

    def _absent(self, elsewhere: PatchColumn) -> PatchColumn:
        flag = bool(elsewhere.needs) and all(self.kinds[name] == "bool" for name in elsewhere.needs)
        fill: Any = False if flag else np.nan
        return PatchColumn(self.name, (), lambda _, rows: np.full(rows, fill))

    def _plain(self, prefix: str, column: str) -> PatchColumn | None:
        if prefix + column in self.kinds:
            return PatchColumn(self.name, (prefix + column,), lambda arrays, _: arrays[0])
        if not prefix and column in _PLACES and {"ra", "dec"} <= self.kinds.keys():
            make = _PLACES[column]
            return PatchColumn(self.name, ("ra", "dec"), lambda arrays, _: make(*arrays))
        if prefix + column == BARYCENTRIC:
            return self._barycentric()
        return self._magnitude(prefix, column) or self._light_curve_magnitude(prefix + column)

    def _barycentric(self) -> PatchColumn | None:
        place, needs = self.place_m, ("mjd", "ra", "dec")
        if place is None or not self.kinds.keys() >= set(needs):
            return None
        return PatchColumn(self.name, needs, lambda arrays, _: bjd_tdb(arrays[0], arrays[1], arrays[2], place))

    def _magnitude(self, prefix: str, column: str) -> PatchColumn | None:
        for ending, flux, zero in (("_mag", "_flux", _AB_NANOJANSKY), ("_instmag", "_instflux", _INSTRUMENTAL)):
            for error in ("", "err"):
                base = prefix + column.removesuffix(ending + error) + flux
                wanted = (base + error, base) if error else (base,)
                if column.endswith(ending + error) and self.kinds.keys() >= set(wanted):
                    return PatchColumn(self.name, wanted, _error_in_magnitudes if error else _magnitudes_from(zero))
        return None

    def _light_curve_magnitude(self, column: str) -> PatchColumn | None:
        flux = column.removesuffix("_mag")
        needs = (flux, "mag", "flux", "zp", "colour_term", "bp_rp")
        if flux == column or self.units.get(flux) != "ADU" or not self.kinds.keys() >= set(needs):
            return None
        return PatchColumn(self.name, needs, _calibrated)


@dataclass(frozen=True)
class Names:
    """The columns of all tables that a patch spans, and the names of the rerun's other tables.

    Parameters
    ----------
    tables
        The columns of each table, by the table's name.
    elsewhere
        Names of the other tables, which have different patches.
    """

    tables: Mapping[str, TableColumns]
    elsewhere: tuple[str, ...] = ()

    def find(self, name: str) -> PatchColumn:
        """Return the column for a full name, such as ``forced.ra``.

        Raises
        ------
        ColumnNotFound
            There is no such column; the message has the nearest names.
        """
        table, _, rest = name.partition(".")
        found = self.tables[table].find(rest) if table in self.tables else None
        if found is None:
            raise ColumnNotFound(self._unknown(name, table, rest))
        return found

    def _unknown(self, name: str, table: str, rest: str) -> str:
        if table in self.elsewhere:
            return (
                f"{name!r}: the patches of this job are of {self._tables()}; write table={table!r} for patches of "
                f"{table}"
            )
        known = [one for each in self.tables.values() for one in (*each.names(), *_derived(each))]
        likely = f"{next(iter(self.tables))}.{rest or name}"
        near = difflib.get_close_matches(name, known, 3, 0.6) or difflib.get_close_matches(likely, known, 3, 0.6)
        hint = f"the nearest are {', '.join(near)}" if near else "api.columns() lists all"
        if table not in self.tables:
            return f"no column {name!r}: there is no table {table!r}; the tables are {self._tables()}; {hint}"
        return f"no column {name!r} in {table}; {hint}"

    def _tables(self) -> str:
        return ", ".join(self.tables)


def _derived(table: TableColumns) -> list[str]:
    names = [n for n in table.names() if n.endswith(("_flux", "_instflux"))]
    places = [f"{table.name}.{place}" for place in _PLACES]
    return [*places, *(n.removesuffix("flux") + "mag" for n in names)]


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "bool"
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    return "text" if text else "number"


def _magnitudes(flux: Array, zero: float | Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = zero - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))
    return found


def _magnitudes_from(zero: float) -> Make:
    return lambda arrays, _: _magnitudes(arrays[0], zero)


def _error_in_magnitudes(arrays: Sequence[Array], _: int) -> Array:
    error, flux = arrays
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = _MAG_PER_RELATIVE_ERROR * error / np.where(flux > 0, flux, np.nan)
    return found


def _calibrated(arrays: Sequence[Array], _: int) -> Array:
    flux, magnitude, its_flux, zero, colour_term, colour = arrays
    # The zero point comes from `mag` and its flux: for a star of unknown colour, the calibration assumed a colour that
    # no column has.
    said = magnitude + 2.5 * np.log10(np.where(its_flux > 0, its_flux, np.nan))
    return _magnitudes(flux, np.where(np.isfinite(said), said, zero + colour_term * colour))


_PLACES: Mapping[str, Callable[[Array, Array], Array]] = {
    "coord": lambda ra, dec: np.ascontiguousarray(unit_vectors(ra, dec).T),
    "coord_ra": lambda ra, _: np.radians(ra),
    "coord_dec": lambda _, dec: np.radians(dec),
}
"""Positions derived from ra and dec (degrees): unit vectors of shape (3, N), and radians."""
