"""Find moving objects, trails and flares on a sensor's exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gozen.frames.raw import RawCube
from gozen.movers.candidates import Candidates, FrameDifference, find_candidates
from gozen.movers.group_flares import REACH_PX, FoundFlare, group_flares
from gozen.movers.link_tracklets import Line, LineLimits, Points, link
from gozen.movers.measure_mover import Scene, Track, aperture_growth, follow
from gozen.movers.persistence import without_lasting, without_lasting_ridges
from gozen.movers.stack_template import sharpest_star
from gozen.movers.streaks import Streak, find_streaks, link_streaks
from gozen.movers.trail_profile import moffat_of
from gozen.photometry.detect_sources import Sources
from gozen.photometry.sky_background import FrameSky
from gozen.reduction.align_frames import AlignedStack
from gozen.reduction.difference_frames import Compared, compare
from gozen.settings import MoverSettings

Floats = NDArray[np.float64]
_FLARE_SNR = 5.0
_LEAST_MOTION_PX = 3.0
_RATE_SIGMA = 5.0
_WANDER = 6.0
"""Displacement of stars in the corners over a cube, in units of the typical residual from the common shift."""


@dataclass(frozen=True)
class Found:
    """The objects that are on frames but not on the stack.

    Parameters
    ----------
    tracks
        Moving objects, measured.
    chains
        Trails within frames; each list has the trails of one object.
    flares
        Objects that do not move.
    """

    tracks: list[Track]
    chains: list[list[Streak]]
    flares: list[FoundFlare]


def find_moving(
    aligned: AlignedStack, skies: dict[int, FrameSky], diameter_px: float, settings: MoverSettings
) -> Found:
    """Find moving objects, trails and flares.

    Parameters
    ----------
    skies
        Sky of each good frame.
    diameter_px
        Diameter of the calibrated aperture.
    """
    cube, raw = aligned.cube, aligned.cube.raw
    frames = [index for index in cube.good if aligned.shifts[index].measured or raw.nframe == 1]
    fwhm = float(np.nanmedian([aligned.fwhm[index] for index in frames])) if frames else float("nan")
    if not np.isfinite(fwhm):
        return Found([], [], [])
    compared = compare(frames, fwhm, aligned, skies)
    found, streaks = _peaks(frames, compared, settings)
    times = frame_times(raw)
    exposure = raw.header.exposure_s / frame_step_s(raw)
    chains = link_streaks(streaks, times, exposure)
    if compared.alone:
        return Found([], chains, [])
    points = _points([one.where(~one.sharp) for one in found], aligned)
    limits = LineLimits(settings.maximum_rate_px, settings.minimum_points, settings.minimum_significance)
    lines = link(points, times, aligned.stack.image.shape, limits)
    wander = float(np.nanmax([aligned.shifts[index].residual for index in frames]))
    moving = [line for line in lines if _moves(line, times[points.frame[line.members]], wander)]
    on_light = _on_light(points, compared)
    # A mover is near stars on a few frames only; residual light of a star, which shifts with the telescope, on most.
    moving = [line for line in moving if on_light[line.members].mean() <= 0.5]
    tracks: list[Track] = []
    if moving:
        growth = _growth(aligned, skies, diameter_px, fwhm)
        scene = _scene(aligned, skies, compared.light, _Stars(fwhm, diameter_px, growth), exposure)
        tracks = [follow(line, _linked(line, points), times, frames, scene) for line in moving]
    free = _off_lines(points, moving, on_light)
    if free.any():
        free &= _off_sources(points, aligned.sources, fwhm, wander)
    rows, columns = aligned.stack.image.shape
    flares = group_flares(points.where(free), raw.nframe, rows * columns, settings.flare_significance)
    kept = [track for track in tracks if _is_sure(track, settings)]
    return Found(kept, chains, flares)


def _is_sure(track: Track, settings: MoverSettings) -> bool:
    long_enough = len(track.frame) >= settings.minimum_points
    return long_enough and bool(np.median(track.flux / track.flux_err) >= settings.minimum_snr)


def _peaks(frames: list[int], compared: Compared, settings: MoverSettings) -> tuple[list[Candidates], list[Streak]]:
    """Return the peaks of each good frame that the stack does not have, and the trails."""
    found: list[Candidates] = []
    streaks: list[Streak] = []
    for index in frames:
        one, trails = _of_frame(index, compared, settings)
        if not compared.alone:
            trails = without_lasting(trails, frames, compared.shifts, compared.rest_at, compared.template.fwhm)
        found.append(one)
        streaks += trails
    return without_lasting_ridges(found, compared.shifts, compared.template.fwhm, compared.template.box), streaks


def frame_step_s(cube: RawCube) -> float:
    """Return the typical time from frame to frame, seconds."""
    if cube.nframe == 1:
        return float(cube.header.frame_time_s or cube.header.exposure_s)
    return float(np.median(np.diff(cube.start)) * 86400)


def frame_times(cube: RawCube) -> Floats:
    """Return the time from the first frame to each frame, in units of the typical time from frame to frame."""
    return np.asarray((cube.start - cube.start[0]) * 86400 / frame_step_s(cube))


def _of_frame(index: int, compared: Compared, settings: MoverSettings) -> tuple[Candidates, list[Streak]]:
    frame, noise = compared.frame(index), compared.skies[index].noise
    sharpest = sharpest_star(frame, compared.template, compared.sources)
    template, shift = compared.template.on_frame(frame.shift)
    rest = compared.rest(index)
    seen = FrameDifference(index, rest, frame.mask, template, shift, noise)
    found = find_candidates(seen, sharpest, settings.threshold_sigma)
    trails = find_streaks(rest, template.cover(shift), found, noise, template.fwhm, among_stars=compared.alone)
    trails = [trail for trail in trails if trail.flux >= settings.streak_snr * trail.flux_err]
    clear = np.ones(len(found), np.bool_)
    for trail in trails:
        clear &= trail.distance(found.x, found.y) > 3 * template.fwhm
    return found.where(clear), trails


def _points(found: list[Candidates], aligned: AlignedStack) -> Points:
    places = [aligned.shifts[one.frame].back(one.x, one.y) for one in found]
    return Points(
        np.concatenate([np.full(len(one), one.frame, np.int64) for one in found]),
        np.concatenate([x for x, _ in places]),
        np.concatenate([y for _, y in places]),
        np.concatenate([one.error_px for one in found]),
        np.concatenate([one.snr for one in found]),
    )


def _moves(line: Line, times: Floats, wander: float) -> bool:
    """Return whether an object moves farther than stars do: if the field rotates, stars move about the common shift."""
    moved = line.rate * float(np.ptp(times))
    return moved >= _LEAST_MOTION_PX + _WANDER * wander and line.rate >= _RATE_SIGMA * line.rate_error


def _on_light(points: Points, compared: Compared) -> NDArray[np.bool_]:
    """Return which points are fainter than the residual that a star or the rim of a reflection may leave there."""
    allowance, box = compared.template.allowance, compared.template.box
    rows, columns = allowance.shape
    row = np.clip(np.rint(points.y).astype(int), 0, rows - 1)
    column = np.clip(np.rint(points.x).astype(int), 0, columns - 1)
    noise = np.array([compared.skies[int(frame)].noise for frame in points.frame])
    return np.asarray(allowance[row, column] > points.snr * noise * box)


def _linked(line: Line, points: Points) -> set[int]:
    return {int(frame) for frame in points.frame[line.members]}


@dataclass(frozen=True)
class _Stars:
    """The shape of stars: their FWHM and, for each frame, the flux ratio of the calibrated to the movers' aperture."""

    fwhm: float
    diameter_px: float
    growth: Floats


