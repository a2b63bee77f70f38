"""Compiled sums over circular apertures: flux, area and flags for each source on one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gozen.calibration.calibrate import Image, Mask

Floats = NDArray[np.float64]
_NODES, _WEIGHTS = (tuple(float(value) for value in values) for values in np.polynomial.legendre.leggauss(4))
"""Where the chords of one row of pixels lie, from its lower to its upper end (-1 to 1), and what each counts.

Each chord is exact and the first and last row end with the circle, so that four are right to 2e-4 of the area.
"""


@dataclass(frozen=True)
class ApertureSums:
    """What one aperture holds at each source.

    Parameters
    ----------
    flux
        Sum of the pixels, ADU; the background is still in it.
    area
        Pixels of the aperture that lie on the image, with fractions.
    saturated, dead
        Whether a pixel of the aperture is so.
    edge
        Whether the aperture reaches beyond the image.
    """

    flux: Floats
    area: Floats
    saturated: NDArray[np.bool_]
    dead: NDArray[np.bool_]
    edge: NDArray[np.bool_]


def aperture_sums(image: Image, mask: Mask, x: Floats, y: Floats, diameter_px: float) -> ApertureSums:
    """Sum an image over circles.

    Parameters
    ----------
    image, mask
        A calibrated frame and its mask, shape (rows, columns).
    x, y
        Centres, 0-based pixels (the centre of the first pixel is 0, 0); any may lie off the image.
    diameter_px
        Diameter of the circles.
    """
    sums, bits = _sum_circles(image, mask, x, y, diameter_px / 2)
    flagged = bits[:, np.newaxis] & np.array([1, 2, 4], np.uint8) > 0
    return ApertureSums(sums[:, 0], sums[:, 1], flagged[:, 0], flagged[:, 1], flagged[:, 2])


@njit(cache=True)
def _sum_circles(image: Any, mask: Any, xs: Any, ys: Any, radius: float) -> Any:  # pragma: no cover (compiled)
    rows, columns = image.shape
    sums = np.zeros((len(xs), 2))
    bits = np.zeros(len(xs), np.uint8)
    for i in range(len(xs)):
        cx, cy = xs[i], ys[i]
        if not (np.isfinite(cx) and np.isfinite(cy)):
            bits[i] = 4
            continue
        first, last = int(np.floor(cy - radius + 0.5)), int(np.floor(cy + radius + 0.5))
        if first < 0 or last >= rows or cx - radius < -0.5 or cx + radius > columns - 0.5:
            bits[i] |= 4
        for row in range(max(first, 0), min(last, rows - 1) + 1):
            low, high = max(row - 0.5 - cy, -radius), min(row + 0.5 - cy, radius)
            for k in range(len(_NODES)):
                height = (low + high + _NODES[k] * (high - low)) / 2
                half = np.sqrt(max(radius * radius - height * height, 0.0))
                left, right = max(cx - half, -0.5), min(cx + half, columns - 0.5)
                if left < right:
                    bits[i] |= _add_chord(image, mask, row, left, right, _WEIGHTS[k] * (high - low) / 2, sums[i])
    return sums, bits


@njit(cache=True, inline="always")
def _add_chord(
    image: Any, mask: Any, row: int, left: float, right: float, height: float, sums: Any
) -> int:  # pragma: no cover (compiled)
    """Add the pixels of one row between two places, the outer two by their covered fraction, times a height."""
    start, stop = int(np.floor(left + 0.5)), int(np.floor(right + 0.5))
    stop = min(stop, image.shape[1] - 1)
    bits = 0
    total = 0.0
    for column in range(start, stop + 1):
        weight = min(right, column + 0.5) - max(left, column - 0.5)
        total += weight * image[row, column]
        bits |= mask[row, column]
    sums[0] += total * height
    sums[1] += (right - left) * height
    return bits
