"""Cut out frames around a moving object, and subtract the mean of the other frames. Compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image, Mask
from gozen.movers.trail_profile import Optics, add_trail

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
_MOST = 32
_FEWEST = 3
_CLEAR_FWHM = 2.5
_TRIMMED = 8
"""Of every 8 values, the highest and the lowest are left out: cosmic-ray hits, flashes and other movers."""


@dataclass(frozen=True)
class Stamps:
    """Square cutouts around an object, one for each frame; arrays of shape (frames,) unless noted otherwise.

    Parameters
    ----------
    images, masks, background
        All frames of the cube and their masks, and the map of the stack's sky.
    index
        Indices of the frames.
    column, row
        Middle of each square on the stack, pixels.
    dx, dy
        Shift of each frame at its square, whole pixels.
    rest_of_shift
        Remaining fraction of the shifts, pixels, shape (2, frames).
    excess
        Sky of a frame minus sky of the stack at each square, ADU, shape (squares, frames).
    light
        Ratio of the stars' flux on each frame to that on the stack.
    weight
        Inverse variance of a frame's pixels, after division by ``light``.
    others
        For each square, the frames from which its sky is measured, as positions in ``index``, shape (frames, most).
    """

    images: Image
    masks: Mask
    background: Image
    index: Whole
    column: Whole
    row: Whole
    dx: Whole
    dy: Whole
    rest_of_shift: Floats
    excess: Floats
    light: Floats
    weight: Floats
    others: Whole

    def within(self, place: Floats, half: int) -> Floats:
        """Convert positions on the stack to pixels of each frame's square, shape (2, frames)."""
        return np.asarray(place + self.rest_of_shift - np.stack([self.column, self.row]) + half)

    def corner(self, half: int) -> Whole:
        """Return x and y on the frame of the first pixel of each square, shape (2, frames)."""
        return np.asarray(np.stack([self.column + self.dx, self.row + self.dy]) - half)

    def without(self, half: int, place: Floats, flux: Floats, optics: Optics) -> Floats:
        """Return the squares minus their sky, shape (frames, side, side), ADU.

        Pixels off the image are NaN. Pixels without a measured sky are 0.

        Parameters
        ----------
        half
            Half of the side without the middle pixel: the side is ``2 * half + 1``.
        place
            Position of the object on the stack, pixels, shape (2, frames).
        flux
            Flux of the object on each frame, divided by ``light``, ADU.
        """
        x, y = place + self.rest_of_shift
        return np.asarray(
            _rests(
                *(self.images, self.masks, self.background, self.index, self.column, self.row, self.dx, self.dy),
                *(self.excess, self.light, self.weight, self.others, x, y, flux),
                *(optics.motion, optics.widths, optics.table, half),
            )
        )


def which_others(x: Floats, y: Floats, fwhm: float) -> Whole:
    """Choose the frames from which the sky under an object is measured, for each of its frames.

    In a short cube the result is all other frames; in a long one, the nearest frames in time on which the object is at
    another position.

    Parameters
    ----------
    x, y
        Position of the object on each frame, in pixels of the stack, shape (frames,).
    fwhm
        Full width at half maximum of the stars, pixels.
    """
    count = len(x)
    most = min(_MOST, count - 1)
    out = np.full((count, max(most, 0)), -1, np.int64)
    for k in range(count):
        away = np.hypot(x - x[k], y - y[k])
        order = np.where(away > _CLEAR_FWHM * fwhm, np.abs(np.arange(count) - k), count + 1 / (1 + away))
        order[k] = np.inf
        out[k] = np.sort(np.argsort(order, kind="stable")[:most])
    return out


