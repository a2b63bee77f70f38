"""Compute when each row of each frame is exposed: a rolling shutter reads the rows one after another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gozen.simulator.sky.star_arrays import Floats

_DAY_S = 86400.0


@dataclass(frozen=True)
class Timing:
    """Read-out times, seconds, with header keywords in brackets; the defaults hold for Tomo-e Gozen at 2 frames/s.

    Parameters
    ----------
    frame_s
        Time from one frame to the next (TFRAME).
    exposure_s
        Net exposure of a row (EXPTIME1).
    row_s
        Time from one row to the next (TRLSTEP1).
    """

    frame_s: float = 0.5
    exposure_s: float = 0.499904
    row_s: float = 0.00041475

    def row_start(self, utc_start: float, frame: int, row: Floats) -> Floats:
        """Return the MJD at which the exposure of rows (0-based, raw frame) starts in a frame (0-based)."""
        return utc_start + (frame * self.frame_s + np.asarray(row) * self.row_s) / _DAY_S

    def row_middle(self, utc_start: float, frame: int, row: Floats) -> Floats:
        """Return the MJD of the middle of the exposure of rows; the parameters are those of `row_start`."""
        return self.row_start(utc_start, frame, row) + self.exposure_s / 2 / _DAY_S
