"""Divide the time axis of a light curve into visits, and choose the unit of time. No drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.instrument.read_header import utc_of_mjd

DAY_S = 86400.0
MOST_VISITS = 6
_GAP_S = 60.0
_GAP_RATIO = 2.0


@dataclass(frozen=True)
class Visit:
    """A range of time without a long gap.

    Parameters
    ----------
    first, last
        MJD (UTC) of its first and last point.
    unit_d
        The unit of the axis, in days.
    unit
        The name of the unit: ``s`` or ``d``.
    """

    first: float
    last: float
    unit_d: float = 1 / DAY_S
    unit: str = "s"

    def elapsed(self, mjd: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the time since the visit's first point, in the visit's unit."""
        return np.asarray((mjd - self.first) / self.unit_d)

    def holds(self, mjd: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points belong to this visit."""
        return np.asarray((mjd >= self.first) & (mjd <= self.last))

    @property
    def label(self) -> str:
        """The label of the axis."""
        start = utc_of_mjd(self.first).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        return f"time since {start} UTC  [{self.unit}]"


def visits(mjd: NDArray[np.float64]) -> tuple[Visit, ...]:
    """Return the visits of a light curve, in order of time.

    A gap separates two visits if it is longer than a minute, and longer than twice the longer visit. Therefore several
    short exposures of one field form one visit. If there would be more than `MOST_VISITS` visits, all points form one
    visit, with times in days.

    Parameters
    ----------
    mjd
        Times of the points, MJD, in any order; at least one.
    """
    times = np.unique(mjd)
    cuts = np.flatnonzero(np.diff(times) * DAY_S > _GAP_S)
    stretches = [(part[0], part[-1]) for part in np.split(times, cuts + 1)]
    found = [stretches[0]]
    for first, last in stretches[1:]:
        before = found[-1]
        longer = max(last - first, before[1] - before[0])
        if first - before[1] > _GAP_RATIO * longer:
            found.append((first, last))
        else:
            found[-1] = (before[0], last)
    if len(found) > MOST_VISITS:
        return (Visit(float(times[0]), float(times[-1]), 1.0, "d"),)
    return tuple(Visit(float(first), float(last)) for first, last in found)
