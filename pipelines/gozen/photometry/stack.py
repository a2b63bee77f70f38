"""The temporal mean of a cube, with every frame moved back by whole pixels where it drifted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.calibration.calibrate import SATURATED, Image, Mask
from gozen.photometry.register import Shift


@dataclass(frozen=True)
class Stack:
    """The mean of the frames of one cube.

    Parameters
    ----------
    image
        Shape of the active area, ADU of one frame; 0 where no frame reaches.
    weight
        Frames that each pixel is the mean of.
    mask
        Pixels that are saturated or dead on a frame, as in `gozen.calibration.calibrate`.
    frames
        Which frames went in.
    """

    image: Image
    weight: NDArray[np.int16]
    mask: Mask
    frames: tuple[int, ...]


def stack_frames(images: list[Image], masks: list[Mask], shifts: list[Shift], frames: list[int]) -> Stack:
    """Average the chosen frames.

    Whole pixels keep the noise of neighbouring pixels independent, which detection relies on; the rest of a shift, at
    most half a pixel, is in the positions measured on the frame.

    Parameters
    ----------
    images, masks, shifts
        Of every frame of the cube.
    frames
        Indices of those to average; at least one.
    """
    shape = images[0].shape
    total = np.zeros(shape, np.float32)
    weight = np.zeros(shape, np.int16)
    mask = np.zeros(shape, np.uint8)
    for index in frames:
        here, there = overlap(shape, round(shifts[index].dx), round(shifts[index].dy))
        total[here] += images[index][there]
        weight[here] += 1
        mask[here] |= masks[index][there]
    mask[weight == 0] |= SATURATED
    mean = np.divide(total, np.maximum(weight, 1), dtype=np.float32)
    return Stack(mean, weight, mask, tuple(frames))


def overlap(shape: tuple[int, ...], dx: int, dy: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the slices of the reference, and of a frame shifted by (dx, dy), that see the same sky."""
    rows, columns = shape
    here = slice(max(-dy, 0), max(rows - max(dy, 0), 0)), slice(max(-dx, 0), max(columns - max(dx, 0), 0))
    there = slice(max(dy, 0), max(rows + min(dy, 0), 0)), slice(max(dx, 0), max(columns + min(dx, 0), 0))
    return here, there
