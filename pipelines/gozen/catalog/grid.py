"""The compiled part of cross-matches: points on the sphere in a hashed grid of cubes, and all that lie near others.

A cube is four radii wide, so a ball reaches into 3.4 of them on average. Cubes share buckets by chance, which costs a
comparison of distances and changes no result. Method: spatial hashing, Teschner et al. 2003, VMV, 47.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_CUBE = 4.0
_P1, _P2, _P3 = np.int64(73856093), np.int64(19349663), np.int64(83492791)


class Grid(NamedTuple):
    """Points by bucket: `start` has the first of each bucket and the end, `point` x, y, z, `row` where it came from."""

    start: NDArray[np.int64]
    point: Floats
    row: Integers
    cube: float


def cube_of(chord: float) -> float:
    """Return the width of a cube for a chord of the unit sphere."""
    return _CUBE * chord


@njit(cache=True, nogil=True)
def unit_vectors(ra: Floats, dec: Floats, out: Floats) -> None:
    """Fill `out`, shape (N, 3), with unit vectors of positions in degrees."""
    for i in range(len(ra)):
        alpha, delta = np.radians(ra[i]), np.radians(dec[i])
        flat = np.cos(delta)
        out[i, 0] = flat * np.cos(alpha)
        out[i, 1] = flat * np.sin(alpha)
        out[i, 2] = np.sin(delta)


@njit(cache=True, nogil=True)
def buckets(point: Floats, cube: float, mask: int, out: Integers) -> None:
    """Fill `out`, shape (N,), with the bucket of each point."""
    for i in range(len(point)):
        x = np.int64(np.floor(point[i, 0] / cube))
        y = np.int64(np.floor(point[i, 1] / cube))
        z = np.int64(np.floor(point[i, 2] / cube))
        out[i] = _hash(x, y, z) & mask


@njit(cache=True, nogil=True)
def scattered(point: Floats, bucket: Integers, many: int) -> tuple[Integers, Floats, Integers]:
    """Return where each of `many` buckets starts, and the points and their rows in the order of the buckets."""
    start = np.zeros(many + 1, np.int64)
    for one in bucket:
        start[one + 1] += 1
    for i in range(many):
        start[i + 1] += start[i]
    at = start[:-1].copy()
    sorted_point = np.empty_like(point)
    row = np.empty(len(point), np.int64)
    for i in range(len(point)):
        to = at[bucket[i]]
        at[bucket[i]] = to + 1
        sorted_point[to] = point[i]
        row[to] = i
    return start, sorted_point, row


@njit(cache=True, nogil=True)
def near(
    point: Floats, first: int, start: Integers, held: Floats, row: Integers, cube: float, chord: float, nearest: bool
) -> tuple[Integers, Integers, Floats]:
    """Find all points of a grid within a chord of others, or the nearest of them.

    Parameters
    ----------
    point
        Unit vectors, shape (N, 3).
    first
        The number of the first of them.
    start, held, row, cube
        The grid.
    chord
        The largest distance.
    nearest
        Whether to keep one for each point: the nearest, of equally near ones that of the lowest row.

    Returns
    -------
    point, row, squared chord
        One of each for each pair, by point and then by distance.
    """
    mask = len(start) - 2
    limit = chord * chord
    room = max(len(point), 16)
    left, right, distance = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.float64)
    seen = np.empty(8, np.int64)
    found = 0
    for i in range(len(point)):
        x, y, z = point[i, 0], point[i, 1], point[i, 2]
        begin = found
        looked = 0
        for u in range(np.int64(np.floor((x - chord) / cube)), np.int64(np.floor((x + chord) / cube)) + 1):
            for v in range(np.int64(np.floor((y - chord) / cube)), np.int64(np.floor((y + chord) / cube)) + 1):
                for w in range(np.int64(np.floor((z - chord) / cube)), np.int64(np.floor((z + chord) / cube)) + 1):
                    bucket = _hash(u, v, w) & mask
                    again = False
                    for k in range(looked):
                        again |= seen[k] == bucket
                    if again:  # two cubes share it: its points are looked at once
                        continue
                    seen[looked] = bucket
                    looked += 1
                    for k in range(start[bucket], start[bucket + 1]):
                        dx, dy, dz = held[k, 0] - x, held[k, 1] - y, held[k, 2] - z
                        apart = dx * dx + dy * dy + dz * dz
                        if apart > limit:
                            continue
                        if found == room:
                            room *= 2
                            left, right, distance = _longer(left, room), _longer(right, room), _wider(distance, room)
                        at = found
                        while at > begin and (
                            distance[at - 1] > apart or (distance[at - 1] == apart and right[at - 1] > row[k])
                        ):
                            distance[at], right[at] = distance[at - 1], right[at - 1]
                            at -= 1
                        distance[at], right[at], left[found] = apart, row[k], first + i
                        found += 1
                        if nearest:
                            found = begin + 1
    return left[:found].copy(), right[:found].copy(), distance[:found].copy()


@njit(cache=True, nogil=True)
def _hash(x: np.int64, y: np.int64, z: np.int64) -> np.int64:
    mixed = (x * _P1) ^ (y * _P2) ^ (z * _P3)
    return mixed ^ (mixed >> 17)


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
