"""Detect sources on one frame that are not on the stack: sum the difference in boxes, group and measure. Compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gozen.calibration.calibrate_frame import Image, Mask
from gozen.movers.local_sky import LevelGround, clear_hits
from gozen.movers.stack_template import Template, cores
from gozen.photometry.centroids import windowed_centroids
from gozen.photometry.frame_shift import Shift

Floats = NDArray[np.float64]
_FWHM_PER_SIGMA = 2.3548
_SHARP_SIGMA = 4.0
_NEAR_FWHM, _FAR_FWHM = 1.5, 2.5
_MOST = 20_000
"""Largest number of pixels above the local noise; a frame with more is defective and gives no candidates."""


@dataclass(frozen=True)
class Candidates:
    """Detections on one frame that are not on the stack; arrays of shape (candidates,).

    Parameters
    ----------
    frame
        Index of the frame.
    x, y
        Position on the frame, 0-based pixels.
    flux
        Flux in the box, ADU.
    snr
        Signal-to-noise of the flux in the box.
    error_px
        Standard error of the position, per axis, pixels.
    length_px
        Length of the region above the threshold along its major axis, pixels.
    elongation
        Ratio of the major to the minor axis of the region above the threshold.
    angle
        Angle of the major axis from the x axis, radians.
    sharp
        Whether the light is more concentrated than a star's can be: a cosmic-ray hit or a hot pixel.
    """

    frame: int
    x: Floats
    y: Floats
    flux: Floats
    snr: Floats
    error_px: Floats
    length_px: Floats
    elongation: Floats
    angle: Floats
    sharp: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.x)

    def where(self, chosen: NDArray[np.bool_]) -> Candidates:
        """Return the candidates that a mask selects."""
        return Candidates(self.frame, *(getattr(self, name)[chosen] for name in _ARRAYS))


_ARRAYS = ("x", "y", "flux", "snr", "error_px", "length_px", "elongation", "angle", "sharp")


@dataclass(frozen=True)
class FrameDifference:
    """The difference of one frame and the stack.

    Parameters
    ----------
    frame
        Index of the frame.
    rest
        The difference, shape (rows, columns), ADU.
    mask
        Mask of the frame: bits of the pixels that are saturated or dead.
    template, shift
        The template that was subtracted, and the shift of the frame against it.
    noise
        Noise of one pixel of the frame, ADU.
    """

    frame: int
    rest: Image
    mask: Mask
    template: Template
    shift: Shift
    noise: float


def find_candidates(seen: FrameDifference, sharpest: float, threshold_sigma: float) -> Candidates:
    """Find the significant sources in the difference of a frame and the stack.

    Parameters
    ----------
    sharpest
        Largest fraction that the brightest of 3 x 3 pixels can have of a star's light in these pixels.
    threshold_sigma
        Smallest signal-to-noise of a box sum.
    """
    frame, rest, noise = seen.frame, seen.rest, seen.noise
    template, shift = seen.template.on_frame(seen.shift)
    box = template.box
    limit = np.float32(threshold_sigma * noise * box)
    dx, dy = round(shift.dx), round(shift.dy)
    hits = _hits(rest, template.allowance, box, limit, dx, dy)
    hits = clear_hits(hits, LevelGround(rest, template.allowance, noise, dx, dy), box, threshold_sigma)
    if len(hits) == 0 or len(hits) >= _MOST:
        return none_found(frame)
    groups = _group(hits[:, 0].astype(np.int64), hits[:, 1].astype(np.int64), 2)
    shape = _shapes(hits, groups, int(groups.max()) + 1)
    x, y, peak = shape[:, 0], shape[:, 1], shape[:, 2]
    major, minor = np.sqrt(shape[:, 3] + 1 / 12), np.sqrt(shape[:, 4] + 1 / 12)
    length = np.sqrt(12.0) * major
    level, spread = _surroundings(rest, x, y, _NEAR_FWHM * template.fwhm, _FAR_FWHM * template.fwhm + box)
    trailed = length > 2 * template.fwhm + box
    own = shape[:, 8]
    # Subtract the level of the surroundings: stray light and the wings of bright stars change from frame to frame by
    # more than the noise.
    peak = np.where(trailed, peak, peak - box * box * level)
    snr = peak / (np.maximum(own, np.where(trailed, 0, spread)) * box)
    cx, cy = windowed_centroids(rest, x, y, template.fwhm / _FWHM_PER_SIGMA)
    near = np.hypot(cx - x, cy - y) < template.fwhm
    settled = near & ~trailed
    x, y = (
        np.where(settled, cx, np.where(trailed, shape[:, 5], x)),
        np.where(settled, cy, np.where(trailed, shape[:, 6], y)),
    )
    error = np.hypot(
        np.where(settled, 0.6, 1.0) * template.fwhm / np.maximum(snr, 1), np.where(trailed, length / 10, 0.05)
    )
    sharp = _sharp(rest, x, y, own, sharpest) & ~trailed
    found = Candidates(frame, x, y, peak, snr, error, length, major / minor, shape[:, 7], sharp)
    return found.where(~_spoiled(seen.mask, x, y) & (snr >= threshold_sigma))


def none_found(frame: int) -> Candidates:
    """Return the candidates of a frame that has none."""
    none = np.zeros(0)
    return Candidates(frame, *(none,) * 8, np.zeros(0, np.bool_))


def _sharp(rest: Image, x: Floats, y: Floats, noise: Floats, sharpest: float) -> NDArray[np.bool_]:
    """Tell which candidates have a significantly larger fraction of their light in one pixel than a star."""
    core, around = cores(rest, x, y, np.zeros(len(x)))
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction, error = core / around, noise / around
    return np.asarray((around <= 0) | (fraction > sharpest + _SHARP_SIGMA * error))


def _spoiled(mask: Mask, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Tell which positions have a saturated or dead pixel within 3 x 3 pixels, or are at the edge."""
    rows, columns = mask.shape
    row, column = np.rint(y).astype(int), np.rint(x).astype(int)
    out = (row < 1) | (column < 1) | (row > rows - 2) | (column > columns - 2)
    row, column = np.clip(row, 1, rows - 2), np.clip(column, 1, columns - 2)
    for j in (-1, 0, 1):
        for k in (-1, 0, 1):
            out |= mask[row + j, column + k] > 0
    return np.asarray(out)


