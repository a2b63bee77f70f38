"""Measure Gaussian-windowed centroids and widths of stars, and find peaks. Compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image

Floats = NDArray[np.float64]


def windowed_centroids(
    image: Image, x: Floats, y: Floats, sigma_px: float, search_px: int = 0, sky: Floats | float = 0.0
) -> tuple[Floats, Floats]:
    """Return the Gaussian-windowed centroids of stars.

    The iteration is the same as for SExtractor's ``XWIN_IMAGE`` (Bertin, SExtractor manual, "Windowed positional
    parameters"). Its accuracy for a star is close to that of a fitted profile.

    Parameters
    ----------
    image
        Shape (rows, columns).
    x, y
        Starting positions, 0-based pixels.
    sigma_px
        Standard deviation of the window, pixels; ideally that of the stars.
    search_px
        Start from the brightest 3 x 3 pixels within this distance along each axis; 0 starts from (x, y).
    sky
        Sky level to subtract, ADU: one value, or one for each star.

    Returns
    -------
    x and y of the centroids; NaN where the iteration does not converge, or leaves the window or the image.
    """
    out = _centroids(image, x, y, np.broadcast_to(np.asarray(sky, float), np.shape(x)), sigma_px, search_px)
    return out[:, 0], out[:, 1]


def star_fwhm(image: Image, x: Floats, y: Floats, sigma_px: float, sky: Floats | float = 0.0) -> float:
    """Return the median full width at half maximum of stars, pixels; NaN if none can be measured.

    The Gaussian window reduces a star's width from s to s', with 1/s'^2 = 1/s^2 + 1/window^2; the result is corrected
    for this.

    Parameters
    ----------
    image
        Shape (rows, columns).
    x, y
        Centroids, 0-based pixels.
    sigma_px
        Standard deviation of the window, pixels.
    sky
        Sky level to subtract, ADU: one value, or one for each star.
    """
    moments = _moments(image, x, y, np.broadcast_to(np.asarray(sky, float), np.shape(x)), sigma_px)
    good = moments[(moments > 0) & (moments < 0.95 * sigma_px**2)]
    if len(good) == 0:
        return float("nan")
    return float(2.3548 * np.sqrt(np.median(good * sigma_px**2 / (sigma_px**2 - good))))


@njit(cache=True)
def _moments(image: Any, xs: Any, ys: Any, sky: Any, sigma: float) -> Any:  # pragma: no cover (compiled)
    rows, columns = image.shape
    out = np.full(len(xs), np.nan)
    reach = int(np.ceil(3 * sigma))
    for i in range(len(xs)):
        if not (np.isfinite(xs[i]) and np.isfinite(ys[i])):
            continue
        column, row = int(np.rint(xs[i])), int(np.rint(ys[i]))
        if not (reach <= column < columns - reach and reach <= row < rows - reach):
            continue
        total, second = 0.0, 0.0
        for r in range(row - reach, row + reach + 1):
            for c in range(column - reach, column + reach + 1):
                square = (c - xs[i]) ** 2 + (r - ys[i]) ** 2
                value = (image[r, c] - sky[i]) * np.exp(-square / (2 * sigma * sigma))
                total += value
                second += value * square
        if total > 0:
            out[i] = second / total / 2
    return out


@njit(cache=True)
def _centroids(image: Any, xs: Any, ys: Any, sky: Any, sigma: float, search: int) -> Any:  # pragma: no cover (compiled)
    rows, columns = image.shape
    out = np.full((len(xs), 2), np.nan)
    reach = int(np.ceil(3 * sigma))
    across, down = np.empty(2 * reach + 1), np.empty(2 * reach + 1)
    for i in range(len(xs)):
        x0, y0 = xs[i], ys[i]
        if not (np.isfinite(x0) and np.isfinite(y0)):
            continue
        if search > 0:
            x0, y0 = _peak(image, x0, y0, search)
        x, y = x0, y0
        settled = False
        for _ in range(32):
            column, row = int(np.rint(x)), int(np.rint(y))
            if not (reach <= column < columns - reach and reach <= row < rows - reach):
                break
            total, mx, my = 0.0, 0.0, 0.0
            for k in range(2 * reach + 1):
                across[k] = np.exp(-((column - reach + k - x) ** 2) / (2 * sigma * sigma))
                down[k] = np.exp(-((row - reach + k - y) ** 2) / (2 * sigma * sigma))
            for j in range(2 * reach + 1):
                line, moment = 0.0, 0.0
                for k in range(2 * reach + 1):
                    value = (image[row - reach + j, column - reach + k] - sky[i]) * across[k]
                    line += value
                    moment += value * (column - reach + k - x)
                total += line * down[j]
                mx += moment * down[j]
                my += line * down[j] * (row - reach + j - y)
            if total <= 0:
                break
            # The window halves the measured offset of a star that is as wide as the window.
            dx, dy = 2 * mx / total, 2 * my / total
            x, y = x + dx, y + dy
            if abs(x - x0) > reach or abs(y - y0) > reach:
                break
            if dx * dx + dy * dy < 1e-8:
                settled = True
                break
        if settled:
            out[i, 0], out[i, 1] = x, y
    return out


@njit(cache=True)
def _peak(image: Any, x: float, y: float, search: int) -> Any:  # pragma: no cover (compiled)
    """Return the pixel near (x, y) with the largest sum over its 3 x 3 pixels."""
    rows, columns = image.shape
    best, bx, by = -np.inf, x, y
    for r in range(max(int(y) - search, 1), min(int(y) + search + 2, rows - 1)):
        for c in range(max(int(x) - search, 1), min(int(x) + search + 2, columns - 1)):
            total = 0.0
            for j in range(-1, 2):
                for k in range(-1, 2):
                    total += image[r + j, c + k]
            if total > best:
                best, bx, by = total, float(c), float(r)
    return bx, by


def bright_peaks(image: Image, threshold: float) -> tuple[Floats, Floats, Floats]:
    """Return x, y and value of the local maxima above a threshold, the highest first."""
    found = _peaks(image, threshold)
    found = found[np.argsort(-found[:, 2], kind="stable")]
    return found[:, 0], found[:, 1], found[:, 2]


@njit(cache=True)
def _peaks(image: Any, threshold: float) -> Any:  # pragma: no cover (compiled)
    rows, columns = image.shape
    out = []
    for r in range(1, rows - 1):
        for c in range(1, columns - 1):
            value = image[r, c]
            if value <= threshold:
                continue
            highest = True
            for j in range(-1, 2):
                for k in range(-1, 2):
                    # Of equal neighbours only the first is a peak.
                    other = image[r + j, c + k]
                    if other > value or (other == value and (j < 0 or (j == 0 and k < 0))):
                        highest = False
            if highest:
                out.append((float(c), float(r), float(value)))
    array = np.empty((len(out), 3))
    for n, one in enumerate(out):
        array[n, 0], array[n, 1], array[n, 2] = one
    return array
