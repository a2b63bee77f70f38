"""Make the stack without moving objects, and the difference of each frame from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image, Mask
from gozen.movers.levelled_stack import LevelledMean, is_steady, own_sky
from gozen.movers.stack_template import (
    Template,
    difference,
    difference_at,
    lower_stack,
    make_template,
    star_light,
    without_stars,
)
from gozen.photometry.detect_sources import Sources
from gozen.photometry.frame_shift import Shift
from gozen.photometry.mean_stack import Stack, stack_frames
from gozen.photometry.placed_frame import PlacedFrame
from gozen.photometry.sky_background import FrameSky
from gozen.reduction.align_frames import AlignedStack
from gozen.reduction.measure_stars import sky_pixels

Floats = NDArray[np.float64]
_THIRD_FRAMES = 3
"""Fewest frames in a third of the cube for its mean to be quiet enough to replace the stack."""


@dataclass(frozen=True)
class Compared:
    """The frames of a cube and the template that they are compared with; lists have one entry for each frame.

    Parameters
    ----------
    skies
        Sky of each good frame, minus the template's background.
    sources
        Sources of the stack; their background is the template's.
    light
        Flux of the stars relative to their flux on the stack.
    alone
        Whether there is only one frame. It is compared with its background, and only trails can be distinguished
        from stars.
    """

    images: Image
    masks: Mask
    shifts: list[Shift]
    skies: dict[int, FrameSky]
    sources: Sources
    template: Template
    light: list[float]
    alone: bool

    def frame(self, index: int) -> PlacedFrame:
        """Return a good frame with its mask, shift and sky."""
        return PlacedFrame(self.images[index], self.masks[index], self.shifts[index], self.skies[index])

    def rest(self, index: int) -> Image:
        """Return the difference of a frame from the template, ADU."""
        return difference(self.frame(index), self.template, self.light[index])

    def rest_at(self, index: int, x: Floats, y: Floats) -> Floats:
        """Return the difference of a frame interpolated at positions, ADU; NaN where nothing is known."""
        return difference_at(self.frame(index), self.template, self.light[index], x, y)


@dataclass(frozen=True)
class _Ground:
    """The input of the differences: a stack, its background, and the sky of each frame above that background."""

    stack: Stack
    background: Image
    sources: Sources
    skies: dict[int, FrameSky]


def compare(frames: list[int], fwhm: float, aligned: AlignedStack, skies: dict[int, FrameSky]) -> Compared:
    """Prepare the comparison of a cube's frames with their stack.

    Parameters
    ----------
    frames
        Numbers of the frames to compare.
    fwhm
        FWHM of the stars, pixels.
    skies
        Sky of each good frame relative to the stack.
    """
    images, masks, shifts = aligned.cube.images, aligned.cube.masks, aligned.shifts
    alone = len(images) == 1
    steady = is_steady(aligned.stack, [skies[index] for index in aligned.stack.frames if index in skies])
    plain = _Ground(aligned.stack, aligned.background, aligned.sources, skies)
    ground = plain if alone or steady else _levelled(frames, aligned)
    image = _without_movers(frames, aligned, ground, level=ground is not plain)
    template = make_template(ground.stack, image, ground.background, ground.sources, fwhm)
    light = [1.0] * len(images)
    if alone:
        template = without_stars(template)
    else:
        for index in frames:
            frame = aligned.frame(index, ground.skies[index])
            light[index] = star_light(frame, ground.stack.image, ground.sources, fwhm)
    return Compared(images, masks, shifts, ground.skies, ground.sources, template, light, alone)


def _levelled(frames: list[int], aligned: AlignedStack) -> _Ground:
    """Return the stack of the frames, with each frame's own sky subtracted first."""
    is_sky = sky_pixels(aligned)
    skies = {index: own_sky(aligned.cube.images[index], is_sky, aligned.shifts[index]) for index in frames}
    stack = aligned.stack
    chosen = [index for index in stack.frames if index in skies] or frames
    mean = _mean_of(chosen, aligned, skies)
    sources = replace(aligned.sources, background=np.zeros(len(aligned.sources)))
    return _Ground(replace(stack, image=mean.image()), np.zeros_like(stack.image), sources, skies)


def _mean_of(frames: list[int], aligned: AlignedStack, skies: dict[int, FrameSky]) -> LevelledMean:
    nothing = np.zeros_like(aligned.stack.image)
    still = Template(nothing, nothing, nothing, 3, 1.0)
    mean = LevelledMean.of(nothing.shape)
    for index in frames:
        mean.add(difference(aligned.frame(index, skies[index]), still, 1.0), aligned.shifts[index])
    return mean


def _without_movers(frames: list[int], aligned: AlignedStack, ground: _Ground, *, level: bool) -> Image:
    third = len(frames) // 3
    if third < _THIRD_FRAMES:
        return ground.stack.image
    parts = []
    for chosen in (frames[:third], frames[-third:]):
        cell, noise = ground.skies[chosen[0]].cell, ground.skies[chosen[0]].noise
        excess = np.mean([ground.skies[index].excess for index in chosen], axis=0)
        if level:
            mean = _mean_of(chosen, aligned, ground.skies)
            part = Stack(mean.image(), mean.weight, ground.stack.mask, tuple(chosen))
            excess = np.zeros_like(excess)
        else:
            part = stack_frames(aligned.cube.images, aligned.cube.masks, aligned.shifts, chosen)
        parts.append((part, FrameSky(excess, cell, noise)))
    return lower_stack(ground.stack, parts)
