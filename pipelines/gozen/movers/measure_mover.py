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
    """The frames of a cube and the quantities needed to measure movers on them; lists have one entry for each frame.

    Parameters
    ----------
    images
        Calibrated frames, shape (frames, rows, columns), ADU.
    background
        Map of the stack's sky, ADU.
    skies
        Sky of each frame minus ``background``; None for a frame that is not measured.
    light
        Ratio of the stars' flux on each frame to that on the stack.
    fwhm
        Measured full width at half maximum of the stars, pixels; apertures scale with it.
    widths
        FWHM of the stars' Moffat profile on each frame, pixels.
    exponent
        Exponent of the stars' Moffat profile.
    growth
        Ratio of a star's flux in the calibrated aperture to that in the movers' aperture, on each frame.
    e_per_adu
        Electrons per ADU.
    exposure
        Exposure time of a frame, in the unit of the frames' times.
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
        """Return the diameter of the aperture in which moving objects are measured, pixels."""
        return 2 * _RADIUS_FWHM * fwhm


@dataclass(frozen=True)
class Track:
    """One object on the frames where it is detected; arrays of shape (points,).

    Parameters
    ----------
    frame
        Indices of the frames.
    x, y
        Positions on the frame by a fit of a trailed Gaussian, 0-based pixels.
    error_px
        Standard error of the position, per axis, pixels.
    flux, flux_err
        Flux in the calibrated aperture and its error, ADU.
    linked
        Whether the point was detected as a candidate; False if its position was predicted from the other points.
    rate_excess
        Factor by which the error of the rate is larger than it would be if the errors of the points were independent.
        The errors of a slow object are not independent, because part of its light is taken for sky on all frames.
    film
        Cutouts of the frames along the path, without the sky, shape (frames, side, side), ADU; NaN for frames that
        are not measured.
    line
        The line that linked the points.
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
    """Return the ratio of a star's flux in a wide aperture to that in a narrow one; NaN if too few stars are bright.

    It is the median of bright, isolated stars. It is measured on each frame because it depends on the seeing.

    Parameters
    ----------
    wide_px, narrow_px
        Diameters of the calibrated aperture and of the aperture for movers, pixels.
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

    The sky under the object is measured on the frames on which the object is at another place. Before that, a model of
    the object (one straight path and one flux, fitted to all frames) is subtracted from these frames.

    Parameters
    ----------
    line
        The object's line, in pixels of the stack.
    linked
        Indices of the frames on which the object was detected as a candidate.
    times
        Time of each frame, in the unit of the line.
    good
        Indices of the frames that passed the quality gates.
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
    """Return the displacement on a frame of a position on the stack, pixels."""
    there = shift.place(np.array([x]), np.array([y]))
    return float(there[0][0]) - x, float(there[1][0]) - y


@dataclass(frozen=True)
class _FollowedObject:
    """An object that is being measured: its path, cutouts along it, its model profile, and the frames."""

    path: StraightPath
    stamps: Stamps
    optics: Optics
    scene: Scene


def _points(one: _FollowedObject, shared: Overlap, rests: Floats) -> Floats:
    """Return x and y on the frame, their error, the flux and its error, shape (5, frames); NaN if not detected."""
    path, stamps, optics, scene = one.path, one.stamps, one.optics, one.scene
    half = rests.shape[1] // 2
    fits = fit_frames(rests, path, stamps, optics, _SEARCH_STEPS)
    # For a faint object, noise moves the best-fit position by more than the linear error estimate.
    nonlinear = 1 + _NONLINEAR * (fits.error / optics.sigma) ** 2
    error = np.hypot(fits.error * shared.place * nonlinear, optics.jitter)
    off = fits.place - path.place
    seen = np.hypot(*off) < max(scene.fwhm, 2.0, optics.trail / 2)
    out = np.full((5, len(rests)), np.nan)
    if not seen.any():
        return out
    # The aperture is between the path and the fitted position, weighted by their errors. An aperture on the fitted
    # position of a faint object would overestimate its flux, because the fit prefers positive noise. If the points
    # scatter by more than their errors, the path has less weight.
    chance = 1 + 2 / np.sqrt(seen.sum())
    spare = optics.jitter**2 + max(float(np.mean((off**2 - chance * error**2)[:, seen])), 0.0)
    place = stamps.within(path.place + off * spare / (spare + fits.error**2), half)
    corner = stamps.corner(half)
    for k in np.flatnonzero(seen):
        column, row = (int(value) for value in np.rint(place[:, k]) + corner[:, k])
        mask = scene.masks[stamps.index[k], max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        flux, noise, expected = _flux(one, rests[k], int(k), place[:, k])
        # Points are selected by their expected flux: a selection by measured flux would bias the object bright.
        absent = expected - flux > _ABSENT_SIGMA * np.hypot(noise, _VARIES * expected)
        if mask.any() or expected < _LEAST_SNR * noise or absent:
            continue
        photons = max(expected, 0.0) * scene.growth[stamps.index[k]] / scene.e_per_adu
        flux_err = float(np.sqrt((noise * shared.flux[k]) ** 2 + photons))
        out[:, k] = *(stamps.within(fits.place, half)[:, k] + corner[:, k]), error[k], flux, flux_err
    return out


def _flux(one: _FollowedObject, rest: Floats, number: int, place: Floats) -> tuple[float, float, float]:
    """Return flux and sky noise at a position, and the flux that the path predicts, all in the calibrated aperture."""
    path, stamps, optics, scene = one.path, one.stamps, one.optics, one.scene
    radius = Scene.diameter_of(scene.fwhm) / 2
    still = np.zeros(2)
    x, y = float(place[0]), float(place[1])
    weight, circle = (_capsule(rest.shape, x, y, radius, (m[0], m[1])) for m in (optics.motion, still))
    trail, star = np.zeros(rest.shape), np.zeros(rest.shape)
    width = float(optics.widths[number])
    add_trail(trail, x, y, optics.motion, width, 1.0, optics.table)
    add_trail(star, x, y, still, width, 1.0, optics.table)
    # The stars' growth corrects for light outside a circle; the model adds the correction for the trail's shape.
    growth = scene.growth[stamps.index[number]] * float((circle * star).sum() / (weight * trail).sum())
    flux, noise = float((weight * rest).sum()), float(optics.noise[number] * np.sqrt((weight**2).sum()))
    expected = float(path.flux[number] * stamps.light[number] * (weight * trail).sum())
    return flux * growth, noise * growth, expected * growth


def _capsule(shape: tuple[int, ...], x: float, y: float, radius: float, motion: tuple[float, float]) -> Floats:
    """Return the fraction of each pixel within a radius of a trail with its middle at (x, y)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    length = float(np.hypot(*motion))
    ux, uy = (motion[0] / length, motion[1] / length) if length > 0 else (1.0, 0.0)
    along, across = (columns - x) * ux + (rows - y) * uy, (rows - y) * ux - (columns - x) * uy
    distance = np.hypot(np.maximum(np.abs(along) - length / 2, 0), across)
    # As for the circles of `gozen.photometry.aperture_sums`, a straight edge within each pixel enlarges the area.
    return np.asarray(np.clip(np.sqrt(radius**2 - 1 / 12) - distance + 0.5, 0, 1))
