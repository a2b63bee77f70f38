"""Nested HEALPix pixels of positions, neighbours and cones. Positions are arrays in degrees.

`cdshealpix` is imported on first use, because it loads astropy, which takes a second.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

ORDER = 29
"""The order of the column ``_healpix_29`` that every table is sorted by (HATS, IVOA note)."""

_CONE_DEPTH = 2
_SHORTEST_RADIUS = 1e-9


def pixels(ra: ArrayLike, dec: ArrayLike, order: int = ORDER) -> NDArray[np.int64]:
    """Return the pixel of each position.

    Parameters
    ----------
    ra, dec
        ICRS degrees, shape (N,).
    order
        HEALPix order, 0 to 29.

    Returns
    -------
    NDArray[np.int64]
        Nested pixel numbers, shape (N,).
    """
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import lonlat_to_healpix

    longitude = Longitude(np.atleast_1d(np.asarray(ra, np.float64)), units.deg)
    latitude = Latitude(np.atleast_1d(np.asarray(dec, np.float64)), units.deg)
    found = lonlat_to_healpix(longitude, latitude, np.uint8(order))
    return cast("NDArray[np.int64]", found.astype(np.int64))


def with_neighbours(pixel: ArrayLike, order: int) -> NDArray[np.int64]:
    """Return these pixels and their neighbours (up to eight each), sorted, without duplicates."""
    from cdshealpix.nested import neighbours

    around: NDArray[np.int64] = neighbours(np.atleast_1d(np.asarray(pixel)), order)
    found = np.unique(around)
    return found[found >= 0]


def ring_ranges(pixel: int, order: int, cell_order: int) -> NDArray[np.int64]:
    """Return the ranges of ``_healpix_29`` of the ring of smaller cells just outside a pixel, shape (M, 2).

    Parameters
    ----------
    pixel, order
        Number of the pixel, nested scheme, and its order.
    cell_order
        HEALPix order of the cells, not below `order`.
    """
    from cdshealpix.nested import external_neighbours

    edge, corner = external_neighbours(np.array([pixel]), order, cell_order - order)
    cells = np.concatenate([edge.astype(np.int64).ravel(), corner.astype(np.int64).ravel()])
    return pixel_ranges(cells[cells >= 0], cell_order)


def pixel_ranges(pixel: ArrayLike, order: int) -> NDArray[np.int64]:
    """Return sorted, merged half-open ranges [start, stop) of ``_healpix_29`` that pixels cover, shape (M, 2)."""
    shift = 2 * (ORDER - order)
    start = np.unique(np.atleast_1d(np.asarray(pixel, np.int64)))
    return merged(np.stack([start << shift, (start + 1) << shift], axis=1))


def cone_ranges(ra: float, dec: float, radius: float) -> NDArray[np.int64]:
    """Return ranges [start, stop) of ``_healpix_29`` that together cover a cone.

    Parameters
    ----------
    ra, dec
        The centre, ICRS degrees.
    radius
        Radius of the circle, degrees.

    Returns
    -------
    NDArray[np.int64]
        Sorted and merged, shape (M, 2). They cover slightly more sky than the cone, never less.
    """
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import cone_search

    radius = min(max(radius, _SHORTEST_RADIUS), 180.0)
    found: tuple[Any, ...] = cone_search(
        Longitude(ra % 360.0, units.deg),
        Latitude(dec, units.deg),
        radius * units.deg,
        _order_of(radius),
        _CONE_DEPTH,
    )
    pixel = found[0].astype(np.int64)
    shift = 2 * (ORDER - found[1].astype(np.int64))
    return merged(np.stack([pixel << shift, (pixel + 1) << shift], axis=1))


def separation(ra: float, dec: float, other_ra: ArrayLike, other_dec: ArrayLike) -> NDArray[np.float64]:
    """Return the angles from one position to others, all in degrees (haversine formula: exact for small angles)."""
    ra2, dec2 = np.radians(np.asarray(other_ra, np.float64)), np.radians(np.asarray(other_dec, np.float64))
    ra1, dec1 = np.radians(ra), np.radians(dec)
    half = np.sin((dec2 - dec1) / 2) ** 2 + np.cos(dec1) * np.cos(dec2) * np.sin((ra2 - ra1) / 2) ** 2
    return cast("NDArray[np.float64]", np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))))


def unit_vectors(ra: ArrayLike, dec: ArrayLike) -> NDArray[np.float64]:
    """Return unit vectors of positions in degrees, shape (N, 3)."""
    alpha, delta = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    return np.stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)], axis=-1)


def _order_of(radius: float) -> int:
    """Return the order whose pixels are a quarter to half of the radius wide: a few dozen of them cover a cone."""
    return int(np.clip(np.floor(np.log2(58.6 / radius)) + _CONE_DEPTH, 0, ORDER - _CONE_DEPTH))


def merged(ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ranges [start, stop), shape (M, 2), sorted; ranges that touch or overlap become one."""
    if len(ranges) == 0:
        return ranges.reshape(0, 2)
    ranges = ranges[np.argsort(ranges[:, 0])]
    opens = np.concatenate([[True], ranges[1:, 0] > np.maximum.accumulate(ranges[:, 1])[:-1]])
    first = np.flatnonzero(opens)
    return np.stack([ranges[first, 0], np.maximum.reduceat(ranges[:, 1], first)], axis=1)
