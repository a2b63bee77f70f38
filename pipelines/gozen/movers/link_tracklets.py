"""Link candidates of many frames to straight lines, and compute how likely each line is by chance. No I/O.

A line starts from a pair of candidates on neighbouring frames. The straight line through its points predicts the
position on the next frame; the nearest candidate within the uncertainty of the prediction is added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
_CELL_PX = 64.0
_GATE_SIGMA = 4.0
_SMALLEST_GATE_PX = 0.8
_LARGEST_GATE_PX = 8.0
_OWN = 0.7
"""Smallest fraction of a line's points that no better line uses: with fewer, the line is a copy of the better one."""


@dataclass(frozen=True)
class Points:
    """Candidates of all frames; arrays of shape (points,).

    Parameters
    ----------
    frame
        Index of the frame, also counting frames without candidates.
    x, y
        Position on the stack, pixels.
    error_px
        Standard error of the position, per axis, pixels.
    snr
        Signal-to-noise.
    """

    frame: Indices
    x: Floats
    y: Floats
    error_px: Floats
    snr: Floats

    def __len__(self) -> int:
        return len(self.x)

    def where(self, chosen: NDArray[np.bool_]) -> Points:
        """Return the points that a mask selects."""
        return Points(*(getattr(self, name)[chosen] for name in ("frame", "x", "y", "error_px", "snr")))


@dataclass(frozen=True)
class Line:
    """Candidates on a straight line.

    Parameters
    ----------
    members
        Indices of the points, in the order of time.
    x, y
        Position at ``time``, pixels of the stack.
    rate_x, rate_y
        Rate of motion, pixels per unit of time.
    rate_error
        Standard error of the rate, per axis, pixels per unit of time.
    time
        Weighted mean of the members' times.
    rms_px
        Root mean square distance of the members from the line, per axis, pixels.
    significance
        -log10 of the number of lines, as good as this one or better, that chance alone produces.
    """

    members: Indices
    x: float
    y: float
    rate_x: float
    rate_y: float
    rate_error: float
    time: float
    rms_px: float
    significance: float

    @property
    def rate(self) -> float:
        """Speed, pixels per unit of time."""
        return float(np.hypot(self.rate_x, self.rate_y))


@dataclass(frozen=True)
class LineLimits:
    """Limits that a line must satisfy.

    Parameters
    ----------
    maximum_rate
        Largest speed, pixels per unit of time.
    minimum_points, minimum_significance
        Smallest number of points and smallest significance of a line.
    maximum_gap
        Largest number of frames between the two points of the starting pair.
    """

    maximum_rate: float
    minimum_points: int = 4
    minimum_significance: float = 3.0
    maximum_gap: int = 2


def link(points: Points, times: Floats, shape: tuple[int, int], limits: LineLimits) -> list[Line]:
    """Link points to lines, the most significant first; no point is in two lines.

    The significance is defined as in the a-contrario method (Desolneux, Moisan & Morel 2000, Int. J. Comput. Vision 40,
    7):
    -log10 of the expected number of lines at least as good as this one if all points were at random positions. The
    expected number is the number of starting pairs times the probability that as many further points join by chance.
    If the line predicts a position within a circle of area a, the circle contains a point with the probability
    1 - exp(-a d). Here d is the mean density of points, or the local density if that is higher. The probability of m
    successes, if u are expected, is at most exp(m - u - m ln(m/u)) (Chernoff's bound; Hoeffding 1963, J. Am. Stat.
    Assoc. 58, 13).

    Parameters
    ----------
    times
        Time of each frame, in any unit, increasing.
    shape
        Rows and columns of the field, for the density of points.
    """
    minimum_points, minimum_significance = limits.minimum_points, limits.minimum_significance
    if len(points) < max(minimum_points, 2):
        return []
    order = np.lexsort((points.y, points.frame))
    frame, x, y, error = points.frame[order], points.x[order], points.y[order], points.error_px[order]
    start = np.searchsorted(frame, np.arange(len(times) + 1))
    density = _densities(frame, x, y, len(times), shape)
    fastest, gap = limits.maximum_rate, limits.maximum_gap
    members, numbers, pairs = _grow(
        frame, x, y, error, start, np.asarray(times, float), density, fastest, gap, minimum_points
    )
    if len(members) == 0:
        return []
    count, expected = (members >= 0).sum(axis=1), numbers
    significance = -(np.log10(max(pairs, 1)) + log10_chance(count - 2, expected))
    lines = []
    free = np.ones(len(x), np.bool_)
    for index in np.lexsort((members[:, 0], -significance)):
        if significance[index] < minimum_significance:
            break
        chosen = members[index][members[index] >= 0]
        own = chosen[free[chosen]]
        if len(own) < max(minimum_points, _OWN * len(chosen)):
            continue
        if len(own) < len(chosen):
            lost = log10_chance(np.array([len(own) - 2]), expected[index : index + 1])[0]
            if -(np.log10(max(pairs, 1)) + lost) < minimum_significance:
                continue
        free[own] = False
        lines.append(_line(order[own], points, times, float(significance[index])))
    return lines


