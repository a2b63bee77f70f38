"""Group candidates at the same position on several frames: flares and other sources not on the stack. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gozen.movers.link_tracklets import Points, log10_chance

Floats = NDArray[np.float64]
REACH_PX = 3.0
"""Largest distance of a candidate from the latest position of a group, pixels."""
_LONGEST_GAP = 2


@dataclass(frozen=True)
class FoundFlare:
    """A source that does not move, and is on some frames but not on the stack.

    Parameters
    ----------
    members
        Indices of its points, in the order of time.
    x, y
        Mean position, pixels of the stack.
    """

    members: NDArray[np.int64]
    x: float
    y: float


def group_flares(points: Points, frames: int, area_px: float, minimum_significance: float) -> list[FoundFlare]:
    """Group points: a point joins a group if it is near the latest position of the group.

    The significance is computed as for lines (`gozen.movers.link_tracklets.link`). The expected number of
    such groups is the number of points, times the probability that as many other points are within 3 pixels of a point
    by chance. A single point is never enough, because a cosmic-ray hit looks the same.

    Parameters
    ----------
    frames
        Number of frames of the cube.
    area_px
        Area of the field, pixels.
    """
    groups: list[list[int]] = []
    for index in np.lexsort((points.y, points.frame)):
        group = _nearest(groups, points, index)
        if group is None:
            groups.append([int(index)])
        else:
            group.append(int(index))
    expected = np.pi * REACH_PX**2 * len(points) / area_px * min(frames, 1 + 2 * _LONGEST_GAP) / max(frames, 1)
    flares = []
    for group in groups:
        chance = float(log10_chance(np.array([len(group) - 1]), np.array([expected]))[0])
        significance = -(np.log10(max(len(points), 1)) + chance)
        if len(group) > 1 and significance >= minimum_significance:
            members = np.array(group, np.int64)
            flares.append(FoundFlare(members, float(points.x[members].mean()), float(points.y[members].mean())))
    return flares


def _nearest(groups: list[list[int]], points: Points, index: int) -> list[int] | None:
    best, found = REACH_PX, None
    for group in groups:
        last = group[-1]
        if not 0 < points.frame[index] - points.frame[last] <= _LONGEST_GAP:
            continue
        away = float(np.hypot(points.x[index] - points.x[last], points.y[index] - points.y[last]))
        if away <= best:
            best, found = away, group
    return found
