"""Measure position and flux of a moving object on every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image, Mask
from gozen.movers.link_tracklets import Line
from gozen.movers.overlap import Overlap
from gozen.movers.stamps import Stamps, which_others
from gozen.movers.straight_path import StraightPath, fit_frames, settle
from gozen.movers.trail_profile import Optics, add_trail, moffat_table
from gozen.photometry.aperture_sums import aperture_sums
from gozen.photometry.detect_sources import Sources
from gozen.photometry.frame_shift import Shift
from gozen.photometry.placed_frame import PlacedFrame
from gozen.photometry.sky_background import FrameSky

Floats = NDArray[np.float64]
_RADIUS_FWHM = 0.9
_WINDOW_FWHM = 1.3
_LEAST_SNR, _ABSENT_SIGMA, _VARIES = 3.0, 5.0, 0.1
_DIMMEST = 0.1
_SEARCH_STEPS = 32
_NONLINEAR = 1.0
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
    fwhm, widths
        Of the stars as measured, which apertures follow, and of their profile on each frame, pixels.
    exponent
        Of the Moffat profile of the stars.
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
    fwhm: float
    widths: list[float]
    exponent: float
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
    rate_excess
        Error of the rate over that of points whose errors are independent; those of a slow object are not, because
        what of its light is taken for sky is so on all frames.
    film
        Cutouts of the frames about the line, minus the sky without the object, ADU.
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
    rate_excess: float
    film: Image
    line: Line


def aperture_growth(frame: PlacedFrame, sources: Sources, wide_px: float, narrow_px: float) -> float:
    """Return a star's flux in a wide aperture (the calibrated) over that in a narrow one (the movers'); NaN if unknown.

    It is the median of bright stars that are not merged, and follows the seeing of the frame.
    """
    strong = np.flatnonzero(~sources.merged & (sources.flux > _BRIGHT * sources.noise * wide_px))
    strong = strong[np.argsort(-sources.flux[strong], kind="stable")[:_STARS]]
    x, y = frame.shift.place(sources.x[strong], sources.y[strong])
    level = sources.background[strong] + frame.sky.at(x, y)
    wide, narrow = (aperture_sums(frame.image, frame.mask, x, y, diameter) for diameter in (wide_px, narrow_px))
    good = ~(wide.edge | wide.saturated | wide.dead) & (narrow.flux > level * narrow.area)
    if good.sum() < _FEWEST_STARS:
        return float("nan")
    ratio = (wide.flux - level * wide.area)[good] / (narrow.flux - level * narrow.area)[good]
    growth = float(np.median(ratio))
    return max(growth, 1.0) if wide_px >= narrow_px else min(growth, 1.0)


def follow(line: Line, linked: set[int], times: Floats, good: list[int], scene: Scene) -> Track:
    """Measure an object on every good frame that its line crosses.

    The sky that is taken off a frame is that of the others less the object, whose places and flux there are those of
    the path through all of them.

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
    seen = np.array([k for k in good if scene.shifts[k].measured], np.int64)
    since = np.asarray(times, float)[seen] - line.time
    path = StraightPath(since, np.array([line.x, line.y]), np.array([line.rate_x, line.rate_y]), np.zeros(len(seen)))
    optics = _optics(seen, path, scene)
    stamps = _stamps(seen, path, scene)
    near = int(np.ceil(max(_RADIUS_FWHM, _WINDOW_FWHM) * scene.fwhm + optics.trail / 2)) + 1
    path, shared = settle(path, stamps, optics, near)
    half = max(near, int(np.ceil(max(4 * scene.fwhm, 10) + optics.trail)))
    rests = stamps.without(half, path.place, path.flux, optics)
    film = np.full((len(times), *rests.shape[1:]), np.nan, np.float32)
    film[seen] = rests
    inner = slice(half - near, half + near + 1)
    points = _points(_FollowedObject(path, stamps, optics, scene), shared, rests[:, inner, inner])
    kept = np.isfinite(points).all(axis=0)
    x, y, error, flux, flux_err = points[:, kept]
    found = np.isin(seen[kept], sorted(linked))
    return Track(seen[kept], x, y, error, flux, flux_err, found, shared.rate, film, line)


def _optics(seen: NDArray[np.int64], path: StraightPath, scene: Scene) -> Optics:
    jitter = np.array([scene.shifts[k].residual for k in seen], float)
    return Optics(
        scene.fwhm,
        np.array([scene.widths[k] for k in seen], float),
        moffat_table(scene.exponent),
        path.rate * scene.exposure,
        np.array([scene.noise_of(int(k)) for k in seen], float),
        scene.e_per_adu,
        np.where(np.isfinite(jitter), jitter, 0.0),
    )


def _stamps(seen: NDArray[np.int64], path: StraightPath, scene: Scene) -> Stamps:
    place = path.place
    column, row = np.rint(place).astype(np.int64)
    shift = np.array([_motion(scene.shifts[k], *place[:, n]) for n, k in enumerate(seen)]).reshape(-1, 2).T
    whole = np.rint(shift).astype(np.int64)
    light = np.array([max(scene.light[k], _DIMMEST) for k in seen], float)
    noise = np.array([scene.noise_of(int(k)) for k in seen], float)
    excess = np.empty((len(seen), len(seen)))
    for number, k in enumerate(seen):
        sky = scene.skies[k]
        assert sky is not None
        x, y = column + whole[0, number], row + whole[1, number]
        excess[:, number] = sky.at(x.astype(float), y.astype(float))
    return Stamps(
        *(scene.images, scene.masks, scene.background, seen, column, row, whole[0], whole[1], shift - whole),
        *(excess, light, (light / noise) ** 2, which_others(place[0], place[1], scene.fwhm)),
    )


