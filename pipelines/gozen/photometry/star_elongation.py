"""Measure the elongation of a frame's stars, which is large if the mount jumps or drifts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image

Floats = NDArray[np.float64]
_FEWEST_STARS = 5


def star_elongation(image: Image, x: Floats, y: Floats, sigma_px: float, sky: Floats | float = 0.0) -> float:
    """Return the ratio of the long to the short axis of a frame's stars; NaN if fewer than five can be measured.

    The axes are computed from the medians of the stars' second moments, because noise elongates each faint star in a
    random direction. The median also removes the effect of a neighbour's light. The effect of the window is corrected
    as in `gozen.photometry.centroids.star_fwhm`.

    Parameters
    ----------
    image
        Shape (rows, columns).
    x, y
        Positions of stars, 0-based pixels.
    sigma_px
        Standard deviation of the Gaussian window, pixels.
    sky
        Sky level to subtract, ADU: one value, or one for each star.
    """
    moments = _second_moments(image, x, y, np.broadcast_to(np.asarray(sky, float), np.shape(x)), sigma_px)
    found = moments[np.isfinite(moments).all(axis=1)]
    if len(found) < _FEWEST_STARS:
        return float("nan")
    xx, yy, xy = np.median(found, axis=0)
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    window = sigma_px**2
    long, short = np.clip((middle + half, middle - half), 0.02 * window, 0.98 * window)
    return float(np.sqrt(long / (window - long) * (window - short) / short))


@njit(cache=True)
def _second_moments(image: Any, xs: Any, ys: Any, sky: Any, sigma: float) -> Any:  # pragma: no cover (compiled)
    """Return the moments xx, yy and xy about each star's centroid in the window; NaN near the edge."""
    rows, columns = image.shape
    out = np.full((len(xs), 3), np.nan)
    reach = int(np.ceil(3 * sigma))
    for i in range(len(xs)):
        if not (np.isfinite(xs[i]) and np.isfinite(ys[i])):
            continue
        column, row = int(np.rint(xs[i])), int(np.rint(ys[i]))
        if not (reach <= column < columns - reach and reach <= row < rows - reach):
            continue
        total, mx, my, xx, yy, xy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for r in range(row - reach, row + reach + 1):
            for c in range(column - reach, column + reach + 1):
                u, v = c - xs[i], r - ys[i]
                value = (image[r, c] - sky[i]) * np.exp(-(u * u + v * v) / (2 * sigma * sigma))
                total += value
                mx += value * u
                my += value * v
                xx += value * u * u
                yy += value * v * v
                xy += value * u * v
        if total > 0:
            mx, my = mx / total, my / total
            out[i, 0], out[i, 1], out[i, 2] = xx / total - mx * mx, yy / total - my * my, xy / total - mx * my
    return out
