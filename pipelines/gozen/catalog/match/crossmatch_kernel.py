"""Compiled kernel of cross-matches: a hashed grid of zones on the sphere.

A zone of declination is at least four radii high. It is divided in right ascension into cells that are at least as
wide as the zone is high. Neighbouring cells of a zone are neighbours in memory. Cells of different zones may share a
bucket of the hash table: this costs some more comparisons, but changes no result. Method: the zones algorithm, Gray,
Nieto-Santisteban & Szalay 2006, MSR-TR-2006-52, with a hash for the zones.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_Numbers = TypeVar("_Numbers", Floats, Integers)

_RADII = 4.0
_LOWEST = 1.0 / 3600
_NO_ROOM = -1
_SPREAD = np.int64(2654435761)
_inlined = njit(cache=True, nogil=True, inline="always")  # else calls in the innermost loops take a fifth of the time


class Zones(NamedTuple):
    """Division of the sphere: height of a zone in degrees, and number of cells in each zone, the southernmost first."""

    height: float
    cells: Integers


class Grid(NamedTuple):
    """Points sorted by bucket: first point of each bucket, shape (B + 1,); x, y, z and row of each point, (N, 4)."""

    zones: Zones
    start: NDArray[np.int32]
    point: Floats


def zones(radius: float) -> Zones:
    """Return the division of the sphere for a search radius in degrees."""
    height = max(_RADII * radius, _LOWEST)
    edges = np.minimum(np.arange(int(np.ceil(180 / height)) + 1) * height - 90, 90.0)
    narrow = np.cos(np.radians(np.maximum(np.abs(edges[:-1]), np.abs(edges[1:]))))
    return Zones(height, np.maximum(np.floor(360 * narrow / height), 1).astype(np.int64))


@njit(cache=True, nogil=True)
def buckets(ra: Floats, dec: Floats, zones: Zones, mask: int, out: Integers) -> None:
    """Write the bucket of each position into `out`, shape (N,); positions in degrees, right ascension in [0, 360)."""
    height, cells = zones
    for i in range(len(ra)):
        zone = min(int((dec[i] + 90) / height), len(cells) - 1)
        cell = min(int(ra[i] / 360 * cells[zone]), int(cells[zone]) - 1)
        out[i] = _bucket(zone, cell, mask)


@njit(cache=True, nogil=True)
def counted(bucket: Integers, low: int, high: int, start: NDArray[np.int32]) -> None:
    """Count the rows of each bucket b of [low, high) in ``start[b + 1]``."""
    for one in bucket:
        if low <= one < high:
            start[one + 1] += 1


@njit(cache=True, nogil=True)
def placed(
    ra: Floats, dec: Floats, bucket: Integers, low: int, high: int, at: NDArray[np.int32], point: Floats
) -> None:
    """Write unit vector and row number of the points of buckets [low, high) into `point`.

    ``at[b]`` is the next free place of bucket b; it is increased for each point.
    """
    for i in range(len(bucket)):
        if low <= bucket[i] < high:
            to = at[bucket[i]]
            at[bucket[i]] = to + 1
            point[to, 0], point[to, 1], point[to, 2] = _unit_vector(ra[i], dec[i])
            point[to, 3] = i


@njit(cache=True, nogil=True)
def near(
    ra: Floats, dec: Floats, first: int, grid: Grid, radius: float, nearest: bool
) -> tuple[Integers, Integers, Floats]:
    """Find all points of a grid within a radius of positions, or the nearest of them.

    Parameters
    ----------
    ra, dec
        Degrees, right ascension in [0, 360), shape (N,).
    first
        The number of the first position; positions are counted from it.
    grid
        The points in which neighbours are searched.
    radius
        Radius of the search, degrees.
    nearest
        Whether to keep only the nearest point of each position; of equally near points, the one with the lowest row
        number.

    Returns
    -------
    position, row, squared chord
        Arrays with one element for each pair, sorted by position and then by distance.
    """
    row, squared = np.empty(max(2 * len(ra), 16), np.int64), np.empty(max(2 * len(ra), 16), np.float64)
    count = np.empty(len(ra), np.int64)
    i = found = 0
    while i < len(ra):
        ended = _matched(ra[i], dec[i], grid.zones, grid.start, grid.point, radius, nearest, row, squared, found)
        if ended == _NO_ROOM:
            row, squared = _longer(row), _longer(squared)
        else:
            count[i] = ended - found
            i, found = i + 1, ended
    return np.repeat(np.arange(first, first + len(ra)), count), row[:found].copy(), squared[:found].copy()


@_inlined
def _matched(
    ra: float, dec: float, zones: Zones, start: NDArray[np.int32], point: Floats, radius: float, nearest: bool,
    row: Integers, squared: Floats, begin: int,
) -> int:  # fmt: skip
    """Write the matches of a position from index `begin` on; return their end, or `_NO_ROOM` if the arrays are full."""
    height, cells = zones
    limit = (2 * np.sin(np.radians(radius) / 2)) ** 2
    here, aside = _unit_vector(ra, dec), _aside(dec, radius)
    lowest, highest = _zones_within(dec, radius, height, len(cells))
    found = begin
    for zone in range(lowest, highest + 1):
        west, east = _cells_within(ra, aside, cells[zone])
        for cell in range(west, east + 1):
            bucket = _bucket(zone, cell % cells[zone], len(start) - 2)
            low, high = start[bucket], start[bucket + 1]
            if found + high - low > len(row):
                return _NO_ROOM
            found = _searched(point, low, high, here, limit, nearest, row, squared, begin, found)
    return found


@_inlined
def _searched(
    point: Floats, low: int, high: int, here: tuple[float, float, float], limit: float, nearest: bool,
    row: Integers, squared: Floats, begin: int, found: int,
) -> int:  # fmt: skip
    """Add the points of [low, high) within the radius to the matches of a position; return the end of the matches."""
    x, y, z = here
    for k in range(low, high):
        dx, dy, dz = point[k, 0] - x, point[k, 1] - y, point[k, 2] - z
        apart = dx * dx + dy * dy + dz * dz
        if apart <= limit:
            found = _inserted(int(point[k, 3]), apart, row, squared, begin, found)
            if nearest:
                found = begin + 1
    return found


@_inlined
def _inserted(number: int, apart: float, row: Integers, squared: Floats, begin: int, found: int) -> int:
    """Insert a match among the matches of its position, sorted by distance and row; skip a known one."""
    at = found
    while at > begin and (squared[at - 1] > apart or (squared[at - 1] == apart and row[at - 1] > number)):
        at -= 1
    if at > begin and squared[at - 1] == apart and row[at - 1] == number:
        return found  # two cells of the search share a bucket, so its points come twice
    for back in range(found, at, -1):
        squared[back], row[back] = squared[back - 1], row[back - 1]
    squared[at], row[at] = apart, number
    return found + 1


@njit(cache=True, nogil=True)
def _bucket(zone: int, cell: int, mask: int) -> int:
    return int((zone * _SPREAD + cell) & mask)


@njit(cache=True, nogil=True)
def _unit_vector(ra: float, dec: float) -> tuple[float, float, float]:
    alpha, delta = np.radians(ra), np.radians(dec)
    flat = np.cos(delta)
    return flat * np.cos(alpha), flat * np.sin(alpha), np.sin(delta)


@njit(cache=True, nogil=True)
def _aside(dec: float, radius: float) -> float:
    """Return the half-width of a circle in right ascension, degrees; 360 if the circle contains a pole."""
    reach = np.sin(np.radians(radius)) / max(np.cos(np.radians(dec)), 1e-300)
    return float(np.degrees(np.arcsin(reach)) * (1 + 1e-9) + 1e-12) if reach < 1 else 360.0


@njit(cache=True, nogil=True)
def _zones_within(dec: float, radius: float, height: float, many: int) -> tuple[int, int]:
    """Return the first and the last zone that a circle touches."""
    lowest = max(int((dec - radius + 90) / height - 1e-9), 0)
    return lowest, min(int((dec + radius + 90) / height + 1e-9), many - 1)


@njit(cache=True, nogil=True)
def _cells_within(ra: float, aside: float, many: int) -> tuple[int, int]:
    """Return the first and the last cell of a zone that a circle touches; take them modulo `many`, each occurs once."""
    west, east = int(np.floor((ra - aside) / 360 * many)), int(np.floor((ra + aside) / 360 * many))
    return (west, east) if east - west < many else (0, many - 1)


@njit(cache=True, nogil=True)
def _longer(old: _Numbers) -> _Numbers:
    new = np.empty(2 * len(old), old.dtype)
    new[: len(old)] = old
    return new
