"""Sum the pixels of one frame in circles and ellipses: flux, area and flags for each source. Compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image, Mask

Floats = NDArray[np.float64]
_FAST = {"nnan", "ninf", "nsz"}
"""Fast-math flags without ``reassoc``: a changed order of sums would give other bytes on another processor."""
_LANES = 16
"""Pixels that the widest vector unit processes at once. Each lane sums every sixteenth column."""
_TOUCHED = np.float32(1e-3)
_OFF = -1e6
_ONE, _HALF, _NONE = np.float32(1), np.float32(0.5), np.float32(0)


@dataclass(frozen=True)
class ApertureSums:
    """Sums in one aperture at each source; arrays of shape (sources,).

    Parameters
    ----------
    flux
        Sum of the pixels, ADU, including the background.
    area
        Area of the aperture on the image, pixels, with fractions.
    saturated, dead
        Whether the aperture contains a saturated or dead pixel.
    edge
        Whether the aperture extends beyond the image.
    """

    flux: Floats
    area: Floats
    saturated: NDArray[np.bool_]
    dead: NDArray[np.bool_]
    edge: NDArray[np.bool_]


def aperture_sums(image: Image, mask: Mask, x: Floats, y: Floats, diameter_px: float) -> ApertureSums:
    """Sum the pixels of an image, ADU, in a circle around each position.

    Parameters
    ----------
    image, mask
        A calibrated frame and its mask, shape (rows, columns).
    x, y
        Centres, 0-based pixels (the centre of the first pixel is 0, 0); they may be off the image or NaN.
    diameter_px
        Diameter of the circles, pixels.
    """
    return nested_sums(image, mask, x, y, (diameter_px,))[0]


def nested_sums(image: Image, mask: Mask, x: Floats, y: Floats, diameters_px: Sequence[float]) -> list[ApertureSums]:
    """Sum an image over concentric circles of several diameters, in one pass.

    The parameters are those of `aperture_sums`, except that there are several diameters.
    """
    outer = np.array(diameters_px, float) / 2
    # `_covered` takes the edge as straight within a pixel, which makes every circle larger by pi/12 pixels.
    radii = np.sqrt(np.maximum(outer**2 - 1 / 12, 0.0))
    known = np.isfinite(x) & np.isfinite(y)
    sums, bits = _sum_circles(image, mask, np.where(known, x, _OFF), np.where(known, y, _OFF), radii, outer)
    flagged = bits[..., np.newaxis] & np.array([1, 2, 4], np.uint8) > 0
    return [
        ApertureSums(one[:, 0], one[:, 1], flag[:, 0], flag[:, 1], flag[:, 2])
        for one, flag in zip(sums, flagged, strict=True)
    ]


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _sum_circles(image: Any, mask: Any, xs: Any, ys: Any, radii: Any, outer: Any) -> Any:  # pragma: no cover (compiled)
    rows, columns = image.shape
    sums = np.zeros((len(radii), len(xs), 2))
    bits = np.zeros((len(radii), len(xs)), np.uint8)
    flux, area, seen = np.empty(_LANES, np.float32), np.empty(_LANES, np.float32), np.empty(_LANES, np.uint8)
    for i in range(len(xs)):
        x, y = xs[i], ys[i]
        for k in range(len(radii)):
            flux[:], area[:], seen[:] = 0, 0, 0
            _circle(image, mask, x, y, radii[k], flux, area, seen)
            for lane in range(_LANES):
                sums[k, i, 0] += flux[lane]
                sums[k, i, 1] += area[lane]
                bits[k, i] |= seen[lane]
            reach = outer[k]
            if x - reach < -0.5 or y - reach < -0.5 or x + reach > columns - 0.5 or y + reach > rows - 0.5:
                bits[k, i] |= 4
    return sums, bits


@njit(cache=True, fastmath=_FAST, error_model="numpy", inline="always")
def _circle(
    image: Any, mask: Any, x: float, y: float, radius: float, flux: Any, area: Any, seen: Any
) -> None:  # pragma: no cover (compiled)
    """Add the pixels of one circle to flux, area and mask bits; column `begin + i` adds to element i (see `_LANES`)."""
    rows, columns = image.shape
    half = int(np.ceil(radius + 0.75))
    top, left = int(np.rint(y)) - half, int(np.rint(x)) - half
    reach = np.float32(radius)
    for row in range(max(top, 0), min(top + 2 * half + 1, rows)):
        dy = np.float32(abs(row - y))
        for begin in range(left, left + 2 * half + 1, _LANES):
            offset = np.float32(begin - x)
            # Both branches do the same. The first has a fixed number of steps, so the compiler can vectorize it.
            if begin >= 0 and begin + _LANES <= columns:
                for lane in range(_LANES):
                    weight = _covered(abs(np.float32(lane) + offset), dy, reach)
                    flux[lane] += weight * image[row, begin + lane]
                    area[lane] += weight
                    seen[lane] |= mask[row, begin + lane] if weight > _TOUCHED else np.uint8(0)
            else:
                for lane in range(max(-begin, 0), min(_LANES, columns - begin)):
                    weight = _covered(abs(np.float32(lane) + offset), dy, reach)
                    flux[lane] += weight * image[row, begin + lane]
                    area[lane] += weight
                    seen[lane] |= mask[row, begin + lane] if weight > _TOUCHED else np.uint8(0)


@njit(cache=True, fastmath=_FAST, error_model="numpy", inline="always")
def _covered(dx: Any, dy: Any, radius: Any) -> Any:  # pragma: no cover (compiled)
    """Return the fraction of a pixel inside a circle, with the circle's edge taken as straight within the pixel.

    As a straight edge moves across a square, the area that it adds is a triangle, then a parallelogram, then a
    triangle. One formula without branches covers all three, so 16 pixels are computed at once. The area of a circle of
    10 pixels is accurate to 1e-3, and of a circle of 21 pixels to 2e-4, without a bias.
    """
    square = dx * dx + dy * dy + np.float32(1e-12)
    inverse = _ONE / np.sqrt(square)
    # The limits matter only at the centre, where the edge has no direction, and on the axes.
    steep = max(max(dx, dy) * inverse, np.float32(0.7))
    flat = max(min(dx, dy) * inverse, np.float32(1e-3))
    inside = radius - square * inverse
    depth = max((steep + flat) * _HALF - abs(inside), _NONE)
    corner = min(depth, flat)
    cut = (corner * corner * _HALF + (depth - corner) * flat) / (flat * steep)
    side = _HALF if inside > _NONE else -_HALF
    return _HALF + side * (_ONE - cut - cut)


@dataclass(frozen=True)
class Ellipses:
    """Ellipses about sources; arrays of shape (sources,).

    Parameters
    ----------
    x, y
        Centres, 0-based pixels.
    a, b, theta
        Semi-axes, pixels, and the angle from the x axis to the major axis, radians.
    radius
        Factor by which the semi-axes are multiplied.
    """

    x: Floats
    y: Floats
    a: Floats
    b: Floats
    theta: Floats
    radius: Floats


def ellipse_sums(image: Image, ellipses: Ellipses) -> tuple[Floats, NDArray[np.int64]]:
    """Sum the pixels whose centres are inside ellipses.

    Parameters
    ----------
    image
        Shape (rows, columns).

    Returns
    -------
    Sums, and the number of pixels in each; NaN and 0 for an ellipse that extends beyond the image.
    """
    a, b = ellipses.a, ellipses.b
    cos, sin = np.cos(ellipses.theta), np.sin(ellipses.theta)
    cxx, cyy = (cos / a) ** 2 + (sin / b) ** 2, (sin / a) ** 2 + (cos / b) ** 2
    cxy = 2 * cos * sin * (1 / a**2 - 1 / b**2)
    out = _sum_ellipses(image, ellipses.x, ellipses.y, cxx, cyy, cxy, ellipses.radius)
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
            first, last = int(np.ceil(middle - half)), int(np.floor(middle + half))
            out[i, 0] += _sum(image[row, first : last + 1])
            out[i, 1] += max(last + 1 - first, 0)
    return out


@njit(cache=True, fastmath=_FAST, inline="always")
def _sum(values: Any) -> Any:  # pragma: no cover (compiled)
    total = 0.0
    for i in range(len(values)):
        total += values[i]
    return total
