"""Exposure times of each row of each frame: a rolling shutter reads rows one after another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gozen.simulator.sky.star_arrays import Floats

_DAY_S = 86400.0


@dataclass(frozen=True)
class Timing:
    """Read-out times, seconds; the defaults are those of Tomo-e Gozen at 2 frames/s (header words in brackets).

    Parameters
    ----------
    frame_s
        From frame to frame (TFRAME).
    exposure_s
        Net exposure of a row (EXPTIME1).
    row_s
        From row to row (TRLSTEP1).
    """

    frame_s: float = 0.5
    exposure_s: float = 0.499904
    row_s: float = 0.00041475

    def row_start(self, utc_start: float, frame: int, row: Floats) -> Floats:
        """Return the MJD at which rows (0-based, of the raw frame) of a frame (0-based) start to be exposed."""
        return utc_start + (frame * self.frame_s + np.asarray(row) * self.row_s) / _DAY_S

    def row_middle(self, utc_start: float, frame: int, row: Floats) -> Floats:
        """Return the MJD of the middle of the exposure of rows."""
        return self.row_start(utc_start, frame, row) + self.exposure_s / 2 / _DAY_S
