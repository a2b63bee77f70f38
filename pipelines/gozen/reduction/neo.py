"""What moves and what flashes on one sensor's exposure: candidates of every frame, their lines, trails and flares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gozen.calibration.calibrate import Detector, Image
from gozen.frames.raw import RawCube
from gozen.movers.candidates import Candidates, find_candidates
from gozen.movers.flares import REACH_PX, Flare, group_flares
from gozen.movers.measure import Scene, Track, aperture_growth, follow
from gozen.movers.profile import moffat_of
from gozen.movers.streaks import Streak, find_streaks, link_streaks
from gozen.movers.template import Template, difference, lower_stack, make_template, sharpest_star, star_light
from gozen.movers.tracklets import Line, Points, link
from gozen.photometry.sky import FrameSky
from gozen.photometry.stack import stack_frames
from gozen.reduction.align import AlignedStack
from gozen.reduction.frames import CalibratedCube
from gozen.settings import MoverSettings

Floats = NDArray[np.float64]
_FLARE_SNR = 5.0
_LEAST_MOTION_PX = 3.0
_RATE_SIGMA = 5.0
_THIRD_FRAMES = 3
"""From which number a third of the frames is quiet enough to stand for the stack."""


@dataclass(frozen=True)
class Found:
    """What is on frames and not on the stack.

    Parameters
    ----------
    tracks
        Moving objects, measured.
    chains
        Trails within a frame; those of one object together.
    flares
        What does not move.
    hits
        Candidates that are sharper than a star.
    """

    tracks: list[Track]
    chains: list[list[Streak]]
    flares: list[Flare]
    hits: int


def find_moving(
    cube: RawCube,
    calibrated: CalibratedCube,
    aligned: AlignedStack,
    skies: dict[int, FrameSky],
    detector: Detector,
    diameter_px: float,
    settings: MoverSettings,
) -> Found:
    """Find what moves, trails or flashes.

    Parameters
    ----------
    skies
        Of each good frame.
    diameter_px
        Of the calibrated aperture.
    """
    frames = [index for index in calibrated.good if aligned.shifts[index].measured or cube.nframe == 1]
    fwhm = float(np.nanmedian([aligned.fwhm[index] for index in frames])) if frames else float("nan")
    if not np.isfinite(fwhm):
        return Found([], [], [], 0)
    alone = cube.nframe == 1
    found, streaks, light = _peaks(frames, fwhm, calibrated, aligned, skies, settings, alone)
    times = frame_times(cube)
    exposure = cube.header.exposure_s / frame_step_s(cube)
    chains = link_streaks(streaks, times, exposure)
    if alone:
        return Found([], chains, [], 0)
    points = _points([one.where(~one.sharp) for one in found], aligned)
    lines = link(
        points,
        times,
        aligned.stack.image.shape,
        settings.maximum_rate_px,
        settings.minimum_points,
        settings.minimum_significance,
    )
    moving = [line for line in lines if _moves(line, times[points.frame[line.members]])]
    tracks: list[Track] = []
    if moving:
        scene = _scene(calibrated, aligned, skies, light, fwhm, detector, diameter_px, exposure)
        tracks = [follow(line, _linked(line, points), times, frames, scene) for line in moving]
    flares = _flares(points, moving, aligned, fwhm, settings, cube.nframe)
    kept = [track for track in tracks if _is_sure(track, settings)]
    return Found(kept, chains, flares, int(sum(one.sharp.sum() for one in found)))


def _is_sure(track: Track, settings: MoverSettings) -> bool:
    long_enough = len(track.frame) >= settings.minimum_points
    return long_enough and bool(np.median(track.flux / track.flux_err) >= settings.minimum_snr)


def _peaks(
    frames: list[int],
    fwhm: float,
    calibrated: CalibratedCube,
    aligned: AlignedStack,
    skies: dict[int, FrameSky],
    settings: MoverSettings,
    alone: bool,
) -> tuple[list[Candidates], list[Streak], list[float]]:
    """Return what each good frame has and the stack has not: peaks and trails; and the light of each frame's stars."""
    image = _compared_with(calibrated, aligned, skies, frames)
    template = make_template(aligned.stack, image, aligned.background, aligned.sources, fwhm)
    light = [1.0] * len(calibrated.images)
    found: list[Candidates] = []
    streaks: list[Streak] = []
    for index in frames:
        if not alone:
            light[index] = star_light(
                calibrated.images[index],
                calibrated.masks[index],
                template,
                aligned.sources,
                aligned.shifts[index],
                skies[index],
            )
        one, trails = _of_frame(index, light[index], calibrated, aligned, skies[index], template, settings, alone)
        found.append(one)
        streaks += trails
    return found, streaks, light


