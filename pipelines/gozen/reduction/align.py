"""From calibrated frames to a stack: find each frame's shift against one of them, average, detect, measure again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gozen.calibration.calibrate import Image
from gozen.photometry.centroid import star_fwhm
from gozen.photometry.detect import Sources, detect
from gozen.photometry.register import UNSHIFTED, Anchors, Shift, choose_anchors, measure_shift
from gozen.photometry.stack import Stack, stack_frames
from gozen.reduction.frames import CalibratedCube
from gozen.settings import DetectionSettings

_STRONG = 50


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
    rough = _against_middle(cube, chosen, saturation_adu, settings)
    stack = stack_frames(cube.images, cube.masks, rough, chosen)
    sources, background = detect(stack.image, stack.weight, settings)
    anchors = _anchors(stack.image - background, sources, saturation_adu)
    shifts, fwhm = [], []
    for image, guess, level in zip(cube.images, rough, cube.levels, strict=True):
        flat = image - (background + np.float32(level.background - np.median(background[::8, ::8])))
        shift = measure_shift(flat, anchors, guess)
        shifts.append(shift)
        window = anchors.fwhm / 2.3548 * 1.5
        fwhm.append(star_fwhm(flat, anchors.x + shift.dx, anchors.y + shift.dy, window))
    return AlignedStack(stack, sources, background, shifts, fwhm)


def _against_middle(
    cube: CalibratedCube, chosen: list[int], saturation_adu: float, settings: DetectionSettings
) -> list[Shift]:
    middle = chosen[len(chosen) // 2]
    reference = cube.images[middle]
    sources, background = detect(reference, np.ones(reference.shape, np.int16), settings)
    anchors = _anchors(reference - background, sources, saturation_adu)
    shifts = {middle: Shift(0.0, 0.0, 0.0, len(anchors.x))}
    # Outwards from the middle, so that each guess is that of a neighbour in time.
    for order in (range(middle + 1, len(cube.images)), range(middle - 1, -1, -1)):
        guess = UNSHIFTED
        for index in order:
            guess = measure_shift(cube.images[index] - background, anchors, guess)
            shifts[index] = guess
    return [shifts[index] for index in range(len(cube.images))]


def _anchors(image: Image, sources: Sources, saturation_adu: float) -> Anchors:
    usable = ~sources.merged & (sources.peak + sources.background < 0.8 * saturation_adu)
    strong = usable & (sources.flux > _STRONG * sources.noise)
    return choose_anchors(
        image, sources.x, sources.y, sources.flux, strong if strong.sum() >= 3 else usable, sources.fwhm
    )
