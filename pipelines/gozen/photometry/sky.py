"""The sky of one frame at each source: the stack's background plus what the frame has more, on a coarse mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from gozen.calibration.calibrate import Image
from gozen.photometry.register import Shift
from gozen.photometry.stack import overlap

Floats = NDArray[np.float64]
_CELL_PX = 256
"""Coarse enough that the mesh adds under 2 % to the noise of a 21-pixel aperture."""
_STEP = 2


@dataclass(frozen=True)
class FrameSky:
    """What a frame's sky has above the stack's background.

    Parameters
    ----------
    excess
        Mesh of the difference, ADU per pixel.
    cell
        Rows and columns of one cell, pixels.
    noise
        Robust deviation of the frame about the sky, ADU per pixel.
    """

    excess: Floats
    cell: tuple[float, float]
    noise: float

    def at(self, x: Floats, y: Floats) -> Floats:
        """Return the excess at places on the frame, ADU per pixel."""
        place = np.stack([(y + 0.5) / self.cell[0] - 0.5, (x + 0.5) / self.cell[1] - 0.5])
        return np.asarray(map_coordinates(self.excess, place, order=1, mode="nearest"), np.float64)


def frame_sky(image: Image, background: Image, is_sky: NDArray[np.bool_], shift: Shift) -> FrameSky:
    """Measure a frame's sky against the stack's background.

    Parameters
    ----------
    image, background
        The frame and the stack's background map, shape (rows, columns), ADU.
    is_sky
        Pixels of the stack away from every source and defect.
    shift
        Of the frame against the stack: where the frame has drifted, its sources have, too.
    """
    rest = np.full(image.shape[:2], np.nan, np.float32)
    here, there = overlap(image.shape, round(shift.dx), round(shift.dy))
    rest[there] = np.where(is_sky[here], image[there] - background[here], np.nan)
    rest = rest[::_STEP, ::_STEP]
    across = max(round(rest.shape[1] * _STEP / _CELL_PX), 1)
    down = max(round(rest.shape[0] * _STEP / _CELL_PX), 1)
    edges_y = np.linspace(0, rest.shape[0], down + 1).astype(int)
    edges_x = np.linspace(0, rest.shape[1], across + 1).astype(int)
    mesh = np.empty((down, across, 2))
    for j in range(down):
        for i in range(across):
            mesh[j, i] = _clipped(rest[edges_y[j] : edges_y[j + 1], edges_x[i] : edges_x[i + 1]])
    excess = mesh[..., 0]
    filled = np.where(np.isfinite(excess), excess, np.nanmedian(excess) if np.isfinite(excess).any() else 0.0)
    noise = float(np.nanmedian(mesh[..., 1])) if np.isfinite(mesh[..., 1]).any() else float("nan")
    return FrameSky(filled, (image.shape[0] / down, image.shape[1] / across), noise)


def _clipped(values: Image) -> tuple[float, float]:
    """Return mean and deviation after two clips at 3 sigma; NaN where too little sky is left."""
    kept = values[np.isfinite(values)]
    if len(kept) < 50:
        return float("nan"), float("nan")
    for _ in range(2):
        middle, spread = float(np.median(kept)), float(kept.std())
        kept = kept[np.abs(kept - middle) < 3 * spread + 1e-6]
    return float(kept.mean()), float(kept.std())
