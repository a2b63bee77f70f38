"""Places and fluxes of a moving object on every frame, against a template made of the frames without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate import Image, Mask
from gozen.movers.tracklets import Line
from gozen.photometry.aperture import aperture_sums
from gozen.photometry.centroid import windowed_centroids
from gozen.photometry.detect import Sources
from gozen.photometry.register import Shift
from gozen.photometry.sky import FrameSky

Floats = NDArray[np.float64]
_FWHM_PER_SIGMA = 2.3548
_AWAY_FWHM = (2.5, 1.5)
"""How far off an object must be for a frame to show the sky without it: well clear, else hardly overlapping."""
_FEWEST = 3
_RADIUS_FWHM = 0.9
_LEAST_SNR = 3.0
_BRIGHT, _STARS, _FEWEST_STARS = 30.0, 100, 5


@dataclass(frozen=True)
class Scene:
    """The frames of a cube as movers are measured on them; lists have one entry for each frame.

    Parameters
    ----------
    images
        Calibrated frames, ADU.
    background
        Map of the stack's sky, ADU.
    skies
        What each frame's sky has above that; None for a frame that is not measured.
    light
        The stars' light over that on the stack.
    stack
        The stack minus its background, ADU.
    growth
        Flux of a star in the calibrated aperture over that in the movers' aperture, on each frame.
    e_per_adu
        Inverse gain.
    exposure
        Of a frame, in the unit of the frames' times.
    """

    images: Image
    background: Image
    skies: list[FrameSky | None]
    masks: Mask
    shifts: list[Shift]
    light: list[float]
    stack: Image
    fwhm: float
    growth: list[float]
    e_per_adu: float
    exposure: float

    def noise_of(self, index: int) -> float:
        """Return the noise of one pixel of a frame, ADU."""
        sky = self.skies[index]
        assert sky is not None
        return sky.noise

    @staticmethod
    def diameter_of(fwhm: float) -> float:
        """Return the diameter of the aperture that movers are measured with, pixels."""
        return 2 * _RADIUS_FWHM * fwhm


@dataclass(frozen=True)
class Track:
    """One object on the frames where it is seen; arrays of shape (points,), the film of shape (frames, side, side).

    Parameters
    ----------
    frame
        Numbers of the frames.
    x, y
        Windowed centroids on the frame, 0-based pixels.
    error_px
        Of the place, per axis.
    flux, flux_err
        In the calibrated aperture, ADU.
    linked
        Whether the point was found by itself; else the others said where to look.
    film
        Cutouts of the frames minus the template about the line, ADU.
    line
        What the points were linked by.
    """

    frame: NDArray[np.int64]
    x: Floats
    y: Floats
    error_px: Floats
    flux: Floats
    flux_err: Floats
    linked: NDArray[np.bool_]
    film: Image
    line: Line


def aperture_growth(
    image: Image, mask: Mask, sources: Sources, shift: Shift, sky: FrameSky, wide_px: float, narrow_px: float
) -> float:
    """Return by how much a star's flux grows from a narrow to a wide aperture on a frame; NaN where few are bright.

    It is the median of bright stars that are not merged, and follows the seeing of the frame.
    """
    strong = np.flatnonzero(~sources.merged & (sources.flux > _BRIGHT * sources.noise * wide_px))
    strong = strong[np.argsort(-sources.flux[strong], kind="stable")[:_STARS]]
    x, y = sources.x[strong] + shift.dx, sources.y[strong] + shift.dy
    level = sources.background[strong] + sky.at(x, y)
    wide, narrow = (aperture_sums(image, mask, x, y, diameter) for diameter in (wide_px, narrow_px))
    good = ~(wide.edge | wide.saturated | wide.dead) & (narrow.flux > level * narrow.area)
    if good.sum() < _FEWEST_STARS:
        return float("nan")
    ratio = (wide.flux - level * wide.area)[good] / (narrow.flux - level * narrow.area)[good]
    return max(float(np.median(ratio)), 1.0)


def follow(line: Line, linked: set[int], times: Floats, good: list[int], scene: Scene) -> Track:
    """Measure an object on every good frame that its line crosses.

    Parameters
    ----------
    line
        In the frame of the stack.
    linked
        Numbers of the frames on which it was found by itself.
    times
        Of each frame, in the unit of the line.
    good
        Numbers of the frames that passed the gates.
    """
    since = np.asarray(times) - line.time
    px, py = line.x + line.rate_x * since, line.y + line.rate_y * since
    motion = line.rate_x * scene.exposure, line.rate_y * scene.exposure
    side = 2 * int(np.ceil(max(4 * scene.fwhm, 10) + float(np.hypot(*motion)))) + 1
    film = np.full((len(times), side, side), np.nan, np.float32)
    rows: list[tuple[float, ...]] = []
    for index in good:
        shift = scene.shifts[index]
        if not shift.measured:
            continue
        cut, spoiled, corner = _without_stars(index, px, py, good, scene, side)
        film[index] = cut
        if spoiled:
            continue
        expected = px[index] + shift.dx - corner[0], py[index] + shift.dy - corner[1]
        row = _point(cut, expected, index in linked, scene, index, motion)
        if row is not None:
            rows.append((index, row[0] + corner[0], row[1] + corner[1], *row[2:]))
    columns = np.array(rows, float).reshape(-1, 6)
    frame = columns[:, 0].astype(np.int64)
    found = np.array([int(index) in linked for index in frame], np.bool_)
    x, y, error, flux, flux_err = columns[:, 1:].T
    return Track(frame, x, y, error, flux, flux_err, found, film, line)


def _point(
    cut: Image, expected: tuple[float, float], linked: bool, scene: Scene, index: int, motion: tuple[float, float]
) -> tuple[float, float, float, float, float] | None:
    """Return place, its error, flux and its error on a cutout, or None where nothing is seen."""
    trail = float(np.hypot(*motion))
    # A short trail is a line as long as the motion during the exposure, as wide as a star.
    sigma = float(np.hypot(scene.fwhm / _FWHM_PER_SIGMA, trail / np.sqrt(12)))
    filled = np.nan_to_num(cut)
    search = 2 if linked and trail < scene.fwhm else 0
    x, y = windowed_centroids(filled, np.array([expected[0]]), np.array([expected[1]]), sigma, search)
    away = np.hypot(x[0] - expected[0], y[0] - expected[1])
    if not away < max(scene.fwhm, 2.0, trail / 2):
        return None
    narrow = Scene.diameter_of(scene.fwhm)
    weight = _capsule(cut.shape, float(x[0]), float(y[0]), narrow / 2, motion)
    if np.isnan(cut[weight > 0]).any():
        return None
    flux, area = float((weight * filled).sum()), float(weight.sum())
    error = float(np.sqrt(scene.noise_of(index) ** 2 * area + max(flux, 0.0) / scene.e_per_adu))
    if flux < _LEAST_SNR * error:
        return None
    # The centroid of a faint star whose width is that of its window (King 1983, PASP 95, 163).
    place = float(np.hypot(1.2 * sigma * error / flux, 0.03))
    growth = 1 + (scene.growth[index] - 1) * narrow / (narrow + trail)
    return float(x[0]), float(y[0]), place, flux * growth, error * growth


def _capsule(shape: tuple[int, ...], x: float, y: float, radius: float, motion: tuple[float, float]) -> Floats:
    """Return the part of each pixel that lies within a radius of a trail whose middle is at (x, y)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    length = float(np.hypot(*motion))
    ux, uy = (motion[0] / length, motion[1] / length) if length > 0 else (1.0, 0.0)
    along, across = (columns - x) * ux + (rows - y) * uy, (rows - y) * ux - (columns - x) * uy
    distance = np.hypot(np.maximum(np.abs(along) - length / 2, 0), across)
    return np.asarray(np.clip(radius - distance + 0.5, 0, 1))


