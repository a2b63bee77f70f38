"""From an aligned stack to calibrated rows: place, match, measure every frame, fit the zero magnitude."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive.keys import Processing
from gozen.astrometry.solution import Solution
from gozen.calibration.calibrate import Detector
from gozen.catalog.reference import ReferenceCatalogue, StarSource
from gozen.catalog.schema import Flag
from gozen.frames.raw import RawCube
from gozen.frames.times import mid_exposure
from gozen.lightcurves.match import match_stars, neighbour_light
from gozen.lightcurves.rows import FrameRows, SensorSources, sensor_rows
from gozen.lightcurves.zeropoint import ZeroPoint, fit_zero_point
from gozen.photometry.measure import FrameFluxes, blended, measure_frame
from gozen.photometry.sky import FrameSky, frame_sky
from gozen.reduction.align import AlignedStack
from gozen.reduction.frames import CalibratedCube
from gozen.settings import Settings

Floats = NDArray[np.float64]
_SOURCE_SIGMA = 3.0
_GROW_PX = 4
_CALIBRATOR_LIMITS = (100.0, 50.0, 20.0, 10.0)
_PLENTY = 50
_FEW = 10
"""Stars that stand alone calibrate better than many whose apertures hold the light of others."""
_CROWDED = 0.01


@dataclass(frozen=True)
class Measurement:
    """What was measured on one sensor's exposure.

    Parameters
    ----------
    rows
        Of the light-curve table.
    zero
        The calibration; None where the reference catalogue has no magnitudes.
    frame_zero
        Zero magnitude of each measured frame, by its number.
    diameters_px
        Of the apertures, the calibrated one first.
    """

    rows: pa.Table
    sources: SensorSources
    zero: ZeroPoint | None
    frame_zero: dict[int, float]
    limiting_magnitude: float
    skies: dict[int, FrameSky]
    diameters_px: tuple[int, ...]


def julian_year(mjd: float) -> float:
    """Return the Julian year of an MJD (Lieske 1979, A&A 73, 282)."""
    return 2000.0 + (mjd - 51544.5) / 365.25


def place_sources(
    aligned: AlignedStack,
    solution: Solution,
    reference: StarSource | None,
    year: float,
    radius_arcsec: float,
    reach_px: float,
) -> SensorSources:
    """Give the stack's sources their positions and their stars."""
    sources = aligned.sources
    ra, dec = solution.sky(sources.x, sources.y)
    rows, columns = aligned.stack.image.shape
    middle = solution.sky(np.array([columns / 2]), np.array([rows / 2]))
    radius = np.hypot(rows, columns) * solution.linear.scale_arcsec / 3600
    stars = (reference or _no_stars()).cone(float(middle[0][0]), float(middle[1][0]), radius)
    star = match_stars(ra, dec, *stars.at_epoch(year), radius_arcsec)
    near = blended(sources, sources.flux, reach_px)
    return SensorSources(sources.x, sources.y, ra, dec, star, stars, near, solution.linear.scale_arcsec)


def measure(
    cube: RawCube,
    calibrated: CalibratedCube,
    aligned: AlignedStack,
    sources: SensorSources,
    detector: Detector,
    settings: Settings,
    diameters_px: tuple[int, ...],
    processing: Processing,
) -> Measurement:
    """Measure every source on every good frame and calibrate the fluxes.

    Parameters
    ----------
    diameters_px
        Of the apertures, the calibrated one first.

    Raises
    ------
    TooFewCalibrators
        The zero magnitude cannot be fitted.
    """
    skies, fluxes = measure_frames(calibrated, aligned, detector, settings, diameters_px)
    frames = [FrameRows(index, frame_times(cube, detector, index, one), one) for index, one in fluxes.items()]
    zero = _calibrate(sources, aligned, fluxes, settings, diameters_px[0], f"{cube.frame_id}")
    sigma = settings.photometry.limit_sigma
    rows = sensor_rows(sources, frames, diameters_px, zero, sigma, processing, cube.header.sensor, cube.header.filter)
    limit = float("nan")
    if zero is not None:
        sky = np.array([np.median(one.sky_err) for one in fluxes.values()])
        limit = float(np.median(zero.magnitude(sigma * sky, np.full(len(sky), np.nan))))
    return Measurement(rows, sources, zero, _frame_zeros(sources, fluxes, zero), limit, skies, diameters_px)


def measure_frames(
    calibrated: CalibratedCube,
    aligned: AlignedStack,
    detector: Detector,
    settings: Settings,
    diameters_px: tuple[int, ...],
) -> tuple[dict[int, FrameSky], dict[int, FrameFluxes]]:
    """Return the sky of each good frame and the fluxes of the stack's sources on it, by its number."""
    is_sky = sky_pixels(aligned)
    skies, fluxes = {}, {}
    for index in calibrated.good:
        image, mask, shift = calibrated.images[index], calibrated.masks[index], aligned.shifts[index]
        sky = skies[index] = frame_sky(image, aligned.background, is_sky, shift)
        fluxes[index] = measure_frame(
            image,
            mask,
            aligned.sources,
            shift,
            sky,
            _noise(aligned, sky),
            detector,
            diameters_px,
            settings.photometry.limit_sigma,
        )
    return skies, fluxes


