"""Refine a WCS with all reference stars: clipped fit, with SIP distortion only if cross-validation supports it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gozen.astrometry.hinted import FieldStars, least_squares, pair
from gozen.astrometry.solution import Solution, powers, with_inverse
from gozen.astrometry.tangent_plane import Projection, to_plane

Floats = NDArray[np.float64]
_FIRST_TOLERANCE_PX = 5.0
_STARS_PER_TERM = 4
_REACH_PX = 20.0
_FOLDS = 5
_GAIN = 0.97
"""A higher order must lower the cross-validated residual by 3 %, or it only follows the noise."""


def refine(
    first: Projection, stars: FieldStars, shape: tuple[int, int], highest_order: int, method: Literal["hint", "blind"]
) -> Solution | None:
    """Fit the WCS to all pairs of detections and reference stars.

    Parameters
    ----------
    first
        Approximate projection, with errors of a few pixels at most.
    shape
        Rows and columns of the image.
    highest_order
        Highest order of the distortion that is tried; 1 means no distortion.

    Returns
    -------
    The solution, or None if fewer than four stars can be paired.
    """
    centre = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    ra0, dec0 = (float(value[0]) for value in first.sky(np.array([centre[0]]), np.array([centre[1]])))
    current = _linear_about(first, ra0, dec0, centre, method)
    stars = _near_detections(current, stars)
    tolerance = _FIRST_TOLERANCE_PX
    for order in range(1, highest_order + 1):
        better = _iterate(current, stars, order, tolerance)
        if better is None:
            break
        # Do not stop at an order that gains nothing: the distortion of most optics is odd, so the third may still gain.
        if order == 1 or _worth_it(current, better, stars):
            current, tolerance = better, max(4 * better.rms_px, 0.8)
    return with_inverse(current, shape) if current.stars >= 4 else None


def _linear_about(
    first: Projection, ra0: float, dec0: float, centre: tuple[float, float], method: Literal["hint", "blind"]
) -> Solution:
    """Convert a projection to one whose point of contact is the middle of the image."""
    x = centre[0] + np.array([-100.0, 100.0, 0.0, 0.0])
    y = centre[1] + np.array([0.0, 0.0, -100.0, 100.0])
    xi, eta = to_plane(*first.sky(x, y), ra0, dec0)
    matrix = np.array([[xi[1] - xi[0], xi[3] - xi[2]], [eta[1] - eta[0], eta[3] - eta[2]]]) / 200
    none = np.zeros(0)
    linear = Projection(ra0, dec0, centre[0], centre[1], matrix)
    return Solution(linear, 1, none, none, none, none, np.inf, np.inf, 0, method)


def _iterate(start: Solution, stars: FieldStars, order: int, tolerance: float) -> Solution | None:
    current = start
    for _ in range(5):
        source, star = _pairs(current, stars, tolerance)
        if len(source) < max(4, _STARS_PER_TERM * (len(powers(order)) + 3) if order > 1 else 4):
            return None
        found = _fit(current, stars, source, star, order)
        tolerance = min(tolerance, max(4 * found.rms_px, 0.5))
        if abs(found.rms_px - current.rms_px) < 1e-5 and found.stars == current.stars:
            return found
        current = found
    return current


def _near_detections(start: Solution, stars: FieldStars) -> FieldStars:
    """Return only the stars near a detection, because each later step projects all stars of a deep catalogue again."""
    x, y = start.pixel(stars.ra, stars.dec)
    low = np.array([[stars.x.min()], [stars.y.min()]]) - _REACH_PX
    high = np.array([[stars.x.max()], [stars.y.max()]]) + _REACH_PX
    place = np.stack([x, y])
    on_field = np.flatnonzero(((place > low) & (place < high)).all(axis=0))
    distance, _ = stars.detections.query(place[:, on_field].T, distance_upper_bound=_REACH_PX)
    kept = on_field[np.isfinite(distance)]
    return FieldStars(stars.x, stars.y, stars.ra[kept], stars.dec[kept])


def _pairs(solution: Solution, stars: FieldStars, tolerance: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return pair(stars.detections, *solution.pixel(stars.ra, stars.dec), tolerance)


def _fit(
    start: Solution,
    stars: FieldStars,
    source: NDArray[np.intp],
    star: NDArray[np.intp],
    order: int,
) -> Solution:
    """Fit plane coordinates by a polynomial in pixels, clipped at 3.5 robust sigma, and convert it to SIP."""
    linear = start.linear
    u, v = stars.x[source] - linear.x, stars.y[source] - linear.y
    target = np.column_stack(to_plane(stars.ra[star], stars.dec[star], linear.ra, linear.dec))
    kept = np.ones(len(u), bool)
    design, size = _design(u, v, order)
    scale = linear.scale_arcsec / 3600
    for _ in range(4):
        fit = least_squares(design[kept], target[kept])
        rest = (design @ fit - target) / scale
        away = np.hypot(rest[:, 0], rest[:, 1])
        # Distances follow a Rayleigh distribution, whose median is 1.177 sigma.
        kept = away < max(3.5 * float(np.median(away[kept])) / 1.177, 0.02)
    rms = float(np.sqrt((rest[kept] ** 2).mean()))
    return _as_solution(start, fit / size[:, None], order, rms, int(kept.sum()))


def _design(u: Floats, v: Floats, order: int) -> tuple[Floats, Floats]:
    columns = [np.ones_like(u), u, v, *(u**p * v**q for p, q in powers(order))]
    design = np.column_stack(columns)
    size = np.abs(design).max(axis=0)
    return design / size, size


def _as_solution(start: Solution, fit: Floats, order: int, rms: float, stars: int) -> Solution:
    """Convert the fit, plane = c + M (u, v) + higher terms, to a reference position, a matrix and SIP coefficients."""
    matrix = np.ascontiguousarray(fit[1:3].T)
    # The constant c shifts the reference position on the sky, so the reference pixel remains the middle of the image.
    linear = Projection(start.linear.ra, start.linear.dec, start.linear.x, start.linear.y, matrix)
    offset = np.linalg.solve(matrix, fit[0])
    ra, dec = linear.sky(np.array([linear.x + offset[0]]), np.array([linear.y + offset[1]]))
    linear = Projection(float(ra[0]), float(dec[0]), linear.x, linear.y, matrix)
    none = np.zeros(0)
    a, b = np.linalg.solve(matrix, fit[3:].T) if order > 1 else (none, none)
    return Solution(linear, order, a, b, none, none, rms, rms * linear.scale_arcsec, stars, start.method)


def _worth_it(simple: Solution, rich: Solution, stars: FieldStars) -> bool:
    """Return whether the solution with more terms is better at predicting stars that were not used in the fit.

    Five-fold cross-validation: both fits are made without a fifth of the stars, and then compared with these stars.
    """
    source, star = _pairs(rich, stars, max(4 * rich.rms_px, 0.8))
    linear = rich.linear
    u, v = stars.x[source] - linear.x, stars.y[source] - linear.y
    target = np.column_stack(to_plane(stars.ra[star], stars.dec[star], linear.ra, linear.dec))
    fold = np.arange(len(source)) % _FOLDS
    plain, curved = (_unseen(_design(u, v, order)[0], target, fold) for order in (simple.order, rich.order))
    return curved < _GAIN * plain


def _unseen(design: Floats, target: Floats, fold: NDArray[np.intp]) -> float:
    """Return the median distance of stars from fits in which they were not used, degrees."""
    rest = []
    for number in range(_FOLDS):
        out = fold == number
        rest.append(design[out] @ least_squares(design[~out], target[~out]) - target[out])
    return float(np.median(np.hypot(*np.concatenate(rest).T)))
