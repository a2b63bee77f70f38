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
    """One source's points in one filter, in order of time; arrays of shape (points,).

    Parameters
    ----------
    filter
        The filter; empty if unknown.
    g
        The star's Gaia magnitude; NaN if unknown.
    flux, flux_err
        Flux and its error, in ADU or in the unit of the plot.
    limit
        The faintest flux that would have been detected; NaN if unknown.
    zero
        The zero point to which the fluxes are scaled, if they are from apertures of several diameters; else None.
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
        """Return which points have a flag."""
        return np.asarray((self.flags & flag) != 0)

    @property
    def matched(self) -> bool:
        """Whether the source is a star of the reference catalogue."""
        return not bool(self.flagged(Flag.UNMATCHED).any())

    @property
    def title(self) -> str:
        """Id, filter, magnitude, and the flags that all points have."""
        g = f"G = {self.g:.2f}" if np.isfinite(self.g) else "G unknown"
        name = f"{self.source_id}   filter {self.filter}" if self.filter else f"{self.source_id}"
        zero = [] if self.zero is None else [f"several apertures: fluxes at zero point {self.zero:.2f}"]
        said = (text for flag, text in _SAID.items() if self.flagged(flag).all())
        return ", ".join([f"{name}   {g}", *zero, *said])


def curves(rows: pa.Table) -> list[Curve]:
    """Split rows of the light-curve table by source and filter, in the order in which they first appear.

    Fluxes from apertures of several diameters cannot be compared, so they are scaled to the zero point of the first
    point. Without a calibration, each diameter becomes a separate curve.

    Raises
    ------
    BadRequest
        A column that the plot needs is missing.
    """
    missing = [name for name in _NEEDED if name not in rows.column_names]
    if missing:
        raise BadRequest(f"a plot needs the column {', '.join(missing)}: read it too, or read all columns")
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
    """Return the zero point of each row for its star's colour; NaN without a calibration."""
    zp, term, colour, mag, flux = (_floats(rows, name) for name in ("zp", "colour_term", "bp_rp", "mag", "flux"))
    with np.errstate(divide="ignore", invalid="ignore"):
        # For a star of unknown colour the calibration used the calibrators' colour, which no column has; `mag` and
        # `flux` give the zero point.
        said = np.where(np.isfinite(colour), np.nan, mag + 2.5 * np.log10(flux))
    return np.where(np.isfinite(said), said, zp + np.nan_to_num(term) * np.nan_to_num(colour))


def _limits(rows: pa.Table) -> NDArray[np.float64]:
    """Return the flux of the 5-sigma limit, ADU: from the limiting magnitude, else 5 times the error of the flux."""
    calibrated = 10 ** (-0.4 * (_floats(rows, "limit") - _zeros(rows)))
    return np.where(np.isfinite(calibrated), calibrated, 5 * _floats(rows, "flux_err"))