def _compared_with(
    calibrated: CalibratedCube, aligned: AlignedStack, skies: dict[int, FrameSky], frames: list[int]
) -> Image:
    third = len(frames) // 3
    if third < _THIRD_FRAMES:
        return aligned.stack.image
    parts = []
    for chosen in (frames[:third], frames[-third:]):
        part = stack_frames(calibrated.images, calibrated.masks, aligned.shifts, chosen)
        excess = np.mean([skies[index].excess for index in chosen], axis=0)
        parts.append((part, FrameSky(excess, skies[chosen[0]].cell, skies[chosen[0]].noise)))
    return lower_stack(aligned.stack, parts)


def frame_step_s(cube: RawCube) -> float:
    """Return the typical time from frame to frame, seconds."""
    if cube.nframe == 1:
        return float(cube.header.frame_time_s or cube.header.exposure_s)
    return float(np.median(np.diff(cube.start)) * 86400)


def frame_times(cube: RawCube) -> Floats:
    """Return the start of each frame in units of the typical time from frame to frame."""
    return np.asarray((cube.start - cube.start[0]) * 86400 / frame_step_s(cube))


def _of_frame(
    index: int,
    light: float,
    calibrated: CalibratedCube,
    aligned: AlignedStack,
    sky: FrameSky,
    template: Template,
    settings: MoverSettings,
    alone: bool,
) -> tuple[Candidates, list[Streak]]:
    image, mask, shift = calibrated.images[index], calibrated.masks[index], aligned.shifts[index]
    if alone:
        # Nothing to compare with: only trails can be told from stars.
        empty = np.where(np.isinf(template.allowance), template.allowance, 0)
        template = Template(template.background, template.background, empty, template.box, template.fwhm)
    rest = difference(image, template, light, shift, sky)
    sharpest = sharpest_star(image, template, aligned.sources, shift, sky)
    found = find_candidates(rest, mask, template, shift, sky.noise, sharpest, settings.threshold_sigma, index)
    trails = find_streaks(rest, found, sky.noise, template.fwhm, among_stars=alone)
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


def _moves(line: Line, times: Floats) -> bool:
    moved = line.rate * float(np.ptp(times))
    return moved >= _LEAST_MOTION_PX and line.rate >= _RATE_SIGMA * line.rate_error


def _linked(line: Line, points: Points) -> set[int]:
    return {int(frame) for frame in points.frame[line.members]}


def _scene(
    calibrated: CalibratedCube,
    aligned: AlignedStack,
    skies: dict[int, FrameSky],
    light: list[float],
    fwhm: float,
    detector: Detector,
    diameter_px: float,
    exposure: float,
) -> Scene:
    narrow = Scene.diameter_of(fwhm)
    growth = np.full(len(calibrated.images), np.nan)
    for index, sky in skies.items():
        growth[index] = aperture_growth(
            calibrated.images[index],
            calibrated.masks[index],
            aligned.sources,
            aligned.shifts[index],
            sky,
            diameter_px,
            narrow,
        )
    typical = float(np.nanmedian(growth)) if np.isfinite(growth).any() else 1.0
    exponent, width = moffat_of(typical, fwhm, diameter_px, narrow)
    return Scene(
        calibrated.images,
        aligned.background,
        [skies.get(index) for index in range(len(calibrated.images))],
        calibrated.masks,
        aligned.shifts,
        light,
        fwhm,
        [width * (one / fwhm if np.isfinite(one) else 1.0) for one in aligned.fwhm],
        exponent,
        np.where(np.isfinite(growth), growth, typical).tolist(),
        detector.gain.e_per_adu,
        exposure,
    )


def _flares(
    points: Points,
    moving: list[Line],
    aligned: AlignedStack,
    fwhm: float,
    settings: MoverSettings,
    frames: int,
) -> list[Flare]:
    """Group what is bright, not on a line, and not beside a source of the stack, which is measured there."""
    free = points.snr >= _FLARE_SNR
    for line in moving:
        free[line.members] = False
    sources = aligned.sources
    if len(sources) and free.any():
        near, _ = cKDTree(np.column_stack([sources.x, sources.y])).query(np.column_stack([points.x, points.y]))
        free &= near > max(REACH_PX, 2 * fwhm)
    rows, columns = aligned.stack.image.shape
    return group_flares(points.where(free), frames, rows * columns, settings.flare_significance)