def _motion(shift: Shift, x: float, y: float) -> tuple[float, float]:
    """Return how far a place of the stack stands from there on a frame, pixels."""
    there = shift.place(np.array([x]), np.array([y]))
    return float(there[0][0]) - x, float(there[1][0]) - y


@dataclass(frozen=True)
class _FollowedObject:
    """An object that is followed: its path, the cutouts about it, how it looks on the frames, and the frames."""

    path: StraightPath
    stamps: Stamps
    optics: Optics
    scene: Scene


def _points(one: _FollowedObject, shared: Overlap, rests: Floats) -> Floats:
    """Return place on the frame, its error, flux and its error, shape (5, frames); NaN where nothing is seen."""
    path, stamps, optics, scene = one.path, one.stamps, one.optics, one.scene
    half = rests.shape[1] // 2
    fits = fit_frames(rests, path, stamps, optics, _SEARCH_STEPS)
    # The highest place of a faint object is pulled about by more than the slope there says.
    nonlinear = 1 + _NONLINEAR * (fits.error / optics.sigma) ** 2
    error = np.hypot(fits.error * shared.place * nonlinear, optics.jitter)
    off = fits.place - path.place
    seen = np.hypot(*off) < max(scene.fwhm, 2.0, optics.trail / 2)
    out = np.full((5, len(rests)), np.nan)
    if not seen.any():
        return out
    # Light is summed where the object is, which the path knows better than a faint point does: at the highest place
    # near it, noise makes objects brighter. Where points scatter by more than chance explains, the path knows less.
    chance = 1 + 2 / np.sqrt(seen.sum())
    spare = optics.jitter**2 + max(float(np.mean((off**2 - chance * error**2)[:, seen])), 0.0)
    place = stamps.within(path.place + off * spare / (spare + fits.error**2), half)
    corner = stamps.corner(half)
    for k in np.flatnonzero(seen):
        column, row = (int(value) for value in np.rint(place[:, k]) + corner[:, k])
        mask = scene.masks[stamps.index[k], max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        flux, noise, expected = _flux(one, rests[k], int(k), place[:, k])
        # What a point should be decides whether it counts: to drop the faint ones would make the object brighter.
        absent = expected - flux > _ABSENT_SIGMA * np.hypot(noise, _VARIES * expected)
        if mask.any() or expected < _LEAST_SNR * noise or absent:
            continue
        photons = max(expected, 0.0) * scene.growth[stamps.index[k]] / scene.e_per_adu
        flux_err = float(np.sqrt((noise * shared.flux[k]) ** 2 + photons))
        out[:, k] = *(stamps.within(fits.place, half)[:, k] + corner[:, k]), error[k], flux, flux_err
    return out


def _flux(one: _FollowedObject, rest: Floats, number: int, place: Floats) -> tuple[float, float, float]:
    """Return the flux at a place in the calibrated aperture, the noise of its sky, and the flux of the path."""
    path, stamps, optics, scene = one.path, one.stamps, one.optics, one.scene
    radius = Scene.diameter_of(scene.fwhm) / 2
    still = np.zeros(2)
    x, y = float(place[0]), float(place[1])
    weight, circle = (_capsule(rest.shape, x, y, radius, (m[0], m[1])) for m in (optics.motion, still))
    trail, star = np.zeros(rest.shape), np.zeros(rest.shape)
    width = float(optics.widths[number])
    add_trail(trail, x, y, optics.motion, width, 1.0, optics.table)
    add_trail(star, x, y, still, width, 1.0, optics.table)
    # Stars tell what a circle misses of their light; what the trail's shape misses more is calculated.
    growth = scene.growth[stamps.index[number]] * float((circle * star).sum() / (weight * trail).sum())
    flux, noise = float((weight * rest).sum()), float(optics.noise[number] * np.sqrt((weight**2).sum()))
    expected = float(path.flux[number] * stamps.light[number] * (weight * trail).sum())
    return flux * growth, noise * growth, expected * growth


def _capsule(shape: tuple[int, ...], x: float, y: float, radius: float, motion: tuple[float, float]) -> Floats:
    """Return the part of each pixel that lies within a radius of a trail whose middle is at (x, y)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    length = float(np.hypot(*motion))
    ux, uy = (motion[0] / length, motion[1] / length) if length > 0 else (1.0, 0.0)
    along, across = (columns - x) * ux + (rows - y) * uy, (rows - y) * ux - (columns - x) * uy
    distance = np.hypot(np.maximum(np.abs(along) - length / 2, 0), across)
    # As of the circles of `gozen.photometry.aperture_sums`: a straight edge in each pixel makes them larger.
    return np.asarray(np.clip(np.sqrt(radius**2 - 1 / 12) - distance + 0.5, 0, 1))
