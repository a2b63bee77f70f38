"""Align calibrated frames: measure shifts, average, detect sources, measure the shifts again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image
from gozen.photometry.centroids import bright_peaks, star_fwhm
from gozen.photometry.detect_sources import Sources, detect
from gozen.photometry.frame_shift import UNSHIFTED, Anchors, AnchorStars, Shift, choose_anchors, measure_shift
from gozen.photometry.mean_stack import Stack, stack_frames
from gozen.photometry.placed_frame import PlacedFrame
from gozen.photometry.sky_background import FrameSky
from gozen.photometry.star_elongation import star_elongation
from gozen.quality.gates import FrameLevel
from gozen.reduction.calibrated_frames import CalibratedCube, check_any_good, without_trailed
from gozen.settings import DetectionSettings, GateSettings

_STRONG = 50
_PEAK_SIGMA = 8.0
_PEAKS = 400
_FIRST_ANCHORS = 50
_PEAK_WINDOW_PX = 2.0
_WINDOW = 1.5
"""Width of the window in which the shapes of stars are measured, relative to the width of the stars."""
_REFERENCES = 5
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RoughAlignment:
    """The shifts of a cube's frames relative to one of them.

    Parameters
    ----------
    cube
        The frames; trailed ones are rejected, possibly all.
    skip
        Number of frames at the start that are measured but not stacked.
    shifts, elongation
        As in `AlignedStack`, but shifts are relative to one frame.
    """

    cube: CalibratedCube
    skip: int
    shifts: list[Shift]
    elongation: list[float]


@dataclass(frozen=True)
class AlignedStack:
    """The stack of a cube, its sources, and the shift of each frame relative to it.

    Parameters
    ----------
    cube
        The frames; trailed ones are rejected.
    background
        Background map that was subtracted from the stack before detection, ADU.
    shifts
        Shift of every frame relative to the stack.
    fwhm
        FWHM of the stars on every frame, pixels.
    elongation
        Ratio of the stars' length to their width, for every frame.
    """

    cube: CalibratedCube
    stack: Stack
    sources: Sources
    background: Image
    shifts: list[Shift]
    fwhm: list[float]
    elongation: list[float]

    def frame(self, index: int, sky: FrameSky) -> PlacedFrame:
        """Return a frame with its mask, its shift relative to the stack, and its sky."""
        return PlacedFrame(self.cube.images[index], self.cube.masks[index], self.shifts[index], sky)


def align_roughly(cube: CalibratedCube, skip: int, gates: GateSettings) -> RoughAlignment:
    """Measure the shifts of the frames relative to one near the middle, and reject trailed frames.

    Frames may be shifted and rotated.

    Parameters
    ----------
    skip
        Number of frames at the start that are measured but not stacked.
    """
    shifts, elongation = _against_middle(cube, cube.for_stack(skip), gates.elongation)
    return RoughAlignment(without_trailed(cube, elongation, gates), skip, shifts, elongation)


def align(rough: RoughAlignment, settings: DetectionSettings) -> AlignedStack:
    """Stack the frames, detect the sources of the stack, and measure the shifts again relative to the stack.

    The rough alignment used the stars of one frame, which are few and noisy.

    Raises
    ------
    Rejected
        All frames are trailed.
    """
    cube = rough.cube
    check_any_good(cube)
    stack = stack_frames(cube.images, cube.masks, rough.shifts, cube.for_stack(rough.skip))
    sources, background = detect(stack.image, stack.weight, settings)
    anchors = _anchors(stack.image, sources, cube.detector.saturation_adu)
    typical = float(np.median(background[::8, ::8]))
    shifts, fwhm = [], []
    for image, guess, level in zip(cube.images, rough.shifts, cube.levels, strict=True):
        excess = level.background - typical
        shift = measure_shift(image, anchors, guess, excess)
        shifts.append(shift)
        window = anchors.fwhm / 2.3548 * _WINDOW
        fwhm.append(star_fwhm(image, *shift.place(anchors.x, anchors.y), window, anchors.sky + excess))
    return AlignedStack(cube, stack, sources, background, shifts, fwhm, rough.elongation)


def _against_middle(cube: CalibratedCube, chosen: list[int], longest: float) -> tuple[list[Shift], list[float]]:
    """Return the shift of each frame relative to one near the middle, and the elongation of its stars."""
    middle, anchors, long = _reference(cube, chosen, longest)
    shifts, elongation = {middle: Shift(0.0, 0.0, 0.0, len(anchors.x))}, {middle: long}
    # Outwards from the middle: the first guess of each shift is that of the previous neighbour in time.
    for order in (range(middle + 1, len(cube.images)), range(middle - 1, -1, -1)):
        guess = UNSHIFTED
        for index in order:
            image, level = cube.images[index], cube.levels[index]
            excess = level.background - cube.levels[middle].background
            guess = shifts[index] = measure_shift(image, anchors, guess, excess)
            elongation[index] = _elongation(image, level, anchors, guess, excess)
    return [shifts[index] for index in range(len(shifts))], [elongation[index] for index in range(len(shifts))]


def _reference(cube: CalibratedCube, chosen: list[int], longest: float) -> tuple[int, Anchors, float]:
    """Return the frame nearest the middle with round stars, else the middle one; its anchor stars, their elongation."""
    middle, saturation_adu = len(chosen) // 2, cube.detector.saturation_adu
    found: list[tuple[int, Anchors, float]] = []
    for index in (chosen[k] for k in sorted(range(len(chosen)), key=lambda k: abs(k - middle))[:_REFERENCES]):
        anchors = _first_anchors(cube.images[index], cube.levels[index], saturation_adu)
        long = _elongation(cube.images[index], cube.levels[index], anchors, Shift(0.0, 0.0, 0.0, len(anchors.x)), 0.0)
        found.append((index, anchors, long))
        if not long > longest:
            return found[-1]
    return found[0]


def _elongation(image: Image, level: FrameLevel, anchors: Anchors, shift: Shift, excess: float) -> float:
    """Return the elongation of the anchor stars; if they are not found (perhaps trailed), of the highest peaks."""
    window = anchors.fwhm / 2.3548 * _WINDOW
    if shift.measured:
        return star_elongation(image, *shift.place(anchors.x, anchors.y), window, anchors.sky + excess)
    x, y, _ = bright_peaks(image, level.background + _PEAK_SIGMA * level.noise)
    return star_elongation(image, x[:_FIRST_ANCHORS], y[:_FIRST_ANCHORS], window, level.background)


def _first_anchors(image: Image, level: FrameLevel, saturation_adu: float) -> Anchors:
    """Choose anchor stars among the highest peaks of one frame: a full detection would take as long as the stack's."""
    x, y, height = bright_peaks(image, level.background + _PEAK_SIGMA * level.noise)
    x, y, height = x[:_PEAKS], y[:_PEAKS], height[:_PEAKS] - level.background
    fwhm = star_fwhm(image, x, y, _PEAK_WINDOW_PX, level.background)
    fwhm = float(np.clip(fwhm, 1.2, 20.0)) if np.isfinite(fwhm) else 2.5
    usable = (height + level.background < 0.8 * saturation_adu) & _alone(x, y, 4 * fwhm)
    stars = AnchorStars(x, y, height, usable, fwhm, level.background)
    return choose_anchors(image, stars, most=_FIRST_ANCHORS)


def _alone(x: Floats, y: Floats, reach_px: float) -> NDArray[np.bool_]:
    """Return which positions have no other one within reach."""
    if len(x) == 0:
        return np.zeros(0, bool)
    near = np.hypot(x[:, None] - x, y[:, None] - y) < reach_px
    return np.asarray(near.sum(axis=1) == 1)


def _anchors(image: Image, sources: Sources, saturation_adu: float) -> Anchors:
    usable = ~sources.merged & (sources.peak + sources.background < 0.8 * saturation_adu)
    strong = usable & (sources.flux > _STRONG * sources.noise)
    chosen = strong if strong.sum() >= 3 else usable
    stars = AnchorStars(sources.x, sources.y, sources.flux, chosen, sources.fwhm, sources.background)
    return choose_anchors(image, stars)
