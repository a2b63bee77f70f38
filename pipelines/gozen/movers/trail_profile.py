"""Model profiles of trailed stars: Moffat trails for subtraction, Gaussian trails for positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_PER_FWHM = 64
_REACH_FWHM = 6
_FINE, _COARSE = (0.15, 6.0), (0.3, 2.5)
"""Step along a trail, and radius of the drawn profile, in FWHM."""
_EXPONENTS = np.concatenate([np.arange(1.6, 6, 0.05), [8.0, 12.0, 30.0]])
_SETTLED_PX, _SLOPE_PX = 1e-3, 0.25
_FWHM_PER_SIGMA, _WINDOW = 2.3548, 1.5


@dataclass(frozen=True)
class Optics:
    """The model of an object's image on each frame; arrays of shape (frames,) unless noted otherwise.

    Parameters
    ----------
    fwhm
        Typical full width at half maximum of the stars, pixels.
    widths
        FWHM of the stars' Moffat profile on each frame, pixels.
    table
        Radial profile of the stars from `gozen.movers.trail_profile.moffat_table`.
    motion
        Motion during an exposure along x and y, pixels, shape (2,).
    noise
        Noise of one pixel on each frame, ADU.
    e_per_adu
        Electrons per ADU.
    jitter
        Scatter of the stars' positions about the frame's shift, pixels.
    """

    fwhm: float
    widths: Floats
    table: Floats
    motion: Floats
    noise: Floats
    e_per_adu: float
    jitter: Floats

    def place_noise(self, flux: Floats) -> Floats:
        """Return the noise for position errors, including the object's photon noise, ADU per pixel.

        The photon noise is that at half of the object's peak, because the gradient there determines the position.
        """
        per_flux = 1 / (4 * np.pi * self.sigma * np.hypot(self.sigma, self.trail / np.sqrt(12)))
        return np.asarray(np.sqrt(self.noise**2 + np.maximum(flux, 0) * per_flux / self.e_per_adu))

    @property
    def sigma(self) -> float:
        """Standard deviation of a Gaussian star, pixels."""
        return self.fwhm / _FWHM_PER_SIGMA

    @property
    def trail(self) -> float:
        """Length of the trail during an exposure, pixels."""
        return float(np.hypot(*self.motion))


def moffat_of(growth: float, fwhm: float, wide_px: float, narrow_px: float) -> tuple[float, float]:
    """Return exponent and FWHM of the Moffat profile that matches the stars' measured width and growth.

    The flux within a radius follows Trujillo et al. 2001, MNRAS 328, 977, equation 3. The measured width is the result
    of `gozen.photometry.centroids.star_fwhm` with a window of 1.5 times the stars' width. It equals the FWHM only for
    Gaussian stars; the wings of a Moffat profile increase it, which is corrected here.

    Parameters
    ----------
    growth
        Ratio of a star's flux in the wide circle to that in the narrow one.
    fwhm
        Measured FWHM of the stars, pixels.
    wide_px, narrow_px
        Diameters of the circles, pixels.
    """
    true = fwhm / _widened(_EXPONENTS)
    width = true / (2 * np.sqrt(2 ** (1 / _EXPONENTS) - 1))
    wide, narrow = (1 - (1 + (d / 2 / width) ** 2) ** (1 - _EXPONENTS) for d in (wide_px, narrow_px))
    best = int(np.argmin(np.abs(wide / narrow - growth)))
    return float(_EXPONENTS[best]), float(true[best])


def _widened(exponents: Floats) -> Floats:
    """Return the ratio of the FWHM measured in a Gaussian window to the true FWHM, for Moffat stars."""
    radius = np.linspace(0, 6, 301)
    width = 1 / (2 * np.sqrt(2 ** (1 / exponents[:, None]) - 1))
    light = radius * (1 + (radius / width) ** 2) ** -exponents[:, None]
    seen = np.ones(len(exponents))
    # The window's width depends on the measured width, and that on the window: iterate.
    for _ in range(8):
        window = (_WINDOW * seen / _FWHM_PER_SIGMA) ** 2
        part = light * np.exp(-(radius**2) / (2 * window[:, None]))
        moment = (part * radius**2).sum(axis=1) / part.sum(axis=1) / 2
        seen = _FWHM_PER_SIGMA * np.sqrt(moment * window / (window - moment))
    return np.asarray(seen)


def moffat_table(exponent: float) -> Floats:
    """Return the radial profile of a star of unit flux and unit FWHM, in steps of 1/64 FWHM."""
    width = 1 / (2 * np.sqrt(2 ** (1 / exponent) - 1))
    radius = np.arange(_REACH_FWHM * _PER_FWHM + 1) / _PER_FWHM
    return np.asarray((exponent - 1) / (np.pi * width**2) * (1 + (radius / width) ** 2) ** -exponent)


@njit(cache=True)
def add_trail(
    out: Any, x: float, y: float, motion: Any, fwhm: float, flux: float, table: Any, fine: bool = True
) -> None:  # pragma: no cover (compiled)
    """Add a star that moves by ``motion``, with (x, y) in the middle of its trail, to an image.

    If not ``fine``, the wings beyond 2.5 FWHM are left out.
    """
    part_fwhm, reach = _FINE if fine else _COARSE
    parts = 1 + int(np.hypot(motion[0], motion[1]) / (part_fwhm * fwhm))
    scale, height = _PER_FWHM / fwhm, flux / (parts * fwhm * fwhm)
    rows, columns = out.shape
    for part in range(parts):
        share = (part + 0.5) / parts - 0.5
        cx, cy = x + share * motion[0], y + share * motion[1]
        r0, r1 = max(int(cy - reach * fwhm), 0), min(int(cy + reach * fwhm) + 2, rows)
        c0, c1 = max(int(cx - reach * fwhm), 0), min(int(cx + reach * fwhm) + 2, columns)
        for r in range(r0, r1):
            for c in range(c0, c1):
                place = np.sqrt((c - cx) ** 2 + (r - cy) ** 2) * scale
                k = int(place)
                if k < len(table) - 1:
                    out[r, c] += height * (table[k] + (place - k) * (table[k + 1] - table[k]))


def place_error(optics: Optics) -> float:
    """Return the standard error of a position, per axis, for unit flux and unit noise per pixel, pixels.

    The position is measured by fitting a Gaussian trail; the object is a Moffat trail.
    """
    half = int(3 * optics.fwhm + optics.trail / 2) + 1
    kernel = np.empty((3, 2 * half + 1, 2 * half + 1))
    _gaussian_trail(kernel, float(half), float(half), optics.motion, optics.sigma)
    variance, width = 0.0, float(np.median(optics.widths))
    for axis in (0, 1):
        ends = np.zeros((2, *kernel.shape[1:]))
        for end, step in zip(ends, (-_SLOPE_PX, _SLOPE_PX), strict=True):
            place = [half + step * (axis == one) for one in (0, 1)]
            add_trail(end, place[0], place[1], optics.motion, width, 1.0, optics.table)
        slope = (ends[1] - ends[0]) / (2 * _SLOPE_PX)
        variance += float((kernel[1 + axis] ** 2).sum() / (kernel[1 + axis] * slope).sum() ** 2) / 2
    return float(np.sqrt(variance))


@njit(cache=True)
def fit_trail(
    image: Any, x: float, y: float, motion: Any, sigma: float, flux: float, steps: int
) -> Any:  # pragma: no cover (compiled)
    """Return x and y of the Gaussian trail that best fits an image; NaN if the search leaves the image.

    Without motion this is the Gaussian-windowed centroid, as for the positions of stars. ``flux`` is the expected
    flux. With a single step the result is linear in the image, so noise of any amplitude averages out.
    """
    side = len(image)
    kernel = np.empty((3, side, side))
    begin_x, begin_y = x, y
    for _ in range(steps):
        _gaussian_trail(kernel, x, y, motion, sigma)
        gg, xx, yy, xy, gi, xi, yi = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for r in range(side):
            for c in range(side):
                g, kx, ky, value = kernel[0, r, c], kernel[1, r, c], kernel[2, r, c], image[r, c]
                gg += g * g
                xx += kx * kx
                yy += ky * ky
                xy += kx * ky
                gi += g * value
                xi += kx * value
                yi += ky * value
        height = flux if steps == 1 else max(gi / gg, flux / 2)
        scale = height * (xx * yy - xy * xy)
        if not scale > 0:
            return np.nan, np.nan
        dx, dy = (yy * xi - xy * yi) / scale, (xx * yi - xy * xi) / scale
        if steps == 1:
            return x + dx, y + dy
        x, y = x + min(max(dx, -sigma), sigma), y + min(max(dy, -sigma), sigma)
        if abs(x - begin_x) > side / 2 or abs(y - begin_y) > side / 2:
            break
        if abs(dx) < _SETTLED_PX and abs(dy) < _SETTLED_PX:
            return x, y
    return np.nan, np.nan


@njit(cache=True)
def trail_flux(
    image: Any, x: float, y: float, motion: Any, fwhm: float, table: Any
) -> float:  # pragma: no cover (compiled)
    """Return the flux of a trail at a position by a least-squares fit of its profile."""
    side = len(image)
    model = np.zeros((side, side))
    add_trail(model, x, y, motion, fwhm, 1.0, table)
    light, square = 0.0, 0.0
    for r in range(side):
        for c in range(side):
            light += model[r, c] * image[r, c]
            square += model[r, c] * model[r, c]
    return light / square


@njit(cache=True)
def _gaussian_trail(out: Any, x: float, y: float, motion: Any, sigma: float) -> None:  # pragma: no cover (compiled)
    """Write the profile of unit flux and its derivatives by x and y into ``out``, shape (3, side, side)."""
    side = out.shape[1]
    out[:] = 0
    parts = 1 + int(np.hypot(motion[0], motion[1]) / (0.5 * sigma))
    height = 1 / (parts * 2 * np.pi * sigma * sigma)
    across, down = np.empty(side), np.empty(side)
    for part in range(parts):
        share = (part + 0.5) / parts - 0.5
        cx, cy = x + share * motion[0], y + share * motion[1]
        for k in range(side):
            across[k] = np.exp(-((k - cx) ** 2) / (2 * sigma * sigma))
            down[k] = height * np.exp(-((k - cy) ** 2) / (2 * sigma * sigma))
        for r in range(side):
            for c in range(side):
                value = down[r] * across[c]
                out[0, r, c] += value
                out[1, r, c] += value * (c - cx) / (sigma * sigma)
                out[2, r, c] += value * (r - cy) / (sigma * sigma)
