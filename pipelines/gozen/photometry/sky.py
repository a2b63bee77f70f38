"""The sky of one frame at each source: the stack's background plus what the frame has more, on a coarse mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from gozen.calibration.calibrate import Image
from gozen.photometry.register import Shift
from gozen.photometry.stack import overlap

Floats = NDArray[np.float64]
_CELL_PX = 128
"""Real skies differ from frame to frame on this scale; with the smoothing the mesh adds under 2 % to the noise of a
21-pixel aperture."""
_STEP = 2
_LEAST_PIXELS = 50


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
    rows, columns = image.shape
    down, across = max(round(rows / _CELL_PX), 1), max(round(columns / _CELL_PX), 1)
    here, there = overlap(image.shape, round(shift.dx), round(shift.dy))
    mesh = _mesh(
        image[there], background[here], is_sky[here], there[0].start, there[1].start, rows, columns, down, across
    )
    excess, noise = mesh[..., 0], mesh[..., 1]
    found = np.isfinite(excess)
    filled = np.where(found, excess, np.median(excess[found]) if found.any() else 0.0)
    typical = float(np.median(noise[found])) if found.any() else float("nan")
    return FrameSky(_smoothed(filled), (rows / down, columns / across), typical)


def _smoothed(mesh: Floats) -> Floats:
    """Return a mesh weighted 1-2-1 along both axes, which leaves a plane as it is, and its noise at 0.4."""
    wide = np.pad(mesh, 1, mode="reflect", reflect_type="odd")
    wide = (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4
    return (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4


@njit(cache=True)
def _mesh(
    image: Any, background: Any, is_sky: Any, y0: int, x0: int, rows: int, columns: int, down: int, across: int
) -> Any:  # pragma: no cover (compiled)
    """Return mean and deviation of the excess in each cell of the frame, part of which is given."""
    mesh = np.empty((down, across, 2))
    for j in range(down):
        y1, y2 = max(j * rows // down - y0, 0), min((j + 1) * rows // down - y0, image.shape[0])
        for i in range(across):
            x1, x2 = max(i * columns // across - x0, 0), min((i + 1) * columns // across - x0, image.shape[1])
            mesh[j, i, 0], mesh[j, i, 1] = _clipped(image, background, is_sky, y1, y2, x1, x2)
    return mesh


@njit(cache=True)
def _clipped(
    image: Any, background: Any, is_sky: Any, y1: int, y2: int, x1: int, x2: int
) -> Any:  # pragma: no cover (compiled)
    """Return mean and deviation of one cell after three clips at 3 sigma; NaN where too little sky is left.

    Every second pixel of every second row is enough, and four passes over them cost less than one median.
    """
    mean, spread = np.float32(0.0), np.float32(np.inf)
    for _ in range(4):
        count, first, second = 0, 0.0, 0.0
        for y in range(y1, y2, _STEP):
            for x in range(x1, x2, _STEP):
                value = image[y, x] - background[y, x]
                if is_sky[y, x] and abs(value - mean) <= 3 * spread + np.float32(1e-6):
                    count += 1
                    first += value - mean
                    second += (value - mean) * (value - mean)
        if count < _LEAST_PIXELS:
            return np.nan, np.nan
        first /= count
        spread = np.float32(np.sqrt(max(second / count - first * first, 0.0)))
        mean = np.float32(mean + first)
    return mean, spread
