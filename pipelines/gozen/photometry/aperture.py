"""Compiled sums over circles and ellipses: flux, area and flags for each source on one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gozen.calibration.calibrate import Image, Mask

Floats = NDArray[np.float64]
_FEW_NODES, _FEW_WEIGHTS = np.polynomial.legendre.leggauss(2)
_MANY_NODES, _MANY_WEIGHTS = np.polynomial.legendre.leggauss(4)
"""Where the chords of one row of pixels lie, from its lower to its upper end (-1 to 1), and what each counts.

Each chord is exact and the first and last row end with the circle, so that two in the middle rows, where the circle is
steep, and four elsewhere are right to 2e-4 of the area.
"""
_STEEP = 0.75


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
            bits[i] |= _add_row(image, mask, row, cx, cy, radius, sums[i])
    return sums, bits


@njit(cache=True, inline="always")
def _add_row(
    image: Any, mask: Any, row: int, cx: float, cy: float, radius: float, sums: Any
) -> int:  # pragma: no cover (compiled)
    """Add one row of a circle: pixels that every chord covers whole once, those at its two ends for each chord."""
    low, high = max(row - 0.5 - cy, -radius), min(row + 0.5 - cy, radius)
    # The chord nearest to the far edge of the row is the shortest.
    far = max(abs(low), abs(high))
    shortest = np.sqrt(max(radius * radius - far * far, 0.0))
    begin = max(int(np.ceil(cx - shortest + 0.5)), 0)
    end = min(int(np.floor(cx + shortest - 0.5)), image.shape[1] - 1)
    bits = 0
    if end < begin:
        end = begin - 1
    else:
        whole = 0.0
        for column in range(begin, end + 1):
            whole += image[row, column]
            bits |= mask[row, column]
        sums[0] += whole * (high - low)
    nodes, weights = (_FEW_NODES, _FEW_WEIGHTS) if far < _STEEP * radius else (_MANY_NODES, _MANY_WEIGHTS)
    for k in range(len(nodes)):
        height = (low + high + nodes[k] * (high - low)) / 2
        half = np.sqrt(max(radius * radius - height * height, 0.0))
        left, right = max(cx - half, -0.5), min(cx + half, image.shape[1] - 0.5)
        if left < right:
            weight = weights[k] * (high - low) / 2
            bits |= _add_part(image, mask, row, left, min(right, begin - 0.5), weight, sums)
            bits |= _add_part(image, mask, row, max(left, end + 0.5), right, weight, sums)
            sums[1] += (right - left) * weight
    return bits


@njit(cache=True, inline="always")
def _add_part(
    image: Any, mask: Any, row: int, left: float, right: float, height: float, sums: Any
) -> int:  # pragma: no cover (compiled)
    """Add the pixels of one row between two places, the outer two by their covered fraction, times a height."""
    bits = 0
    if left >= right:
        return bits
    start, stop = int(np.floor(left + 0.5)), min(int(np.floor(right + 0.5)), image.shape[1] - 1)
    total = 0.0
    for column in range(start, stop + 1):
        weight = min(right, column + 0.5) - max(left, column - 0.5)
        total += weight * image[row, column]
        bits |= mask[row, column]
    sums[0] += total * height
    return bits


def ellipse_sums(
    image: Image, x: Floats, y: Floats, a: Floats, b: Floats, theta: Floats, radius: Floats
) -> tuple[Floats, NDArray[np.int64]]:
    """Sum the pixels whose centres lie in ellipses.

    Parameters
    ----------
    image
        Shape (rows, columns).
    x, y
        Centres, 0-based pixels.
    a, b, theta
        Half axes, pixels, and the angle from the rows to the longer one, radians.
    radius
        Scale of the half axes.

    Returns
    -------
    Sums, and the number of pixels in each; NaN and 0 for an ellipse that reaches beyond the image.
    """
    cos, sin = np.cos(theta), np.sin(theta)
    cxx, cyy = (cos / a) ** 2 + (sin / b) ** 2, (sin / a) ** 2 + (cos / b) ** 2
    cxy = 2 * cos * sin * (1 / a**2 - 1 / b**2)
    out = _sum_ellipses(image, x, y, cxx, cyy, cxy, radius)
    return out[:, 0], out[:, 1].astype(np.int64)


@njit(cache=True)
def _sum_ellipses(
    image: Any, xs: Any, ys: Any, cxx: Any, cyy: Any, cxy: Any, radius: Any
) -> Any:  # pragma: no cover (compiled)
    rows, columns = image.shape
    out = np.zeros((len(xs), 2))
    for i in range(len(xs)):
        square = radius[i] * radius[i]
        det = cxx[i] * cyy[i] - cxy[i] * cxy[i] / 4
        tall, wide = np.sqrt(square * cxx[i] / det), np.sqrt(square * cyy[i] / det)
        if not (
            xs[i] - wide >= -0.5
            and xs[i] + wide <= columns - 0.5
            and ys[i] - tall >= -0.5
            and ys[i] + tall <= rows - 0.5
        ):
            out[i, 0] = np.nan
            continue
        for row in range(int(np.ceil(ys[i] - tall)), int(np.floor(ys[i] + tall)) + 1):
            dy = row - ys[i]
            middle = xs[i] - cxy[i] * dy / (2 * cxx[i])
            half = (square - det / cxx[i] * dy * dy) / cxx[i]
            if half < 0:
                continue
            half = np.sqrt(half)
            for column in range(int(np.ceil(middle - half)), int(np.floor(middle + half)) + 1):
                out[i, 0] += image[row, column]
                out[i, 1] += 1
    return out
