"""Select the comparable points of a source in one filter for a plot. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.catalog.format.partition_parquet import numbers
from gozen.catalog.format.schema import Flag
from gozen.errors import BadRequest
from gozen.lightcurves.light_curve_parts import diameters_of, parts

_NEEDED = ("source_id", "mjd", "flux", "flux_err", "flags")
_SAID: Mapping[Flag, str] = {
    Flag.BLENDED: "blended",
    Flag.NO_COLOUR: "colour unknown",
    Flag.NO_CALIBRATION: "not calibrated",
    Flag.NOT_ON_STACK: "not on the stack",
    Flag.BLENDED_CALIBRATORS: "calibrated by blended stars",
}


@dataclass(frozen=True)
class Curve:
    """One source's points in one filter, in time; arrays of shape (points,).

    Parameters
    ----------
    filter
        Empty where it is not known.
    flux, flux_err
        ADU, or whatever unit the picture is given.
    limit
        Faintest flux that would have been detected, where it is known.
    zero
        Zero point that all fluxes were brought to, as those of several apertures are; else None.
    """

    source_id: int
    filter: str
    g: float
    mjd: NDArray[np.float64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    limit: NDArray[np.float64]
    flags: NDArray[np.uint16]
    zero: float | None = None

    def flagged(self, flag: Flag) -> NDArray[np.bool_]:
        """Tell which points carry a flag."""
        return np.asarray((self.flags & flag) != 0)

    @property
    def matched(self) -> bool:
        """Whether the source is a star of the reference catalogue."""
        return not bool(self.flagged(Flag.UNMATCHED).any())

    @property
    def title(self) -> str:
        """Name, filter, magnitude, and what holds throughout."""
        g = f"G = {self.g:.2f}" if np.isfinite(self.g) else "G unknown"
        name = f"{self.source_id}   filter {self.filter}" if self.filter else f"{self.source_id}"
        zero = [] if self.zero is None else [f"several apertures: fluxes at zero point {self.zero:.2f}"]
        said = (text for flag, text in _SAID.items() if self.flagged(flag).all())
        return ", ".join([f"{name}   {g}", *zero, *said])


def curves(rows: pa.Table) -> list[Curve]:
    """Split rows of the light-curve table by source and filter, in the order in which they first appear.

    Fluxes of apertures of several diameters cannot be compared: they are brought to the zero point of the first
    point. Where there is no calibration each diameter is a curve of its own.

    Raises
    ------
    BadRequest
        A column that a picture needs is missing.
    """
    missing = [name for name in _NEEDED if name not in rows.column_names]
    if missing:
        raise BadRequest(f"a plot needs the column {', '.join(missing)}")
    columns = {name: _floats(rows, name) for name in ("mjd", "flux", "flux_err", "phot_g_mean_mag")}
    columns |= {"limit": _limits(rows), "zero": _zeros(rows)}
    flags, diameters = numbers(rows, "flags").astype(np.uint16), diameters_of(rows)
    found = []
    for part in parts(rows):
        several = len(np.unique(diameters[part.rows])) > 1
        alone = np.isnan(columns["zero"]) if several else np.zeros(len(rows), bool)
        for which in _apart(part.rows, np.where(alone, diameters, 0)):
            which = which[np.argsort(columns["mjd"][which], kind="stable")]
            mjd, flux, error, g, limit, zero = (values[which] for values in columns.values())
            curve = Curve(part.source_id, part.filter, float(g[0]), mjd, flux, error, limit, flags[which])
            found.append(_at_one_zero(curve, zero) if several and not alone[which[0]] else curve)
    return found


def _apart(which: NDArray[np.intp], kind: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    return [which[kind[which] == one] for one in np.unique(kind[which])]


def _at_one_zero(curve: Curve, zero: NDArray[np.float64]) -> Curve:
    factor = 10 ** (-0.4 * (zero - zero[0]))
    flux, error, limit = curve.flux * factor, curve.flux_err * factor, curve.limit * factor
    return replace(curve, flux=flux, flux_err=error, limit=limit, zero=float(zero[0]))


def _floats(rows: pa.Table, name: str) -> NDArray[np.float64]:
    if name not in rows.column_names:
        return np.full(len(rows), np.nan)
    return np.asarray(rows.column(name).to_numpy(), dtype=np.float64)


def _zeros(rows: pa.Table) -> NDArray[np.float64]:
    """Return the zero point of each row for the colour of its star; NaN without a calibration."""
    zp, term, colour, mag, flux = (_floats(rows, name) for name in ("zp", "colour_term", "bp_rp", "mag", "flux"))
    with np.errstate(divide="ignore", invalid="ignore"):
        # A star of unknown colour got that of the calibrators, which no column says.
        said = np.where(np.isfinite(colour), np.nan, mag + 2.5 * np.log10(flux))
    return np.where(np.isfinite(said), said, zp + np.nan_to_num(term) * np.nan_to_num(colour))


def _limits(rows: pa.Table) -> NDArray[np.float64]:
    """Return the flux of the 5-sigma limit, ADU: from the calibrated one, else from the error of the flux."""
    calibrated = 10 ** (-0.4 * (_floats(rows, "limit") - _zeros(rows)))
    return np.where(np.isfinite(calibrated), calibrated, 5 * _floats(rows, "flux_err"))
