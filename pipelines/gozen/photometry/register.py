"""The shift of each frame against a reference: by the centroids of bright stars, else by correlation."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate import Image
from gozen.photometry.centroid import windowed_centroids

Floats = NDArray[np.float64]
_MAXIMUM_ANCHORS = 100
_MINIMUM_ANCHORS = 3
_BIN = 4
_STEP_PX = 3
_AGREE_PX = 0.7
_WIDEST_PX = 1.5
"""Stars that stand farther from the common shift are others; seeing moves neighbours by less."""


@dataclass(frozen=True)
class Anchors:
    """The stars by which frames are registered.

    Parameters
    ----------
    x, y
        Their places on the reference, 0-based pixels.
    fwhm
        Of the stars, pixels.
    reference
        The image that they stand on.
    sky
        Of the reference at each star, ADU.
    """

    x: Floats
    y: Floats
    fwhm: float
    reference: Image
    sky: Floats

    @functools.cached_property
    def coarse(self) -> Image:
        """The reference, binned, for the correlation, which few cubes need."""
        return _binned(self.reference)


@dataclass(frozen=True)
class Shift:
    """Where a frame's stars stand against the reference.

    Parameters
    ----------
    dx, dy
        Frame minus reference, pixels.
    residual
        Robust deviation of the stars about the shift, pixels; NaN where there is none.
    stars
        How many stars the shift rests on; 0 means that it is only a guess.
    """

    dx: float
    dy: float
    residual: float
    stars: int

    @property
    def measured(self) -> bool:
        """Whether enough stars agreed."""
        return self.stars >= _MINIMUM_ANCHORS


UNSHIFTED = Shift(0.0, 0.0, float("nan"), 0)


def choose_anchors(
    image: Image,
    x: Floats,
    y: Floats,
    flux: Floats,
    usable: NDArray[np.bool_],
    fwhm: float,
    sky: Floats | float = 0.0,
    most: int = _MAXIMUM_ANCHORS,
) -> Anchors:
    """Choose the brightest usable stars that have no neighbour, and measure their places.

    Parameters
    ----------
    image
        The reference.
    usable
        False for stars that are saturated or blended.
    sky
        To subtract, at each star or everywhere.
    most
        How many at most.
    """
    order = np.argsort(np.where(usable, -flux, np.inf), kind="stable")[: min(most, int(usable.sum()))]
    level = np.broadcast_to(np.asarray(sky, float), x.shape)[order]
    cx, cy = windowed_centroids(image, x[order], y[order], fwhm / 2.3548, sky=level)
    kept = np.isfinite(cx)
    return Anchors(cx[kept], cy[kept], fwhm, image, level[kept])


def measure_shift(image: Image, anchors: Anchors, guess: Shift, excess: float = 0.0) -> Shift:
    """Measure the shift of one frame.

    Parameters
    ----------
    image
        The frame.
    guess
        The shift of the frame before it.
    excess
        What the frame's sky has more than that of the reference, ADU.

    Returns
    -------
    The shift; where too few stars agree (clouds), the guess with no stars to its name.
    """
    near = _by_centroids(image, anchors, guess, excess)
    if near.stars >= max(_MINIMUM_ANCHORS, len(anchors.x) // 2):
        return near
    far = _by_centroids(image, anchors, _by_correlation(image, anchors), excess)
    best = max(near, far, key=lambda shift: shift.stars)
    return best if best.measured else Shift(guess.dx, guess.dy, float("nan"), 0)


def _by_centroids(image: Image, anchors: Anchors, guess: Shift, excess: float) -> Shift:
    if len(anchors.x) == 0:
        return UNSHIFTED
    x, y, sigma = anchors.x + guess.dx, anchors.y + guess.dy, anchors.fwhm / 2.3548
    cx, cy = windowed_centroids(image, x, y, sigma, search_px=_STEP_PX, sky=anchors.sky + excess)
    found = np.isfinite(cx) & np.isfinite(cy)
    dx, dy = (cx - anchors.x)[found], (cy - anchors.y)[found]
    if found.sum() < _MINIMUM_ANCHORS:
        return UNSHIFTED
    votes = np.hypot(dx[:, None] - dx, dy[:, None] - dy) < _AGREE_PX
    agreeing = votes[int(np.argmax(votes.sum(axis=1)))]
    if agreeing.sum() < _not_by_chance(len(dx)):
        return UNSHIFTED
    mx, my = np.median(dx[agreeing]), np.median(dy[agreeing])
    away = np.hypot(dx - mx, dy - my)
    spread = max(1.4826 * float(np.median(away[agreeing])), 0.02)
    kept = away < min(3 * spread, _WIDEST_PX)
    residual = 1.4826 * float(np.median(np.abs(np.concatenate([dx[kept] - mx, dy[kept] - my]))))
    return Shift(float(dx[kept].mean()), float(dy[kept].mean()), residual, int(kept.sum()))


def _not_by_chance(count: int) -> int:
    """Return how many of so many centroids must agree to be stars.

    Where there is no star, the search ends anywhere in its box, so that some always agree.
    """
    chance = count * np.pi * _AGREE_PX**2 / (2 * _STEP_PX + 1) ** 2
    return max(_MINIMUM_ANCHORS, int(np.ceil(chance + 6 * np.sqrt(chance))))


def _by_correlation(image: Image, anchors: Anchors) -> Shift:
    """Find a large shift by the peak of the cross-correlation of the binned images."""
    frame = _binned(image)
    spectrum = np.fft.rfft2(frame) * np.conj(np.fft.rfft2(anchors.coarse))
    correlation = np.fft.irfft2(spectrum, s=frame.shape)
    row, column = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    rows, columns = frame.shape
    dy = row - rows if row > rows // 2 else row
    dx = column - columns if column > columns // 2 else column
    return Shift(float(dx * _BIN), float(dy * _BIN), float("nan"), 0)


def _binned(image: Image) -> Image:
    """Bin an image and limit it, so that neither one bright star nor the sky decides the correlation."""
    rows, columns = (size // _BIN * _BIN for size in image.shape)
    small = image[:rows, :columns].reshape(rows // _BIN, _BIN, columns // _BIN, _BIN).sum(axis=(1, 3))
    low, middle = np.percentile(small[::3, ::3], (15.865, 50))
    noise = max(float(middle - low), 1e-6)
    return np.asarray(np.clip((small - middle) / noise - 3, 0, 20), np.float32)
