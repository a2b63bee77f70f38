"""Measure all sources of an aligned stack on every frame, and calibrate their fluxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.archive.keys import Processing
from gozen.astrometry.solution import Solution
from gozen.catalog.reference.reference_catalog import ReferenceCatalogue, StarSource
from gozen.frames.row_times import mid_exposure
from gozen.lightcurves.calibrators import SPOILING, Calibrators, CatalogueStars, choose_calibrators
from gozen.lightcurves.reference_match import match_stars, neighbour_light
from gozen.lightcurves.sensor_rows import FrameRows, RowLabels, SensorSources, sensor_rows
from gozen.lightcurves.zero_point import StarFluxes, ZeroPoint, fit_zero_point
from gozen.photometry.forced_photometry import ApertureSet, FrameFluxes, blended, measure_frame, neighbours_share
from gozen.photometry.sky_background import FrameSky, frame_sky
from gozen.reduction.align_frames import AlignedStack
from gozen.reduction.calibrated_frames import CalibratedCube
from gozen.settings import CalibrationSettings

Floats = NDArray[np.float64]
_SOURCE_SIGMA = 3.0
_GROW_PX = 4
_MATCH_PX = 0.5
"""Smallest matching radius: a smaller one would lose true pairs; other stars are hardly ever that near."""


@dataclass(frozen=True)
class Measurement:
    """The photometry of one sensor's exposure.

    Parameters
    ----------
    rows
        Rows of the light-curve table.
    zero
        The zero point; None if the reference catalogue has no magnitudes.
    frame_zero
        Zero point of each measured frame, by frame number.
    calibrators
        The stars that the zero point was fitted to, and how many others each rule removed.
    apertures
        Apertures of the measurement; the calibrated one is the first.
    """

    rows: pa.Table
    sources: SensorSources
    zero: ZeroPoint | None
    frame_zero: dict[int, float]
    limiting_magnitude: float
    skies: dict[int, FrameSky]
    calibrators: Calibrators | None
    apertures: ApertureSet


def julian_year(mjd: float) -> float:
    """Return the Julian year of an MJD (Lieske 1979, A&A 73, 282)."""
    return 2000.0 + (mjd - 51544.5) / 365.25


def place_sources(
    aligned: AlignedStack,
    solution: Solution,
    reference: StarSource | None,
    apertures: ApertureSet,
    settings: CalibrationSettings,
) -> SensorSources:
    """Return the stack's sources with their sky positions and their stars in the reference catalogue."""
    sources, year = aligned.sources, julian_year(float(aligned.cube.raw.start[0]))
    ra, dec = solution.sky(sources.x, sources.y)
    rows, columns = aligned.stack.image.shape
    middle = solution.sky(np.array([columns / 2]), np.array([rows / 2]))
    radius = np.hypot(rows, columns) * solution.linear.scale_arcsec / 3600
    stars = (reference or _no_stars()).cone(float(middle[0][0]), float(middle[1][0]), radius)
    # With coarse pixels, the error of a centroid is a fraction of a pixel, which may exceed the set radius.
    radius_arcsec = max(settings.match_radius_arcsec, _MATCH_PX * solution.linear.scale_arcsec)
    star = match_stars(ra, dec, *stars.at_epoch(year), radius_arcsec)
    near = blended(sources, sources.flux, apertures.diameters_px[0] / 2 + sources.fwhm)
    return SensorSources(sources.x, sources.y, ra, dec, star, stars, near, solution.linear.scale_arcsec)


def measure(
    aligned: AlignedStack,
    sources: SensorSources,
    apertures: ApertureSet,
    settings: CalibrationSettings,
    processing: Processing,
) -> Measurement:
    """Measure every source on every good frame and calibrate the fluxes.

    Raises
    ------
    TooFewCalibrators
        The zero point cannot be fitted.
    """
    raw, sigma = aligned.cube.raw, apertures.limit_sigma
    skies, fluxes = measure_frames(aligned, apertures)
    calibrators = _calibrators(sources, aligned, fluxes, settings, apertures.diameters_px[0])
    zero = _calibrate(sources, calibrators, settings, raw.frame_id)
    if zero is not None and calibrators is not None and calibrators.blended:
        sources = replace(sources, calibrated_by_blends=True)
    labels = RowLabels(processing, raw.header.sensor, raw.header.filter)
    rows = sensor_rows(sources, frame_rows(aligned.cube, fluxes), apertures, zero, labels)
    limit = float("nan")
    if zero is not None:
        sky = np.array([np.median(one.sky_err) for one in fluxes.values()])
        limit = float(np.median(zero.magnitude(sigma * sky, np.full(len(sky), np.nan))))
    frame_zero = _frame_zeros(fluxes, calibrators, zero)
    return Measurement(rows, sources, zero, frame_zero, limit, skies, calibrators, apertures)


