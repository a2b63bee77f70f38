"""Model profiles of trailed stars: Moffat trails to subtract, Gaussian trails to measure with."""

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
"""Length of the parts of a trail, and how far its light is drawn, in FWHM."""
_EXPONENTS = np.concatenate([np.arange(1.6, 6, 0.05), [8.0, 12.0, 30.0]])
_SETTLED_PX, _SLOPE_PX = 1e-3, 0.25
_FWHM_PER_SIGMA, _WINDOW = 2.3548, 1.5


@dataclass(frozen=True)
class Optics:
    """How an object looks on each frame; arrays of shape (frames,) unless said otherwise.

    Parameters
    ----------
    fwhm
        Typical one of the stars, pixels.
    widths
        Of the stars on each frame, pixels.
    table
        Profile of the stars, as of `gozen.movers.trail_profile.moffat_table`.
    motion
        During an exposure, pixels, shape (2,).
    noise
        Of a pixel, ADU.
    e_per_adu
        Inverse gain.
    jitter
        By how much a star's place differs from the frame's shift, pixels.
    """

    fwhm: float
    widths: Floats
    table: Floats
    motion: Floats
    noise: Floats
    e_per_adu: float
    jitter: Floats

    def place_noise(self, flux: Floats) -> Floats:
        """Return the noise that errors of places come from, ADU per pixel, with the photons of the object's own.

        They count where its gradient is, at about half its height.
        """
        per_flux = 1 / (4 * np.pi * self.sigma * np.hypot(self.sigma, self.trail / np.sqrt(12)))
        return np.asarray(np.sqrt(self.noise**2 + np.maximum(flux, 0) * per_flux / self.e_per_adu))

    @property
    def sigma(self) -> float:
        """Width of a star, pixels."""
        return self.fwhm / _FWHM_PER_SIGMA

    @property
    def trail(self) -> float:
        """Length of the motion during an exposure, pixels."""
        return float(np.hypot(*self.motion))


def moffat_of(growth: float, fwhm: float, wide_px: float, narrow_px: float) -> tuple[float, float]:
    """Return exponent and FWHM of the Moffat profile that is as wide, and grows as much between circles, as the stars.

    The flux within a radius is that of Trujillo et al. 2001, MNRAS 328, 977, equation 3. The width of stars is that of
    `gozen.photometry.centroids.star_fwhm` in a window of one and a half times theirs, which is the FWHM of Gaussian
    stars only: the wings of others widen it.

    Parameters
    ----------
    growth
        Flux in the wide circle over that in the narrow one.
    fwhm
        Of the stars as measured, pixels.
    wide_px, narrow_px
        Diameters of the circles.
    """
    true = fwhm / _widened(_EXPONENTS)
    width = true / (2 * np.sqrt(2 ** (1 / _EXPONENTS) - 1))
    wide, narrow = (1 - (1 + (d / 2 / width) ** 2) ** (1 - _EXPONENTS) for d in (wide_px, narrow_px))
    best = int(np.argmin(np.abs(wide / narrow - growth)))
    return float(_EXPONENTS[best]), float(true[best])


def _widened(exponents: Floats) -> Floats:
    """Return by how much Moffat stars look wider than they are in a Gaussian window."""
    radius = np.linspace(0, 6, 301)
    width = 1 / (2 * np.sqrt(2 ** (1 / exponents[:, None]) - 1))
    light = radius * (1 + (radius / width) ** 2) ** -exponents[:, None]
    seen = np.ones(len(exponents))
    # The window is as wide as the star looks, and that hangs on the window.
    for _ in range(8):
        window = (_WINDOW * seen / _FWHM_PER_SIGMA) ** 2
        part = light * np.exp(-(radius**2) / (2 * window[:, None]))
        moment = (part * radius**2).sum(axis=1) / part.sum(axis=1) / 2
        seen = _FWHM_PER_SIGMA * np.sqrt(moment * window / (window - moment))
    return np.asarray(seen)


def moffat_table(exponent: float) -> Floats:
    """Return the profile of a star of unit flux and FWHM against the radius, in steps of 1/64 FWHM."""
    width = 1 / (2 * np.sqrt(2 ** (1 / exponent) - 1))
    radius = np.arange(_REACH_FWHM * _PER_FWHM + 1) / _PER_FWHM
    return np.asarray((exponent - 1) / (np.pi * width**2) * (1 + (radius / width) ** 2) ** -exponent)


@njit(cache=True)
def add_trail(
    out: Any, x: float, y: float, motion: Any, fwhm: float, flux: float, table: Any, fine: bool = True
) -> None:  # pragma: no cover (compiled)
    """Add a star of some flux that moves by ``motion`` (x, y), with (x, y) in the middle, to an image.

    The coarse way leaves out wings below a thousandth of the peak.
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
    """Return the error of a place, per axis, of an object of unit flux on a frame of unit noise, pixels.

    The place is that of the best Gaussian trail, but the object is a Moffat one.
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
    """Return the place of the Gaussian trail that matches an image best, NaN where the search leaves the image.

    Without motion that is the Gaussian-windowed centroid, which the positions of the stars are, too. The flux is what
    is expected; a single step is linear in the image, so that noise of any size averages out.
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
    """Return the flux of a trail at a place, weighted by its own light."""
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
    """Fill in the profile of unit flux and its derivatives by place."""
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
