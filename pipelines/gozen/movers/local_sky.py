"""Measure sky level and noise near positions of a difference image; higher values replace the frame's.

Near borders the sky changes within a few pixels (vignetting, stray light), so pixels there are sampled along the
border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image

_TILE, _REACH, _STEP = 32, 32, 4
_BORDER, _PIECE = 48, 16
"""Distance from a border within which pixels are sampled along it, and the length of border that shares one sample,
pixels."""
_LEAST = 16
_SURE = 4.0
"""Number of standard errors by which level and noise must exceed the frame's values to replace them."""


@dataclass(frozen=True)
class LevelGround:
    """A difference of a frame and the stack, in which local level and noise are measured.

    Parameters
    ----------
    rest
        The difference, ADU.
    allowance
        As in `gozen.movers.stack_template.Template`; infinite for pixels that cannot be searched.
    noise
        Noise of one pixel of the frame, ADU.
    dx, dy
        Shift of the frame against the stack, whole pixels.
    """

    rest: Image
    allowance: Image
    noise: float
    dx: int
    dy: int


def clear_hits(hits: NDArray[Any], ground: LevelGround, box: int, threshold: float) -> NDArray[Any]:
    """Return the hits that also exceed the threshold with the local sky level and noise.

    Parameters
    ----------
    hits
        Row, column and box sum of each hit, sorted by row, shape (hits, 3).
    box
        Side of the box, pixels.
    threshold
        Threshold in units of the noise of a box sum.

    Returns
    -------
    The remaining hits, with the local noise of one pixel (ADU) as a fourth column.
    """
    allowance, dx, dy = ground.allowance, ground.dx, ground.dy
    level, spread = _about(hits, ground.rest, allowance, np.float32(ground.noise), dx, dy).T
    more = allowance[hits[:, 0].astype(int) - dy, hits[:, 1].astype(int) - dx]
    above = hits[:, 2] - more - box * box * level > threshold * box * spread
    return np.asarray(np.column_stack([hits, spread])[above])


@njit(cache=True)
def _about(hits: Any, rest: Any, allowance: Any, noise: Any, dx: int, dy: int) -> Any:  # pragma: no cover (compiled)
    """Return level and noise near each hit; hits in one tile, or in one piece along a border, share a sample."""
    rows, columns = rest.shape
    tiles = np.full((rows // _TILE + 1, columns // _TILE + 1, 2), np.nan, np.float32)
    pieces = np.full((4, _BORDER, max(rows, columns) // _PIECE + 1, 2), np.nan, np.float32)
    top, bottom = max(dy, 0), min(rows + dy, rows) - 1
    left, right = max(dx, 0), min(columns + dx, columns) - 1
    out = np.zeros((len(hits), 2), np.float32)
    values = np.empty((2 * _REACH + 1) ** 2, np.float32)
    for i in range(len(hits)):
        row, column = int(hits[i, 0]), int(hits[i, 1])
        down, across = min(row - top, bottom - row), min(column - left, right - column)
        if min(down, across) >= _BORDER:
            kept, tall, wide, step = tiles[row // _TILE, column // _TILE], _REACH, _REACH, _STEP
            row, column = _middle(row, _TILE), _middle(column, _TILE)
        else:
            thin = max(min(down, across) // 6, 1)
            step = 1 if thin < 3 else 2
            if down < across:
                kept, tall, wide = pieces[0 if row - top == down else 1, down, column // _PIECE], thin, _REACH
                column = _middle(column, _PIECE)
            else:
                kept, tall, wide = pieces[2 if column - left == across else 3, across, row // _PIECE], _REACH, thin
                row = _middle(row, _PIECE)
        if np.isnan(kept[0]):
            count = _sample(rest, allowance, row, column, tall, wide, step, dx, dy, values)
            kept[0], kept[1] = _judged(values[:count], noise)
        out[i] = kept
    return out


@njit(cache=True)
def _middle(place: int, size: int) -> int:  # pragma: no cover (compiled)
    return place // size * size + size // 2


@njit(cache=True)
def _sample(
    rest: Any, allowance: Any, row: int, column: int, tall: int, wide: int, step: int, dx: int, dy: int, values: Any
) -> Any:  # pragma: no cover (compiled)
    rows, columns = rest.shape
    count = 0
    for y in range(max(row - tall, dy, 0), min(row + tall + 1, rows + dy, rows), step):
        for x in range(max(column - wide, dx, 0), min(column + wide + 1, columns + dx, columns), step):
            if allowance[y - dy, x - dx] < np.inf:
                values[count] = rest[y, x]
                count += 1
    return count


@njit(cache=True)
def _judged(values: Any, noise: Any) -> Any:  # pragma: no cover (compiled)
    """Return level and noise of a sample; the frame's values if not significantly higher.

    The noise of a sample that is too small is infinite.
    """
    if len(values) < _LEAST:
        return np.float32(0), np.float32(np.inf)
    level = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - level))
    error = 1.25 * max(spread, noise) / np.sqrt(len(values))
    if spread < noise * (1 + _SURE * 1.16 / np.sqrt(len(values))):
        spread = noise
    if level < _SURE * error:
        level = 0.0
    return np.float32(level), np.float32(spread)