@njit(cache=True)
def _rests(
    images: Any, masks: Any, background: Any, index: Any, column: Any, row: Any, dx: Any, dy: Any,
    excess: Any, light: Any, weight: Any, others: Any, x: Any, y: Any, flux: Any, motion: Any,
    widths: Any, table: Any, half: int,
) -> Any:  # pragma: no cover (compiled)  # fmt: skip
    count, side, most = len(index), 2 * half + 1, others.shape[1]
    out = np.full((count, side, side), np.nan)
    values, weights = np.zeros((most, side, side)), np.zeros((most, side, side))
    column_values, column_weights = np.zeros(most), np.zeros(most)
    own, used, model = np.zeros((side, side)), np.zeros((side, side)), np.zeros((side, side))
    trail = np.hypot(motion[0], motion[1])
    for k in range(count):
        for i in range(most):
            j = others[k, i]
            if j < 0:
                weights[i] = 0
                continue
            model[:] = 0
            px, py = x[j] - column[k] + half, y[j] - row[k] + half
            if flux[j] > 0 and max(abs(px - half), abs(py - half)) < half + 3 * widths[j] + trail:
                add_trail(model, px, py, motion, widths[j], flux[j], table, False)
            _cut(
                *(images[index[j]], masks[index[j]], background, column[k], row[k], dx[j], dy[j], excess[k, j]),
                *(light[j], weight[j], model, values[i], weights[i]),
            )
        model[:] = 0
        _cut(
            *(images[index[k]], masks[index[k]], background, column[k], row[k], dx[k], dy[k], excess[k, k]),
            *(1.0, 1.0, model, own, used),
        )
        for r in range(side):
            for c in range(side):
                for i in range(most):
                    column_values[i], column_weights[i] = values[i, r, c], weights[i, r, c]
                sky = _typical(column_values, column_weights)
                # Multiplication by 0 gives 0 for a pixel whose sky is unknown, and keeps NaN for a pixel off the image.
                known = used[r, c] > 0 and not np.isnan(sky)
                out[k, r, c] = own[r, c] - light[k] * sky if known else own[r, c] * 0.0
    return out


@njit(cache=True)
def _typical(values: Any, weights: Any) -> float:  # pragma: no cover (compiled)
    """Return the weighted mean of the values without the extremes; NaN for fewer than three values with a weight."""
    count = 0
    total, norm = 0.0, 0.0
    for i in range(len(values)):
        if weights[i] > 0:
            count += 1
            total += weights[i] * values[i]
            norm += weights[i]
    if count < _FEWEST:
        return np.nan
    for _ in range(count // _TRIMMED):
        low, high = -1, -1
        lowest, highest = np.inf, -np.inf
        for i in range(len(values)):
            if weights[i] > 0:
                if values[i] < lowest:
                    low, lowest = i, values[i]
                if values[i] >= highest:
                    high, highest = i, values[i]
        for i in (low, high):
            total -= weights[i] * values[i]
            norm -= weights[i]
            weights[i] = 0.0
    return total / norm


@njit(cache=True)
def _cut(
    image: Any, mask: Any, background: Any, column: int, row: int, dx: int, dy: int, excess: float,
    light: float, weight: float, model: Any, values: Any, weights: Any,
) -> None:  # pragma: no cover (compiled)  # fmt: skip
    """Cut a square out of a frame, minus its sky and a model of the object.

    Pixels beyond the image are NaN with weight 0. Saturated and dead pixels have weight 0.
    """
    rows, columns = image.shape
    side = len(values)
    top, left = row - side // 2, column - side // 2
    c0, c1 = max(0, -left, -left - dx), min(side, columns - left, columns - left - dx)
    for r in range(side):
        sr, fr = top + r, top + r + dy
        if not (0 <= sr < rows and 0 <= fr < rows) or c1 <= c0:
            values[r], weights[r] = np.nan, 0
            continue
        values[r, :c0], weights[r, :c0] = np.nan, 0
        values[r, c1:], weights[r, c1:] = np.nan, 0
        for c in range(c0, c1):
            light_here = image[fr, left + dx + c] - background[sr, left + c] - excess
            values[r, c] = light_here / light - model[r, c]
            weights[r, c] = weight if mask[fr, left + dx + c] == 0 else 0.0