def log10_chance(successes: NDArray[Any], expected: Floats) -> Floats:
    """Return log10 of an upper bound on the probability of at least ``successes`` if their mean is ``expected``."""
    m, u = np.asarray(successes, float), np.maximum(expected, 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.where(m > u, m - u - m * np.log(np.maximum(m, 1e-12) / u), 0.0)
    return np.asarray(bound / np.log(10))


def _densities(frame: Indices, x: Floats, y: Floats, frames: int, shape: tuple[int, int]) -> Floats:
    """Return the density at each point, per pixel and frame.

    It is the mean or the local density, whichever is higher, plus half the density on the point's frame.
    """
    overall = np.bincount(frame, minlength=frames) / (shape[0] * shape[1])
    rows, columns = int(shape[0] // _CELL_PX) + 1, int(shape[1] // _CELL_PX) + 1
    row = np.clip(y // _CELL_PX, 0, rows - 1).astype(int)
    column = np.clip(x // _CELL_PX, 0, columns - 1).astype(int)
    cells = np.zeros((rows + 2, columns + 2))
    np.add.at(cells, (row + 1, column + 1), 1.0)
    # One point per frame is subtracted from the local counts: otherwise the points of a slow object would make it look
    # like noise.
    turned = [np.roll(cells, (j, k), (0, 1)) for j in (-1, 0, 1) for k in (-1, 0, 1)]
    near = np.sum(turned, axis=0)[1:-1, 1:-1]
    local = np.maximum(near - frames, 0) / (9 * _CELL_PX**2 * frames)
    return np.asarray(np.maximum(overall.mean(), local[row, column]) + overall[frame] * 0.5)


def _line(members: Indices, points: Points, times: Floats, significance: float) -> Line:
    x, y, error = points.x[members], points.y[members], points.error_px[members]
    t, weight = np.asarray(times)[points.frame[members]], 1 / error**2
    middle = float(np.average(t, weights=weight))
    spread = float(np.sum(weight * (t - middle) ** 2))
    fits = []
    for values in (x, y):
        mean = float(np.average(values, weights=weight))
        fits.append((mean, float(np.sum(weight * (t - middle) * (values - mean)) / spread)))
    (x0, rate_x), (y0, rate_y) = fits
    rest = np.concatenate([x - x0 - rate_x * (t - middle), y - y0 - rate_y * (t - middle)])
    rms = float(np.sqrt(np.mean(rest**2)))
    sigma = max(1.0, float(np.sqrt(np.mean((rest / np.tile(error, 2)) ** 2)))) / np.sqrt(spread)
    return Line(members, x0, y0, rate_x, rate_y, float(sigma), middle, rms, significance)


@njit(cache=True)
def _grow(
    frame: Any, x: Any, y: Any, error: Any, start: Any, times: Any, density: Any, fastest: float, gap: int, least: int
) -> Any:  # pragma: no cover (compiled)
    """Grow a line from each pair; return the members of long lines, their expected chance members, and the pairs."""
    frames = len(times)
    room = 256
    members = np.full((room, frames), -1, np.int64)
    expected = np.zeros(room)
    found, pairs = 0, 0
    line = np.full(frames, -1, np.int64)
    # A pair that is already on a line would grow the same line again.
    on = np.full(len(x), -1, np.int64)
    for a in range(len(x)):
        for other in range(frame[a] + 1, min(frame[a] + gap + 2, frames)):
            reach = fastest * (times[other] - times[frame[a]])
            b = _from(y, start[other], start[other + 1], y[a] - reach)
            while b < start[other + 1] and y[b] <= y[a] + reach:
                if (x[b] - x[a]) ** 2 + (y[b] - y[a]) ** 2 <= reach * reach:
                    pairs += 1
                    if on[a] < 0 or on[a] != on[b]:
                        line[:] = -1
                        chance = _extend(line, a, b, frame, x, y, error, start, times, density, least)
                        if chance >= 0:
                            if found == room:
                                members, expected = _doubled(members, expected)
                                room *= 2
                            count = 0
                            for k in range(frames):
                                if line[k] >= 0:
                                    members[found, count] = line[k]
                                    on[line[k]] = found
                                    count += 1
                            expected[found] = chance
                            found += 1
                b += 1
    return members[:found], expected[:found], pairs


@njit(cache=True)
def _doubled(members: Any, expected: Any) -> Any:  # pragma: no cover (compiled)
    rows, frames = members.shape
    more = np.full((2 * rows, frames), -1, np.int64)
    more[:rows] = members
    further = np.zeros(2 * rows)
    further[:rows] = expected
    return more, further


@njit(cache=True)
def _from(y: Any, low: int, high: int, value: float) -> int:  # pragma: no cover (compiled)
    while low < high:
        middle = (low + high) // 2
        if y[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _extend(
    line: Any, a: int, b: int, frame: Any, x: Any, y: Any, error: Any, start: Any, times: Any, density: Any, least: int
) -> float:  # pragma: no cover (compiled)
    """Extend a line from its pair, and return the expected number of chance members; -1 if the line is too short."""
    frames = len(times)
    line[frame[a]], line[frame[b]] = a, b
    sums = np.zeros(7)
    _add(sums, times[frame[a]], x[a], y[a], error[a])
    _add(sums, times[frame[b]], x[b], y[b], error[b])
    crowd = max(density[a], density[b])
    chance, count = 0.0, 2
    first, last = frame[a], frame[b]
    for step in range(frames):
        # Frames between the two points of the pair first, then those after it, then those before it.
        if step < last - first - 1:
            k = first + 1 + step
        elif step < frames - first - 2:
            k = last + 1 + step - (last - first - 1)
        elif step < frames - 2:
            k = first - 1 - (step - (frames - first - 2))
        else:
            break
        px, py, variance = _predicted(sums, times[k])
        found, gate = _nearest(k, px, py, variance, x, y, error, start)
        chance += 1 - np.exp(-crowd * np.pi * gate * gate)
        if found >= 0:
            line[k] = found
            count += 1
            _add(sums, times[k], x[found], y[found], error[found])
        elif step >= 5 and count < 4:
            return -1.0
    return chance if count >= least else -1.0


@njit(cache=True)
def _add(sums: Any, t: float, x: float, y: float, error: float) -> None:  # pragma: no cover (compiled)
    w = 1 / (error * error)
    sums[0] += w
    sums[1] += w * t
    sums[2] += w * t * t
    sums[3] += w * x
    sums[4] += w * x * t
    sums[5] += w * y
    sums[6] += w * y * t


@njit(cache=True)
def _predicted(sums: Any, t: float) -> Any:  # pragma: no cover (compiled)
    """Return the position of the weighted straight line at a time, and its variance per axis."""
    w, middle = sums[0], sums[1] / sums[0]
    spread = sums[2] - middle * sums[1]
    rate_x, rate_y = (sums[4] - middle * sums[3]) / spread, (sums[6] - middle * sums[5]) / spread
    since = t - middle
    return sums[3] / w + rate_x * since, sums[5] / w + rate_y * since, 1 / w + since * since / spread


@njit(cache=True)
def _nearest(
    k: int, px: float, py: float, variance: float, x: Any, y: Any, error: Any, start: Any
) -> Any:  # pragma: no cover (compiled)
    """Return the nearest point of a frame within the search radius, or -1, and that radius, pixels."""
    widest = 0.0
    best, found, used = np.inf, -1, 0.0
    i = _from(y, start[k], start[k + 1], py - _LARGEST_GATE_PX)
    while i < start[k + 1] and y[i] <= py + _LARGEST_GATE_PX:
        away = (x[i] - px) ** 2 + (y[i] - py) ** 2
        gate = min(max(_GATE_SIGMA * np.sqrt(variance + error[i] ** 2), _SMALLEST_GATE_PX), _LARGEST_GATE_PX)
        widest = max(widest, gate)
        if away <= gate * gate and away < best:
            best, found, used = away, i, gate
        i += 1
    if found >= 0:
        return found, used
    return -1, max(widest, min(max(_GATE_SIGMA * np.sqrt(variance), _SMALLEST_GATE_PX), _LARGEST_GATE_PX))
