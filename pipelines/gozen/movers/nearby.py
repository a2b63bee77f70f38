"""Sky and noise of a difference about a place, where they are not those of the whole frame.

Along borders the sky changes within a few pixels (vignetting, stray light), so that the sample there runs along them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gozen.calibration.calibrate import Image

_TILE, _REACH, _STEP = 32, 32, 4
_BORDER = 48
"""Pixels from a border within which the sample runs along it."""
_LEAST = 16
_SURE = 4.0
"""Standard errors by which level and noise must differ from those of the frame to replace them."""


def clear_hits(
    hits: NDArray[Any], rest: Image, allowance: Image, box: int, noise: float, threshold: float, dx: int, dy: int
) -> NDArray[Any]:
    """Return the hits that are above the threshold of their neighbourhood, too, with its noise as a fourth column.

    Parameters
    ----------
    hits
        Row, column and box sum of each, in the order of the rows.
    rest
        Difference of the frame and the stack, ADU.
    allowance
        As in `gozen.movers.template.Template`; infinite where nothing is known.
    noise
        Of a pixel of the frame, ADU.
    threshold
        In units of the noise of a box.
    dx, dy
        Whole pixels by which the frame has drifted against the stack.
    """
    rows, columns = rest.shape
    tiles = np.full((rows // _TILE + 1, columns // _TILE + 1, 2), np.nan, np.float32)
    level, spread = _about(hits, rest, allowance, tiles, np.float32(noise), dx, dy)
    more = allowance[hits[:, 0].astype(int) - dy, hits[:, 1].astype(int) - dx]
    above = hits[:, 2] - more - box * box * level > threshold * box * spread
    return np.asarray(np.column_stack([hits, spread])[above])


@njit(cache=True)
def _about(
    hits: Any, rest: Any, allowance: Any, tiles: Any, noise: Any, dx: int, dy: int
) -> Any:  # pragma: no cover (compiled)
    """Return level and noise about each hit; those away from the borders share the sample of their tile."""
    rows, columns = rest.shape
    top, bottom = max(dy, 0), min(rows + dy, rows)
    left, right = max(dx, 0), min(columns + dx, columns)
    level, spread = np.zeros(len(hits), np.float32), np.zeros(len(hits), np.float32)
    values = np.empty((2 * _REACH + 1) ** 2, np.float32)
    for i in range(len(hits)):
        row, column = int(hits[i, 0]), int(hits[i, 1])
        down, across = min(row - top, bottom - 1 - row), min(column - left, right - 1 - column)
        if min(down, across) >= _BORDER:
            tile = tiles[row // _TILE, column // _TILE]
            if np.isnan(tile[0]):
                y, x = row // _TILE * _TILE + _TILE // 2, column // _TILE * _TILE + _TILE // 2
                count = _sample(rest, allowance, y, x, _REACH, _REACH, _STEP, dx, dy, values)
                tile[0], tile[1] = _judged(values[:count], noise)
            level[i], spread[i] = tile[0], tile[1]
            continue
        thin = max(min(down, across) // 6, 1)
        step = 1 if thin < 3 else 2
        tall, wide = (thin, _REACH) if down < across else (_REACH, thin)
        count = _sample(rest, allowance, row, column, tall, wide, step, dx, dy, values)
        level[i], spread[i] = _judged(values[:count], noise)
    return level, spread


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
    """Return level and noise of a sample, those of the frame unless it differs surely; infinite for a small one."""
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
