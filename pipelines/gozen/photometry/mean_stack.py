"""Average the frames of a cube, each aligned by the nearest pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import SATURATED, Image, Mask
from gozen.photometry.frame_shift import Shift

Frames = Image | Sequence[Image]
Masks = Mask | Sequence[Mask]


@dataclass(frozen=True)
class Stack:
    """The mean of the frames of one cube.

    Parameters
    ----------
    image
        The mean, shape of the active area, ADU; 0 in pixels that no frame covers.
    weight
        Number of frames averaged in each pixel.
    mask
        Bits of the pixels that are saturated or dead on any frame, as in `gozen.calibration.calibrate_frame`. Pixels
        that no frame covers are marked as saturated.
    frames
        Indices of the averaged frames.
    """

    image: Image
    weight: NDArray[np.int16]
    mask: Mask
    frames: tuple[int, ...]


def stack_frames(images: Frames, masks: Masks, shifts: list[Shift], frames: list[int]) -> Stack:
    """Average the chosen frames.

    Frames are shifted by whole pixels, without interpolation, because detection needs independent noise in
    neighbouring pixels. The rest of a shift, at most half a pixel, is contained in the positions measured on the
    frame. For a rotated frame, each pixel of the stack takes the nearest pixel of the frame.

    Parameters
    ----------
    images, masks, shifts
        Images, masks and shifts of all frames of the cube; images and masks of shape (frames, rows, columns).
    frames
        Indices of the frames to average; at least one.
    """
    chosen = np.array(frames)
    if any(shifts[index].turn is not None for index in frames):
        mean, weight, mask = _turned_mean(np.asarray(images), np.asarray(masks), _terms(shifts, frames), chosen)
        return Stack(mean, weight, mask, tuple(frames))
    dx, dy = (np.array([round(value) for value in axis]) for axis in zip(*((s.dx, s.dy) for s in shifts), strict=True))
    mean, weight, mask = _mean(np.asarray(images), np.asarray(masks), dx[chosen], dy[chosen], chosen)
    return Stack(mean, weight, mask, tuple(frames))


def _terms(shifts: list[Shift], frames: list[int]) -> NDArray[np.float64]:
    """Return for each frame the position of the stack's first pixel, and its change per pixel along x and along y."""
    x, y = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    placed = np.array([shifts[index].place(x, y) for index in frames])
    return np.stack([placed[..., 0], placed[..., 1] - placed[..., 0], placed[..., 2] - placed[..., 0]], axis=1)


@njit(cache=True, error_model="numpy")
def _turned_mean(images: Any, masks: Any, terms: Any, chosen: Any) -> Any:  # pragma: no cover (compiled)
    """Average the nearest pixel of each frame; a pixel that only some frames cover is the mean over these frames."""
    rows, columns = images.shape[1:]
    mean = np.zeros((rows, columns), np.float32)
    weight = np.zeros((rows, columns), np.int16)
    mask = np.zeros((rows, columns), np.uint8)
    for y in range(rows):
        for k in range(len(chosen)):
            image, flags = images[chosen[k]], masks[chosen[k]]
            (x0, y0), (xx, yx), (xy, yy) = terms[k, 0], terms[k, 1], terms[k, 2]
            for x in range(columns):
                column, row = int(np.rint(x0 + xx * x + xy * y)), int(np.rint(y0 + yx * x + yy * y))
                if 0 <= column < columns and 0 <= row < rows:
                    mean[y, x] += image[row, column]
                    weight[y, x] += 1
                    mask[y, x] |= flags[row, column]
        for x in range(columns):
            mean[y, x] /= np.float32(max(weight[y, x], 1))
            mask[y, x] |= np.uint8(SATURATED) if weight[y, x] == 0 else np.uint8(0)
    return mean, weight, mask


@njit(cache=True, error_model="numpy")
def _mean(images: Any, masks: Any, dx: Any, dy: Any, chosen: Any) -> Any:  # pragma: no cover (compiled)
    """Average row by row, so that the sums remain in the processor's cache while each frame is read once."""
    rows, columns = images.shape[1:]
    mean = np.zeros((rows, columns), np.float32)
    weight = np.zeros((rows, columns), np.int16)
    mask = np.zeros((rows, columns), np.uint8)
    for y in range(rows):
        for k in range(len(chosen)):
            there = y + dy[k]
            if 0 <= there < rows:
                _add(images[chosen[k], there], masks[chosen[k], there], dx[k], mean[y], weight[y], mask[y])
        for x in range(columns):
            mean[y, x] /= np.float32(max(weight[y, x], 1))
            mask[y, x] |= np.uint8(SATURATED) if weight[y, x] == 0 else np.uint8(0)
    return mean, weight, mask


@njit(cache=True)
def _add(row: Any, flags: Any, dx: int, total: Any, weight: Any, mask: Any) -> None:  # pragma: no cover (compiled)
    """Add one row of a frame that is shifted by dx pixels."""
    begin, end = max(-dx, 0), min(len(row) - dx, len(row))
    count = max(end - begin, 0)
    total, weight, mask = total[begin : begin + count], weight[begin : begin + count], mask[begin : begin + count]
    row, flags = row[begin + dx : begin + dx + count], flags[begin + dx : begin + dx + count]
    for x in range(count):
        total[x] += row[x]
        weight[x] += 1
        mask[x] |= flags[x]