@njit(cache=True)
def _surroundings(rest: Any, xs: Any, ys: Any, near: float, far: float) -> Any:  # pragma: no cover (compiled)
    """Return median and robust standard deviation of the pixels in a ring around each position."""
    rows, columns = rest.shape
    level, spread = np.zeros(len(xs)), np.zeros(len(xs))
    reach = int(np.ceil(far))
    values = np.empty((2 * reach + 1) ** 2)
    for i in range(len(xs)):
        row, column = int(np.rint(ys[i])), int(np.rint(xs[i]))
        count = 0
        for r in range(max(row - reach, 0), min(row + reach + 1, rows)):
            for c in range(max(column - reach, 0), min(column + reach + 1, columns)):
                square = (r - row) ** 2 + (c - column) ** 2
                if near * near <= square <= far * far and rest[r, c] != 0:
                    values[count] = rest[r, c]
                    count += 1
        if count > 8:
            level[i] = np.median(values[:count])
            spread[i] = 1.4826 * np.median(np.abs(values[:count] - level[i]))
    return level, spread


@njit(cache=True)
def _hits(rest: Any, allowance: Any, box: int, limit: Any, dx: int, dy: int) -> Any:  # pragma: no cover (compiled)
    """Return row, column and sum of the boxes above the limit plus the allowance, sorted by row."""
    rows, columns = rest.shape
    half = box // 2
    out = np.empty((rows * columns, 3), np.float32)  # memory that is not written to costs nothing
    count = 0
    total = np.zeros(columns, np.float32)
    first, last = max(dx, 0) + box, min(columns + dx, columns) - box
    width = max(last - first, 0)
    sums = np.zeros(width, np.float32)
    for row in range(rows):
        line = rest[row]
        for c in range(columns):
            total[c] += line[c]
        if row >= box:
            line = rest[row - box]
            for c in range(columns):
                total[c] -= line[c]
        middle = row - half
        if middle < half + 1 or middle - dy < 0 or middle - dy >= rows:
            continue
        # Slices of equal length let the compiler vectorize the loops.
        more = allowance[middle - dy, first - dx : last - dx]
        for c in range(width):
            sums[c] = -more[c]
        for k in range(box):
            part = total[first + k - half : first + k - half + width]
            for c in range(width):
                sums[c] += part[c]
        if _highest(sums) <= limit:
            continue
        for c in range(width):
            if sums[c] > limit:
                out[count, 0], out[count, 1], out[count, 2] = middle, first + c, sums[c] + more[c]
                count += 1
    return out[:count]


@njit(cache=True, fastmath={"nnan", "nsz", "reassoc"})
def _highest(values: Any) -> Any:  # pragma: no cover (compiled)
    highest = np.float32(0)
    for i in range(len(values)):
        highest = max(highest, values[i])
    return highest


@njit(cache=True)
def _group(rows: Any, columns: Any, reach: int) -> Any:  # pragma: no cover (compiled)
    """Label the groups of pixels that are connected within ``reach`` pixels along each axis; input sorted by row."""
    count = len(rows)
    parent = np.arange(count)
    first = 0
    for i in range(count):
        while rows[first] < rows[i] - reach:
            first += 1
        for j in range(first, i):
            if abs(columns[i] - columns[j]) <= reach:
                a, b = i, j
                while parent[a] != a:
                    a = parent[a]
                while parent[b] != b:
                    b = parent[b]
                parent[max(a, b)] = min(a, b)
    label = np.empty(count, np.int64)
    groups = 0
    for i in range(count):
        a = i
        while parent[a] != a:
            a = parent[a]
        if a == i:
            label[i] = groups
            groups += 1
        else:
            label[i] = label[a]
    return label


@njit(cache=True)
def _shapes(hits: Any, label: Any, groups: int) -> Any:  # pragma: no cover (compiled)
    """Measure each group: x, y and sum of its highest box, moments along its axes, mean x and y, angle, noise."""
    out = np.zeros((groups, 9))
    moments = np.zeros((groups, 6))
    for i in range(len(hits)):
        g, y, x, value = label[i], float(hits[i, 0]), float(hits[i, 1]), float(hits[i, 2])
        if value > out[g, 2]:
            out[g, 0], out[g, 1], out[g, 2], out[g, 8] = x, y, value, hits[i, 3]
        m = moments[g]
        m[0] += 1.0
        m[1] += x
        m[2] += y
        m[3] += x * x
        m[4] += y * y
        m[5] += x * y
    for g in range(groups):
        m = moments[g]
        mx, my = m[1] / m[0], m[2] / m[0]
        xx, yy, xy = m[3] / m[0] - mx * mx, m[4] / m[0] - my * my, m[5] / m[0] - mx * my
        half, root = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy * xy)
        out[g, 3], out[g, 4] = half + root, max(half - root, 0.0)
        out[g, 5], out[g, 6] = mx, my
        out[g, 7] = np.arctan2(2 * xy, xx - yy) / 2
    return out