def _without_stars(
    index: int, px: Floats, py: Floats, good: list[int], scene: Scene, side: int
) -> tuple[Image, bool, tuple[int, int]]:
    """Cut out a frame about an object and take off what stands there when the object is elsewhere."""
    half = side // 2
    column, row = round(px[index]), round(py[index])
    distance = np.hypot(px - px[index], py - py[index])
    seen = [k for k in good if scene.shifts[k].measured]
    away: list[int] = []
    for reach in _AWAY_FWHM:
        away = away if len(away) >= _FEWEST else [k for k in seen if distance[k] > reach * scene.fwhm]
    cut, mask = _window(index, column, row, half, scene)
    spoiled = len(away) < _FEWEST
    template = _cutout(scene.stack, column, row, half)
    if not spoiled:
        others = [_window(k, column, row, half, scene)[0] / max(scene.light[k], 0.1) for k in away]
        template = np.median(np.stack(others), axis=0)
    corner = column + round(scene.shifts[index].dx) - half, row + round(scene.shifts[index].dy) - half
    core = mask[half - 1 : half + 2, half - 1 : half + 2]
    return (
        (cut - np.float32(scene.light[index]) * template).astype(np.float32),
        spoiled or bool((core != 0).any()),
        corner,
    )


def _window(index: int, column: int, row: int, half: int, scene: Scene) -> tuple[Image, NDArray[np.float32]]:
    shift, sky = scene.shifts[index], scene.skies[index]
    assert sky is not None
    x, y = column + round(shift.dx), row + round(shift.dy)
    excess = np.float32(sky.at(np.array([float(x)]), np.array([float(y)]))[0])
    cut = _cutout(scene.images[index], x, y, half) - _cutout(scene.background, column, row, half) - excess
    return cut, _cutout(scene.masks[index], x, y, half)


def _cutout(image: NDArray[np.float32] | Mask, column: int, row: int, half: int) -> NDArray[np.float32]:
    """Return a square about a pixel, NaN beyond the image."""
    side = 2 * half + 1
    out = np.full((side, side), np.nan, np.float32)
    rows, columns = image.shape
    top, left = row - half, column - half
    r0, r1, c0, c1 = max(top, 0), min(top + side, rows), max(left, 0), min(left + side, columns)
    if r0 < r1 and c0 < c1:
        out[r0 - top : r1 - top, c0 - left : c1 - left] = image[r0:r1, c0:c1]
    return out
