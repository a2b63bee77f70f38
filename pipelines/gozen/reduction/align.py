"""From calibrated frames to a stack: find each frame's shift against one of them, average, detect, measure again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate import Image
from gozen.photometry.centroid import bright_peaks, star_fwhm
from gozen.photometry.detect import Sources, detect
from gozen.photometry.register import UNSHIFTED, Anchors, Shift, choose_anchors, measure_shift
from gozen.photometry.stack import Stack, stack_frames
from gozen.quality.gates import FrameLevel
from gozen.reduction.frames import CalibratedCube
from gozen.settings import DetectionSettings

_STRONG = 50
_PEAK_SIGMA = 8.0
_PEAKS = 400
_FIRST_ANCHORS = 50
_PEAK_WINDOW_PX = 2.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AlignedStack:
    """The stack of a cube, its sources, and where each frame stands against it.

    Parameters
    ----------
    background
        Map that was subtracted from the stack to detect, ADU.
    shifts
        Of every frame against the stack.
    fwhm
        Of the stars on every frame, pixels.
    """

    stack: Stack
    sources: Sources
    background: Image
    shifts: list[Shift]
    fwhm: list[float]


def align(cube: CalibratedCube, skip: int, saturation_adu: float, settings: DetectionSettings) -> AlignedStack:
    """Stack a cube whose frames may have drifted, and find its sources.

    The first pass measures shifts against the middle frame, whose stars are few and noisy; the second against the
    stack.

    Parameters
    ----------
    skip
        First frames that are measured but not stacked.
    saturation_adu
        Stars close to it do not serve as anchors.
    """
    chosen = cube.for_stack(skip)
    rough = _against_middle(cube, chosen, saturation_adu)
    stack = stack_frames(cube.images, cube.masks, rough, chosen)
    sources, background = detect(stack.image, stack.weight, settings)
    anchors = _anchors(stack.image, sources, saturation_adu)
    typical = float(np.median(background[::8, ::8]))
    shifts, fwhm = [], []
    for image, guess, level in zip(cube.images, rough, cube.levels, strict=True):
        excess = level.background - typical
        shift = measure_shift(image, anchors, guess, excess)
        shifts.append(shift)
        window = anchors.fwhm / 2.3548 * 1.5
        fwhm.append(star_fwhm(image, *shift.place(anchors.x, anchors.y), window, anchors.sky + excess))
    return AlignedStack(stack, sources, background, shifts, fwhm)


def _against_middle(cube: CalibratedCube, chosen: list[int], saturation_adu: float) -> list[Shift]:
    middle = chosen[len(chosen) // 2]
    anchors = _first_anchors(cube.images[middle], cube.levels[middle], saturation_adu)
    shifts = {middle: Shift(0.0, 0.0, 0.0, len(anchors.x))}
    # Outwards from the middle, so that each guess is that of a neighbour in time.
    for order in (range(middle + 1, len(cube.images)), range(middle - 1, -1, -1)):
        guess = UNSHIFTED
        for index in order:
            excess = cube.levels[index].background - cube.levels[middle].background
            guess = measure_shift(cube.images[index], anchors, guess, excess)
            shifts[index] = guess
    return [shifts[index] for index in range(len(cube.images))]


def _first_anchors(image: Image, level: FrameLevel, saturation_adu: float) -> Anchors:
    """Choose anchors on a single frame by its highest peaks: a real detection would cost as much as the stack's."""
    x, y, height = bright_peaks(image, level.background + _PEAK_SIGMA * level.noise)
    x, y, height = x[:_PEAKS], y[:_PEAKS], height[:_PEAKS] - level.background
    fwhm = star_fwhm(image, x, y, _PEAK_WINDOW_PX, level.background)
    fwhm = float(np.clip(fwhm, 1.2, 20.0)) if np.isfinite(fwhm) else 2.5
    usable = (height + level.background < 0.8 * saturation_adu) & _alone(x, y, 4 * fwhm)
    return choose_anchors(image, x, y, height, usable, fwhm, level.background, most=_FIRST_ANCHORS)


def _alone(x: Floats, y: Floats, reach_px: float) -> NDArray[np.bool_]:
    """Tell which places have no other one within reach."""
    if len(x) == 0:
        return np.zeros(0, bool)
    near = np.hypot(x[:, None] - x, y[:, None] - y) < reach_px
    return np.asarray(near.sum(axis=1) == 1)


def _anchors(image: Image, sources: Sources, saturation_adu: float) -> Anchors:
    usable = ~sources.merged & (sources.peak + sources.background < 0.8 * saturation_adu)
    strong = usable & (sources.flux > _STRONG * sources.noise)
    chosen = strong if strong.sum() >= 3 else usable
    return choose_anchors(image, sources.x, sources.y, sources.flux, chosen, sources.fwhm, sources.background)
