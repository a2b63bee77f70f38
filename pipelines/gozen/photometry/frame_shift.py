"""Measure shift and rotation of each frame against a reference: by centroids, else by cross-correlation."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image
from gozen.photometry.centroids import windowed_centroids
from gozen.photometry.frame_turn import Turn, carried, fit_turn

Floats = NDArray[np.float64]
_MAXIMUM_ANCHORS = 100
_MINIMUM_ANCHORS = 3
_BIN = 4
_STEP_PX = 3
_AGREE_PX = 0.7
_WIDEST_PX = 1.5
"""A star farther from the common shift than this is a wrong match: the seeing moves neighbouring stars by less."""
_ROUNDS = 6
_TRIAL_DEG = (0.3, -0.3, 0.6, -0.6, 0.9, -0.9)
"""Rotations to try. Between two of them, the outermost stars of a field of a few hundred pixels move by less than the
search radius."""


@dataclass(frozen=True)
class Anchors:
    """The stars by which frames are registered.

    Parameters
    ----------
    x, y
        Positions on the reference, 0-based pixels.
    fwhm
        Full width at half maximum of the stars, pixels.
    reference
        The reference image, shape (rows, columns), ADU.
    sky
        Sky of the reference at each star, ADU.
    """

    x: Floats
    y: Floats
    fwhm: float
    reference: Image
    sky: Floats

    @functools.cached_property
    def coarse(self) -> Image:
        """The binned reference image for the cross-correlation; computed on first use, because few frames need it."""
        return _binned(self.reference)


@dataclass(frozen=True)
class Shift:
    """The shift and rotation of a frame against the reference.

    Parameters
    ----------
    dx, dy
        Position on the frame minus position on the reference, at the middle of the image, pixels.
    residual
        Robust standard deviation of the stars about the fit, per axis, pixels; NaN if nothing was fitted.
    stars
        Number of stars in the fit; 0 if the shift is only a guess.
    turn
        Rotation, scale and shear against the reference; None if they are not significant.
    """

    dx: float
    dy: float
    residual: float
    stars: int
    turn: Turn | None = None

    @property
    def measured(self) -> bool:
        """Whether at least three stars agreed on the shift."""
        return self.stars >= _MINIMUM_ANCHORS

    def place(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Convert positions on the reference to positions on the frame, pixels."""
        if self.turn is None:
            return x + self.dx, y + self.dy
        mx, my = self.turn.motion(x, y)
        return x + self.dx + mx, y + self.dy + my

    def back(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Convert positions on the frame to positions on the reference, pixels."""
        x, y = x - self.dx, y - self.dy
        return (x, y) if self.turn is None else self.turn.undone(x, y)

    def onto_frame(self, image: NDArray[Any], fill: Any) -> NDArray[Any]:
        """Resample an image from the reference's pixels to the frame's, by the nearest pixel."""
        return _carried(image, fill, *self.back(*_CORNER))

    def onto_reference(self, image: NDArray[Any], fill: Any) -> NDArray[Any]:
        """Resample an image from the frame's pixels to the reference's, by the nearest pixel."""
        return _carried(image, fill, *self.place(*_CORNER))


UNSHIFTED = Shift(0.0, 0.0, float("nan"), 0)
_CORNER = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
"""x and y of the first pixel and its neighbours along x and y: three points determine a linear transformation."""


def _carried(image: NDArray[Any], fill: Any, x: Floats, y: Floats) -> NDArray[Any]:
    """Resample an image by the nearest pixel, with the linear transformation that maps `_CORNER` to (x, y)."""
    along, up = (x[1] - x[0], y[1] - y[0]), (x[2] - x[0], y[2] - y[0])
    return np.asarray(carried(image, fill, x[0], y[0], along[0] - 1, up[0], along[1], up[1] - 1, 0.0, 0.0))


@dataclass(frozen=True)
class AnchorStars:
    """Stars of the reference from which the anchors are chosen; arrays of shape (stars,).

    Parameters
    ----------
    x, y
        Positions, 0-based pixels.
    flux
        Fluxes; the brightest stars are chosen.
    usable
        False for stars that are saturated or blended.
    fwhm
        Full width at half maximum of the stars, pixels.
    sky
        Sky level to subtract, ADU: one value, or one for each star.
    """

    x: Floats
    y: Floats
    flux: Floats
    usable: NDArray[np.bool_]
    fwhm: float
    sky: Floats | float = 0.0


def choose_anchors(image: Image, stars: AnchorStars, most: int = _MAXIMUM_ANCHORS) -> Anchors:
    """Choose the brightest usable stars, and measure their centroids.

    Parameters
    ----------
    image
        The image against which the shifts of frames are measured, shape (rows, columns).
    most
        Largest number of anchors.
    """
    count = min(most, int(stars.usable.sum()))
    order = np.argsort(np.where(stars.usable, -stars.flux, np.inf), kind="stable")[:count]
    level = np.broadcast_to(np.asarray(stars.sky, float), stars.x.shape)[order]
    cx, cy = windowed_centroids(image, stars.x[order], stars.y[order], stars.fwhm / 2.3548, sky=level)
    kept = np.isfinite(cx)
    return Anchors(cx[kept], cy[kept], stars.fwhm, image, level[kept])


def measure_shift(image: Image, anchors: Anchors, guess: Shift, excess: float = 0.0) -> Shift:
    """Measure the shift and rotation of one frame.

    Parameters
    ----------
    image
        The frame whose shift is measured, shape (rows, columns), ADU.
    guess
        The expected shift, usually the shift of the previous frame.
    excess
        Sky of the frame minus sky of the reference, ADU.

    Returns
    -------
    The shift; if too few stars agree (clouds), the guess with ``stars`` 0.
    """
    near = _by_centroids(image, anchors, guess, excess)
    if near.stars < max(_MINIMUM_ANCHORS, _within(image, anchors, guess) // 2):
        jump = _by_correlation(image, anchors)
        near = max(near, _by_centroids(image, anchors, jump, excess), key=_stars)
        if not near.measured:
            turned = (_turned(start, angle, image) for start in (guess, jump) for angle in _TRIAL_DEG)
            near = max((_by_centroids(image, anchors, one, excess) for one in turned), key=_stars)
    if near.turn is not None and near.turn != guess.turn and near.stars < 0.8 * _within(image, anchors, near):
        # The rotation moved some stars out of the first search: search again near the fitted positions.
        near = max(near, _by_centroids(image, anchors, near, excess), key=_stars)
    return near if near.measured else replace(guess, residual=float("nan"), stars=0)


def _stars(shift: Shift) -> int:
    return shift.stars


def _turned(shift: Shift, angle_deg: float, image: Image) -> Shift:
    """Return a guess with a further rotation about the middle of the image."""
    angle = np.deg2rad(angle_deg)
    cos, sin = float(np.cos(angle)) - 1, float(np.sin(angle))
    old, (x0, y0) = shift.turn, _middle(image)
    xx, xy, yx, yy = (old.xx, old.xy, old.yx, old.yy) if old else (0.0, 0.0, 0.0, 0.0)
    return replace(shift, turn=Turn(xx + cos, xy - sin, yx + sin, yy + cos, x0, y0))


def _middle(image: Image) -> tuple[float, float]:
    rows, columns = image.shape
    return (columns - 1) / 2, (rows - 1) / 2


def _within(image: Image, anchors: Anchors, shift: Shift) -> int:
    """Return how many anchors are on the frame."""
    x, y = shift.place(anchors.x, anchors.y)
    rows, columns = image.shape
    return int(((x >= 0) & (y >= 0) & (x <= columns - 1) & (y <= rows - 1)).sum())


def _by_centroids(image: Image, anchors: Anchors, guess: Shift, excess: float) -> Shift:
    if len(anchors.x) == 0:
        return UNSHIFTED
    x, y = guess.place(anchors.x, anchors.y)
    cx, cy = windowed_centroids(image, x, y, anchors.fwhm / 2.3548, search_px=_STEP_PX, sky=anchors.sky + excess)
    found = np.isfinite(cx) & np.isfinite(cy)
    if found.sum() < _MINIMUM_ANCHORS:
        return UNSHIFTED
    away = (cx - x)[found], (cy - y)[found]
    votes = np.hypot(away[0][:, None] - away[0], away[1][:, None] - away[1]) < _AGREE_PX
    agreeing = votes[int(np.argmax(votes.sum(axis=1)))]
    if agreeing.sum() < _not_by_chance(len(agreeing)):
        return UNSHIFTED
    moved = _MovedStars(anchors.x[found], anchors.y[found], (cx - anchors.x)[found], (cy - anchors.y)[found])
    return _settled(moved, away, agreeing, _middle(image))


@dataclass(frozen=True)
class _MovedStars:
    """Positions of stars on the reference, and their displacement on the frame, pixels."""

    x: Floats
    y: Floats
    dx: Floats
    dy: Floats


def _settled(
    stars: _MovedStars, away: tuple[Floats, Floats], agreeing: NDArray[np.bool_], middle: tuple[float, float]
) -> Shift:
    """Fit shift and rotation to the stars that agree; add stars that agree after the rotation is fitted.

    Parameters
    ----------
    away
        Displacement of the stars from their positions by the guess, pixels.
    """
    x, y, dx, dy = stars.x, stars.y, stars.dx, stars.dy
    rest = away[0] - np.median(away[0][agreeing]), away[1] - np.median(away[1][agreeing])
    kept = agreeing
    for _ in range(_ROUNDS):
        distance = np.hypot(*rest)
        spread = max(1.4826 * float(np.median(distance[kept])), 0.02)
        before, kept = kept, distance < min(3 * spread, _WIDEST_PX)
        sx, sy, turn = fit_turn(x[kept], y[kept], dx[kept], dy[kept], middle)
        if turn is None:
            rest = dx - np.median(dx[kept]), dy - np.median(dy[kept])
            break
        mx, my = turn.motion(x, y)
        rest = dx - sx - mx, dy - sy - my
        if (kept == before).all():
            break
    residual = 1.4826 * float(np.median(np.abs(np.concatenate([rest[0][kept], rest[1][kept]]))))
    return Shift(sx, sy, residual, int(kept.sum()), turn)


def _not_by_chance(count: int) -> int:
    """Return how many of ``count`` centroids must agree for the agreement to be significant.

    If no star is visible, the search ends at a random place in its box, so a few centroids always agree by chance.
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
    """Bin an image and clip its values: unclipped, one bright star or the sky would dominate the correlation."""
    rows, columns = (size // _BIN * _BIN for size in image.shape)
    small = image[:rows, :columns].reshape(rows // _BIN, _BIN, columns // _BIN, _BIN).sum(axis=(1, 3))
    low, middle = np.percentile(small[::3, ::3], (15.865, 50))
    noise = max(float(middle - low), 1e-6)
    return np.asarray(np.clip((small - middle) / noise - 3, 0, 20), np.float32)
