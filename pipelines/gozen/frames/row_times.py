"""Compute the time of a source: mid-exposure of its detector row on its frame (docs/explanation/light-curves.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DAY_S = 86400.0


def mid_exposure(
    start: float | NDArray[np.float64], row: float | NDArray[np.float64], row_time_s: float, exposure_s: float
) -> NDArray[np.float64]:
    """Return the mid-exposure time of a row.

    A rolling shutter reads one row after another, so a source's time depends on its row.

    Parameters
    ----------
    start
        MJD (UTC) at which the first pixel of the frame starts.
    row
        0-based row on the raw frame; it may be fractional.
    row_time_s
        Time from row to row, seconds; 0 for a global shutter.
    exposure_s
        Net exposure, seconds.

    Returns
    -------
    MJD (UTC), days.
    """
    return np.asarray(start + (np.asarray(row) * row_time_s + exposure_s / 2) / DAY_S, dtype=np.float64)
