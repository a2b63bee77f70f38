"""The stack without moving objects, and the difference of each frame from it."""

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
"""From which number a third of the frames is quiet enough to stand for the stack."""


@dataclass(frozen=True)
class Compared:
    """The frames of a cube and what they are compared with; lists have one entry for each frame.

    Parameters
    ----------
    skies
        What each good frame's sky has above the template's background.
    sources
        Of the stack; their background is that of the template.
    light
        The stars' light over that on the stack.
    alone
        Whether there is but one frame, which is compared with its background: only trails can be told from stars.
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
        """Return a good frame."""
        return PlacedFrame(self.images[index], self.masks[index], self.shifts[index], self.skies[index])

    def rest(self, index: int) -> Image:
        """Return the difference of a frame, ADU."""
        return difference(self.frame(index), self.template, self.light[index])

    def rest_at(self, index: int, x: Floats, y: Floats) -> Floats:
        """Return the difference of a frame at places between its pixels, ADU; NaN where nothing is known."""
        return difference_at(self.frame(index), self.template, self.light[index], x, y)


@dataclass(frozen=True)
class _Ground:
    """What differences are made from: a stack, its background, and the skies of the frames above that."""

    stack: Stack
    background: Image
    sources: Sources
    skies: dict[int, FrameSky]


def compare(frames: list[int], fwhm: float, aligned: AlignedStack, skies: dict[int, FrameSky]) -> Compared:
    """Prepare the comparison of a cube's frames with their stack.

    Parameters
    ----------
    frames
        Numbers of those that are compared.
    fwhm
        Of the stars, pixels.
    skies
        Of each good frame against the stack.
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
    """Return the stack of the frames without their skies."""
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