def measure_frames(aligned: AlignedStack, apertures: ApertureSet) -> tuple[dict[int, FrameSky], dict[int, FrameFluxes]]:
    """Return the sky of each good frame and the fluxes of the stack's sources on it, by frame number."""
    is_sky, cube = sky_pixels(aligned), aligned.cube
    skies, fluxes = {}, {}
    for index in cube.good:
        sky = skies[index] = frame_sky(cube.images[index], aligned.background, is_sky, aligned.shifts[index])
        frame, noise = aligned.frame(index, sky), _noise(aligned, sky)
        fluxes[index] = measure_frame(frame, aligned.sources, noise, apertures, cube.detector.gain.e_per_adu)
    return skies, fluxes


def frame_rows(cube: CalibratedCube, fluxes: Mapping[int, FrameFluxes]) -> list[FrameRows]:
    """Return the fluxes on each frame together with the mid-exposure times of the sources' detector rows."""
    return [FrameRows(index, _row_times(cube, index, one), one) for index, one in fluxes.items()]


def sky_pixels(aligned: AlignedStack) -> NDArray[np.bool_]:
    """Return a mask of the stack's pixels that contain neither a source nor a defect."""
    threshold = _SOURCE_SIGMA * _typical(aligned.sources.noise)
    bright = aligned.stack.image - aligned.background > threshold
    return np.asarray(~_grown(bright) & (aligned.stack.mask == 0))


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask dilated by `_GROW_PX` pixels; the distance is that along rows plus that along columns."""
    for _ in range(_GROW_PX):
        wider = mask.copy()
        wider[1:] |= mask[:-1]
        wider[:-1] |= mask[1:]
        wider[:, 1:] |= mask[:, :-1]
        wider[:, :-1] |= mask[:, 1:]
        mask = wider
    return mask


def _noise(aligned: AlignedStack, sky: FrameSky) -> Floats:
    """Return the noise of one pixel of a frame at each source: the stack's noise, scaled to this frame."""
    local = aligned.sources.noise
    return np.asarray(local * (sky.noise / _typical(local)))


def _typical(noise: Floats) -> float:
    return float(np.median(noise)) if len(noise) else 1.0


def _row_times(cube: CalibratedCube, index: int, fluxes: FrameFluxes) -> Floats:
    """Return the mid-exposure time of each source's detector row on a frame, MJD (UTC)."""
    row, header = fluxes.row + cube.detector.active[0].start, cube.raw.header
    return mid_exposure(float(cube.raw.start[index]), row, header.row_time_s, header.exposure_s)


def _calibrators(
    sources: SensorSources,
    aligned: AlignedStack,
    fluxes: dict[int, FrameFluxes],
    settings: CalibrationSettings,
    diameter_px: int,
) -> Calibrators | None:
    """Choose the calibrators by their fluxes on the stacked frames; None if there are no reference magnitudes."""
    if not np.isfinite(sources.stars.g).any():
        return None
    reach_px = diameter_px / 2
    stars, fwhm = sources.stars, aligned.sources.fwhm
    crowding = neighbour_light(stars.ra, stars.dec, stars.g, (reach_px + fwhm / 2) * sources.scale_arcsec)
    known = CatalogueStars(
        sources.of_star(stars.g),
        sources.of_star(stars.bp_rp),
        sources.blended,
        neighbours_share(aligned.sources, aligned.sources.flux, reach_px + fwhm),
        sources.of_star(crowding),
    )
    return choose_calibrators([fluxes[index] for index in aligned.stack.frames if index in fluxes], known, settings)


def _calibrate(
    sources: SensorSources, chosen: Calibrators | None, settings: CalibrationSettings, name: str
) -> ZeroPoint | None:
    if chosen is None:
        return None
    g, colour = sources.of_star(sources.stars.g), sources.of_star(sources.stars.bp_rp)
    usable = np.where(chosen.chosen, g, np.nan)
    return fit_zero_point(StarFluxes(chosen.flux, chosen.flux_err, usable, colour), settings, name, chosen.sentence)


def _frame_zeros(
    fluxes: dict[int, FrameFluxes], calibrators: Calibrators | None, zero: ZeroPoint | None
) -> dict[int, float]:
    """Return each frame's zero point: the common one plus how much brighter its good calibrators are, in magnitudes.

    Each star is compared with its mean over the frames, not with the catalogue: a frame's zero point must not depend
    on which calibrators are good on it.
    """
    if zero is None or calibrators is None:
        return {}
    out = {}
    for index, one in fluxes.items():
        good = zero.kept & (one.flags & sum(SPOILING.values()) == 0) & (one.flux[0] > 0)
        brighter = 2.5 * np.log10(one.flux[0][good] / calibrators.flux[good])
        out[index] = zero.zp + float(np.median(brighter)) if good.any() else float("nan")
    return out


def _no_stars() -> ReferenceCatalogue:
    none = np.zeros(0)
    return ReferenceCatalogue(np.zeros(0, np.int64), *(none,) * 8)