def sky_pixels(aligned: AlignedStack) -> NDArray[np.bool_]:
    """Return the pixels of the stack that hold neither a source nor a defect."""
    threshold = _SOURCE_SIGMA * _typical(aligned.sources.noise)
    bright = aligned.stack.image - aligned.background > threshold
    return np.asarray(~_grown(bright) & (aligned.stack.mask == 0))


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask that reaches `_GROW_PX` pixels further along rows and columns together."""
    for _ in range(_GROW_PX):
        wider = mask.copy()
        wider[1:] |= mask[:-1]
        wider[:-1] |= mask[1:]
        wider[:, 1:] |= mask[:, :-1]
        wider[:, :-1] |= mask[:, 1:]
        mask = wider
    return mask


def _noise(aligned: AlignedStack, sky: FrameSky) -> Floats:
    """Return the noise of one pixel of a frame at each source: the stack's map, scaled to this frame."""
    local = aligned.sources.noise
    return np.asarray(local * (sky.noise / _typical(local)))


def _typical(noise: Floats) -> float:
    return float(np.median(noise)) if len(noise) else 1.0


def frame_times(cube: RawCube, detector: Detector, index: int, fluxes: FrameFluxes) -> Floats:
    """Return the middle of the exposure of each source's row on a frame, MJD (UTC)."""
    row = fluxes.row + detector.active[0].start
    return mid_exposure(float(cube.start[index]), row, cube.header.row_time_s, cube.header.exposure_s)


def _calibrate(
    sources: SensorSources,
    aligned: AlignedStack,
    fluxes: dict[int, FrameFluxes],
    settings: Settings,
    diameter_px: int,
    name: str,
) -> ZeroPoint | None:
    """Fit the zero magnitude to the mean flux over the stacked frames; None without reference magnitudes."""
    g = sources.of_star(sources.stars.g)
    if not np.isfinite(sources.stars.g).any():
        return None
    stacked = [index for index in aligned.stack.frames if index in fluxes]
    flux = np.mean([fluxes[index].flux[0] for index in stacked], axis=0)
    error = np.sqrt(np.sum([fluxes[index].flux_err[0] ** 2 for index in stacked], axis=0)) / len(stacked)
    spoiled = np.any([_spoiled(fluxes[index]) for index in stacked], axis=0) | sources.blended
    strength = np.where(spoiled | ~np.isfinite(g), 0.0, flux / error)
    lonely = sources.of_star(_crowding(sources.stars, sources.scale_arcsec, aligned, diameter_px)) < _CROWDED
    if (lonely & (strength > _CALIBRATOR_LIMITS[-1])).sum() >= _FEW:
        strength = np.where(lonely, strength, 0.0)
    usable = np.where(strength > _calibrator_limit(strength), g, np.nan)
    return fit_zero_point(flux, error, usable, sources.of_star(sources.stars.bp_rp), settings.calibration, name)


def _crowding(stars: ReferenceCatalogue, scale_arcsec: float, aligned: AlignedStack, diameter_px: int) -> Floats:
    reach_px = diameter_px / 2 + aligned.sources.fwhm / 2
    return neighbour_light(stars.ra, stars.dec, stars.g, reach_px * scale_arcsec)


def _calibrator_limit(strength: Floats) -> float:
    """Return the signal-to-noise that calibrators need: the highest that leaves enough of them.

    A faint star's aperture holds the light of others that are too faint to be seen, which biases it bright.
    """
    return next((limit for limit in _CALIBRATOR_LIMITS if (strength > limit).sum() >= _PLENTY), _CALIBRATOR_LIMITS[-1])


def _spoiled(fluxes: FrameFluxes) -> NDArray[np.bool_]:
    return np.asarray((fluxes.flags & (Flag.SATURATED | Flag.EDGE | Flag.DEAD_PIXEL)) > 0)


def _frame_zeros(sources: SensorSources, fluxes: dict[int, FrameFluxes], zero: ZeroPoint | None) -> dict[int, float]:
    if zero is None:
        return {}
    g, colour = sources.of_star(sources.stars.g)[zero.kept], sources.of_star(sources.stars.bp_rp)[zero.kept]
    out = {}
    for index, one in fluxes.items():
        rest = g - zero.magnitude(one.flux[0][zero.kept], colour)
        out[index] = zero.zp + float(np.median(rest[np.isfinite(rest)])) if np.isfinite(rest).any() else float("nan")
    return out


def _no_stars() -> ReferenceCatalogue:
    none = np.zeros(0)
    return ReferenceCatalogue(np.zeros(0, np.int64), *(none,) * 8)
