"""Render stars and trails as Moffat profiles, in electrons. Compiled.

The profile is the effective PSF, which includes the integration over a pixel: a pixel's value is the profile at its
centre (Anderson & King 2000, PASP 112, 1360). Because of the rolling shutter, each row has a separate exposure.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from gozen.simulator.sky.star_arrays import Floats

BETA = 4
"""Exponent of the Moffat profile; turbulence alone gives 4.765 (Trujillo et al. 2001, MNRAS 328, 977), optics reduce
it."""
_FAINTEST_E = 0.005
_MAXIMUM_RADIUS_PX = 250.0


def moffat_width(fwhm_px: float) -> float:
    """Convert a full width at half maximum to the core width of the Moffat profile, pixels."""
    return fwhm_px / (2.0 * math.sqrt(2.0 ** (1.0 / BETA) - 1.0))


def encircled(radius_px: float, width_px: float) -> float:
    """Return the fraction of a star's flux within a radius."""
    return 1.0 - (1.0 + (radius_px / width_px) ** 2) ** (1 - BETA)


@numba.njit(cache=True)
def _radius(flux: float, width: float) -> float:
    peak = flux * (BETA - 1) / (math.pi * width * width)
    if peak <= _FAINTEST_E:
        return 3.0 * width
    return min(max(3.0 * width, width * math.sqrt(math.sqrt(math.sqrt(peak / _FAINTEST_E)) - 1.0)), _MAXIMUM_RADIUS_PX)


@numba.njit(cache=True)
def add_stars(
    image: npt.NDArray[np.float32], x: Floats, y: Floats, flux: Floats, row_factor: Floats, width: float
) -> None:
    """Add stars to an image.

    Parameters
    ----------
    image
        Electrons, shape (rows, columns); changed in place.
    x, y
        0-based pixels, shape (n,); of stars beyond the edge, only the light on the image is added.
    flux
        Total flux of each star, electrons, shape (n,).
    row_factor
        Factor on the flux in each row, shape (rows,).
    width
        Core width of the Moffat profile, pixels.
    """
    rows, columns = image.shape
    inverse = 1.0 / (width * width)
    for i in range(x.size):
        if not (flux[i] > 0.0 and math.isfinite(x[i]) and math.isfinite(y[i])):
            continue
        radius = _radius(flux[i], width)
        central = flux[i] * (BETA - 1) / math.pi * inverse
        left, right = max(0, math.ceil(x[i] - radius)), min(columns - 1, math.floor(x[i] + radius))
        for row in range(max(0, math.ceil(y[i] - radius)), min(rows - 1, math.floor(y[i] + radius)) + 1):
            across = 1.0 + (row - y[i]) ** 2 * inverse
            scaled = central * row_factor[row]
            for column in range(left, right + 1):
                q = 1.0 / (across + (column - x[i]) ** 2 * inverse)
                q *= q
                image[row, column] += scaled * q * q


@numba.njit(cache=True)
def add_trail(
    image: npt.NDArray[np.float32],
    x: Floats,
    y: Floats,
    seconds: Floats,
    flux: float,
    row_start: Floats,
    exposure_s: float,
    row_factor: Floats,
    width: float,
) -> None:
    """Add an object that moves during the exposure.

    Parameters
    ----------
    image, row_factor, width
        As for `add_stars`.
    x, y, seconds
        The path: 0-based pixels at equidistant times, shape (n,), n > 1.
    flux
        Total flux of the object in one full exposure, electrons.
    row_start
        Start of each row's exposure, on the same time scale as ``seconds``, shape (rows,).
    exposure_s
        Net exposure of a row, seconds.
    """
    rows, columns = image.shape
    inverse = 1.0 / (width * width)
    half = (seconds[1] - seconds[0]) / 2.0
    radius = _radius(flux, width)
    central = flux * (BETA - 1) / math.pi * inverse / exposure_s
    for k in range(x.size):
        left, right = max(0, math.ceil(x[k] - radius)), min(columns - 1, math.floor(x[k] + radius))
        for row in range(max(0, math.ceil(y[k] - radius)), min(rows - 1, math.floor(y[k] + radius)) + 1):
            opened, closed = row_start[row], row_start[row] + exposure_s
            shared = min(seconds[k] + half, closed) - max(seconds[k] - half, opened)
            if shared <= 0.0:
                continue
            across = 1.0 + (row - y[k]) ** 2 * inverse
            scaled = central * shared * row_factor[row]
            for column in range(left, right + 1):
                q = 1.0 / (across + (column - x[k]) ** 2 * inverse)
                q *= q
                image[row, column] += scaled * q * q
