"""The compiled part of cross-matches: points on the sphere in a hashed grid of zones, and all that lie near others.

A zone of declination is at least four radii high and is cut into cells of right ascension as wide; cells that are
neighbours in a zone are neighbours in memory, zones share memory by chance, which costs a comparison and changes no
result. Method: the zones algorithm, Gray, Nieto-Santisteban & Szalay 2006, MSR-TR-2006-52, with a hash for the zones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_RADII = 4.0
_LOWEST = 1.0 / 3600
_SPREAD = np.int64(2654435761)


class Zones(NamedTuple):
    """How the sphere is cut: the height of a zone in degrees, and the number of cells in each zone from the south."""

    height: float
    cells: Integers


def zones(radius: float) -> Zones:
    """Cut the sphere for a radius in degrees."""
    height = max(_RADII * radius, _LOWEST)
    edges = np.minimum(np.arange(int(np.ceil(180 / height)) + 1) * height - 90, 90.0)
    narrow = np.cos(np.radians(np.maximum(np.abs(edges[:-1]), np.abs(edges[1:]))))
    return Zones(height, np.maximum(np.floor(360 * narrow / height), 1).astype(np.int64))


@njit(cache=True, nogil=True)
def buckets(ra: Floats, dec: Floats, height: float, cells: Integers, mask: int, out: Integers) -> None:
    """Fill `out`, shape (N,), with the bucket of each position in degrees, right ascension in [0, 360)."""
    for i in range(len(ra)):
        zone = min(int((dec[i] + 90) / height), len(cells) - 1)
        cell = min(int(ra[i] / 360 * cells[zone]), int(cells[zone]) - 1)
        out[i] = (zone * _SPREAD + cell) & mask


@njit(cache=True, nogil=True)
def counted(bucket: Integers, low: int, high: int, start: NDArray[np.int32]) -> None:
    """Count in ``start[b + 1]`` how many rows there are in each bucket b of [low, high)."""
    for one in bucket:
        if low <= one < high:
            start[one + 1] += 1


@njit(cache=True, nogil=True)
def placed(
    ra: Floats, dec: Floats, bucket: Integers, low: int, high: int, at: NDArray[np.int32], point: Floats
) -> None:
    """Put the rows of the buckets in [low, high) where ``at`` says, which moves on: x, y, z of the unit sphere, row."""
    for i in range(len(bucket)):
        if low <= bucket[i] < high:
            to = at[bucket[i]]
            at[bucket[i]] = to + 1
            alpha, delta = np.radians(ra[i]), np.radians(dec[i])
            flat = np.cos(delta)
            point[to, 0], point[to, 1] = flat * np.cos(alpha), flat * np.sin(alpha)
            point[to, 2], point[to, 3] = np.sin(delta), i


@njit(cache=True, nogil=True)
def near(
    ra: Floats,
    dec: Floats,
    first: int,
    start: NDArray[np.int32],
    point: Floats,
    height: float,
    cells: Integers,
    radius: float,
    nearest: bool,
) -> tuple[Integers, Integers, Floats]:
    """Find all points of a grid within a radius of positions, or the nearest of them.

    Parameters
    ----------
    ra, dec
        Degrees, right ascension in [0, 360), shape (N,).
    first
        The number of the first position.
    start, point
        The grid.
    height, cells
        Its zones.
    radius
        Degrees.
    nearest
        Whether to keep one for each position: the nearest, of equally near ones that of the lowest row.

    Returns
    -------
    position, row, squared chord
        One of each for each pair, by position and then by distance.
    """
    mask = len(start) - 2
    limit = (2 * np.sin(np.radians(radius) / 2)) ** 2
    room = max(2 * len(ra), 16)
    left, right, distance = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.float64)
    found = 0
    for i in range(len(ra)):
        alpha, delta = np.radians(ra[i]), np.radians(dec[i])
        flat = np.cos(delta)
        x, y, z = flat * np.cos(alpha), flat * np.sin(alpha), np.sin(delta)
        reach = np.sin(np.radians(radius)) / max(flat, 1e-300)
        aside = np.degrees(np.arcsin(reach)) * (1 + 1e-9) + 1e-12 if reach < 1 else 360.0
        begin = found
        lowest = max(int((dec[i] - radius + 90) / height - 1e-9), 0)
        highest = min(int((dec[i] + radius + 90) / height + 1e-9), len(cells) - 1)
        for zone in range(lowest, highest + 1):
            many = int(cells[zone])
            west = int(np.floor((ra[i] - aside) / 360 * many))
            east = int(np.floor((ra[i] + aside) / 360 * many))
            if east - west >= many:
                west, east = 0, many - 1
            for cell in range(west, east + 1):
                bucket = (zone * _SPREAD + cell % many) & mask
                for k in range(start[bucket], start[bucket + 1]):
                    dx, dy, dz = point[k, 0] - x, point[k, 1] - y, point[k, 2] - z
                    apart = dx * dx + dy * dy + dz * dz
                    if apart > limit:
                        continue
                    row = int(point[k, 3])
                    if found == room:
                        room *= 2
                        left, right, distance = _longer(left, room), _longer(right, room), _wider(distance, room)
                    at = found
                    while at > begin and (
                        distance[at - 1] > apart or (distance[at - 1] == apart and right[at - 1] > row)
                    ):
                        distance[at], right[at] = distance[at - 1], right[at - 1]
                        at -= 1
                    if at > begin and distance[at - 1] == apart and right[at - 1] == row:
                        # Two cells share a bucket, whose points are met twice.
                        for back in range(at, found):
                            distance[back], right[back] = distance[back + 1], right[back + 1]
                        continue
                    distance[at], right[at], left[found] = apart, row, first + i
                    found += 1
                    if nearest:
                        found = begin + 1
    return left[:found].copy(), right[:found].copy(), distance[:found].copy()


@njit(cache=True, nogil=True)
def _longer(old: Integers, room: int) -> Integers:
    new = np.empty(room, np.int64)
    new[: len(old)] = old
    return new


@njit(cache=True, nogil=True)
def _wider(old: Floats, room: int) -> Floats:
    new = np.empty(room, np.float64)
    new[: len(old)] = old
    return new
