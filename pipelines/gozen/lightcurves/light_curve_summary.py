"""Summarise a light curve in one sentence: source, filter, length, brightness, scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.catalog.format.healpix import separation
from gozen.catalog.format.schema import Flag
from gozen.lightcurves.light_curve_parts import LightCurvePart, parts

_MAD = 1.4826


@dataclass(frozen=True)
class LightCurveSummary:
    """Statistics of the light curve of one source in one filter.

    Parameters
    ----------
    filter
        Empty if it is not known.
    distance_arcsec
        Distance from the centre of the cone that was looked up; None for a look-up by id.
    points, detected, exposures
        Numbers of points, of points without the flag `NOT_DETECTED`, and of exposures.
    mag, scatter
        Median and 1.4826 MAD of the calibrated magnitudes; NaN if there are none.
    flags
        Names of all flags that occur.
    """

    source_id: int
    filter: str
    ra: float
    dec: float
    distance_arcsec: float | None
    points: int
    detected: int
    exposures: int
    mag: float
    scatter: float
    flags: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The summary as a line of text."""
        where = f"{self.source_id} at {self.ra:.5f} {self.dec:+.5f}"
        if self.distance_arcsec is not None:
            where += f" ({self.distance_arcsec:.2f} arcsec away)"
        where += f", filter {self.filter}" if self.filter else ""
        exposures = f"{self.exposures} exposure{'s' if self.exposures > 1 else ''}"
        found = f"{self.points} points in {exposures}, {self.detected} detected"
        bright = f", mag {self.mag:.3f}, scatter {self.scatter:.3f}" if np.isfinite(self.mag) else ", not calibrated"
        flags = f"; flags: {', '.join(self.flags)}" if self.flags else ""
        return f"{where}: {found}{bright}{flags}"


def summaries(rows: pa.Table, centre: tuple[float, float] | None = None) -> list[LightCurveSummary]:
    """Summarise the light curve of each source in each filter, the source nearest to the centre first.

    Parameters
    ----------
    rows
        Rows of the light-curve table, with all columns.
    centre
        RA and Dec, degrees; None keeps the order of the rows.
    """
    found = [_summary(rows.take(pa.array(part.rows)), part, centre) for part in parts(rows)]
    return sorted(found, key=lambda one: one.distance_arcsec or 0.0)


def _summary(rows: pa.Table, part: LightCurvePart, centre: tuple[float, float] | None) -> LightCurveSummary:
    ra, dec = float(rows["ra"][0].as_py()), float(rows["dec"][0].as_py())
    far = None if centre is None else float(separation(*centre, np.array([ra]), np.array([dec]))[0]) * 3600
    flags = rows["flags"].to_numpy()
    mag = np.asarray(rows["mag"].drop_null().to_numpy(), np.float64)
    return LightCurveSummary(
        part.source_id,
        part.filter,
        ra,
        dec,
        far,
        points=len(rows),
        detected=int(((flags & Flag.NOT_DETECTED) == 0).sum()),
        exposures=len(rows["exposure"].unique()),
        mag=_median(mag),
        scatter=_MAD * _median(np.abs(mag - _median(mag))),
        flags=_names(flags),
    )


def _names(flags: NDArray[np.uint16]) -> tuple[str, ...]:
    every = int(np.bitwise_or.reduce(flags))
    return tuple(flag.name.lower().replace("_", " ") for flag in Flag if flag & every and flag.name)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