def _growth(aligned: AlignedStack, skies: dict[int, FrameSky], diameter_px: float, fwhm: float) -> Floats:
    """Return each frame's ratio of a star's flux in the calibrated aperture to that in the movers'; NaN if unknown."""
    growth, narrow = np.full(len(aligned.cube.images), np.nan), Scene.diameter_of(fwhm)
    for index, sky in skies.items():
        growth[index] = aperture_growth(aligned.frame(index, sky), aligned.sources, diameter_px, narrow)
    return growth


def _scene(
    aligned: AlignedStack, skies: dict[int, FrameSky], light: list[float], stars: _Stars, exposure: float
) -> Scene:
    cube, growth, fwhm = aligned.cube, stars.growth, stars.fwhm
    typical = float(np.nanmedian(growth)) if np.isfinite(growth).any() else 1.0
    exponent, width = moffat_of(typical, fwhm, stars.diameter_px, Scene.diameter_of(fwhm))
    return Scene(
        cube.images,
        aligned.background,
        [skies.get(index) for index in range(len(cube.images))],
        cube.masks,
        aligned.shifts,
        light,
        fwhm,
        [width * (one / fwhm if np.isfinite(one) else 1.0) for one in aligned.fwhm],
        exponent,
        np.where(np.isfinite(growth), growth, typical).tolist(),
        cube.detector.gain.e_per_adu,
        exposure,
    )


def _off_lines(points: Points, moving: list[Line], on_light: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which points are bright enough for a flare, and are not explained otherwise.

    The residual of a star or of a reflection (``on_light``) explains a point, and so does the line of a moving object.
    """
    free = (points.snr >= _FLARE_SNR) & ~on_light
    for line in moving:
        free[line.members] = False
    return free


def _off_sources(points: Points, sources: Sources, fwhm: float, wander: float) -> NDArray[np.bool_]:
    """Return which points are not near a source of the stack; light near a source is measured as part of the source."""
    if not len(sources):
        return np.ones(len(points), np.bool_)
    near, _ = cKDTree(np.column_stack([sources.x, sources.y])).query(np.column_stack([points.x, points.y]))
    return np.asarray(near > max(REACH_PX, 2 * fwhm) + _WANDER / 2 * wander)
