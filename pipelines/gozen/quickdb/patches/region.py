"""Regions on the sky: choose patches by pixel ranges, and rows by an exact test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gozen.catalog.format import healpix
from gozen.errors import BadRequest
from gozen.resources.sky_circle import circle_fault

FloatArray = NDArray[np.float64]
Ranges = NDArray[np.int64]

_FINEST = 14
"""Finest order (pixels of 13 arcsec) of the cover of boxes and polygons; larger regions use larger pixels."""

_WIDEST = 58.7
"""Upper limit of the distance (degrees) from a base pixel's centre to its corners; it halves with each order."""

_NARROWEST = 2.5
"""Upper limit of a pixel's mean width divided by its smallest width, to choose pixels that are as wide as a margin."""

_CELLS = 13
"""Largest difference in order between a pixel and the cells around it: 8192 cells then cover an edge."""


@runtime_checkable
class SkyRegion(Protocol):
    """An area of the sky."""

    def ranges(self) -> Ranges:
        """Return sorted ranges [start, stop) of ``_healpix_29`` that cover the region (or more), shape (M, 2)."""

    def contains(self, ra: FloatArray, dec: FloatArray, healpix29: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which positions (ICRS degrees, and their ``_healpix_29``) are inside; all arrays have shape (N,)."""


@dataclass(frozen=True)
class Cone:
    """A circle on the sky.

    Parameters
    ----------
    ra, dec
        The centre, ICRS degrees; the right ascension is at least 0 and less than 360.
    radius
        The radius, degrees.
    """

    ra: float
    dec: float
    radius: float

    def __post_init__(self) -> None:
        fault = circle_fault(self.ra, self.dec, self.radius)
        if fault is not None:
            raise BadRequest(f"{self} is not a circle on the sky: {fault}")

    def ranges(self) -> Ranges:
        """Return ranges of ``_healpix_29`` that cover the region."""
        return healpix.cone_ranges(self.ra, self.dec, self.radius)

    def contains(self, ra: FloatArray, dec: FloatArray, healpix29: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which positions are inside."""
        return healpix.separation(self.ra, self.dec, ra, dec) <= self.radius


@dataclass(frozen=True)
class Box:
    """An area between two right ascensions and two declinations; it includes the starts, but not the ends.

    Parameters
    ----------
    ra, dec
        Start and end, ICRS degrees. Right ascensions are from 0 to 360 and run eastwards: ``ra=(350, 10)`` contains 0,
        ``ra=(0, 360)`` is the full circle. Around 0, ``(-10, 10)`` and ``(350, 370)`` are the same as ``(350, 10)``. A
        declination of 90 includes the pole.
    """

    ra: tuple[float, float]
    dec: tuple[float, float]

    def __post_init__(self) -> None:
        if not (-90 <= self.dec[0] < self.dec[1] <= 90 and _is_arc(*self.ra)):
            raise BadRequest(
                f"{self} is not a box: give ra=(from, to) from 0 to 360 degrees, eastwards; ra=(350, 10) contains 0, "
                "ra=(0, 360) is the full circle; and dec=(from, to) from -90 to 90 degrees, rising"
            )

    def ranges(self) -> Ranges:
        """Return ranges of ``_healpix_29`` that cover the region."""
        from cdshealpix.nested import healpix_to_lonlat

        _, width = self._sides()
        deepest = _order_for(min(width, self.dec[1] - self.dec[0]))
        pixel = np.arange(12)
        for order in range(deepest + 1):
            ra, dec = (angle.deg for angle in healpix_to_lonlat(pixel, order))
            pixel = pixel[self._may_touch(ra, dec, _WIDEST / 2**order)]
            if order < deepest:
                pixel = (4 * pixel[:, None] + np.arange(4)).ravel()
        return healpix.pixel_ranges(pixel, deepest)

    def contains(self, ra: FloatArray, dec: FloatArray, healpix29: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which positions are inside."""
        west, width = self._sides()
        below = (dec < self.dec[1]) | (self.dec[1] == 90)
        return ((ra - west) % 360 < width) & (dec >= self.dec[0]) & below

    def _may_touch(self, ra: FloatArray, dec: FloatArray, reach: float) -> NDArray[np.bool_]:
        """Return which pixels may overlap the box, given their centres.

        All values are in degrees; `reach` is at least the distance of each centre from its pixel's corners.
        """
        west, width = self._sides()
        # The poles are corners of pixels: even next to a pole, a pixel spans at most 90 degrees of ra from its centre.
        spread = np.sin(np.radians(reach)) / np.cos(np.radians(dec))
        around = np.degrees(np.arcsin(np.minimum(spread, 1)))
        beside = (ra - west + around) % 360 <= width + 2 * around
        across = (dec + reach >= self.dec[0]) & (dec - reach <= self.dec[1])
        return cast("NDArray[np.bool_]", beside & across)

    def _sides(self) -> tuple[float, float]:
        west, east = self.ra
        return west % 360, 360.0 if east - west >= 360 else (east - west) % 360


def _is_arc(west: float, east: float) -> bool:
    """Return whether two right ascensions are valid ends of an arc; at least one must be from 0 to 360 degrees."""
    within = [0 <= one <= 360 for one in (west, east)]
    if all(within):
        # 360 is 0: (360, 0) is as empty as (0, 0), and a full circle only by mistake.
        return west % 360 != east % 360 or (west, east) == (0, 360)
    return any(within) and west < east <= west + 360


@dataclass(frozen=True)
class Polygon:
    """An area enclosed by great circles between corners; it may be concave, and must fit into a hemisphere.

    Parameters
    ----------
    corners
        Positions (ra, dec) in ICRS degrees, in order around the polygon; right ascensions from 0 to 360.
    """

    corners: tuple[tuple[float, float], ...]

    def __init__(self, corners: Sequence[tuple[float, float]]) -> None:
        object.__setattr__(self, "corners", tuple((float(ra), float(dec)) for ra, dec in corners))
        ra, dec = np.array(self.corners, float).reshape(-1, 2).T
        on_sky = len(set(self.corners)) > 2 and ((ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90)).all()
        if not on_sky or (self._plane(ra, dec)[2] <= 0).any():
            raise BadRequest(
                f"{self} is not a polygon: it needs three different corners or more, within a hemisphere; ra is from 0 "
                "to 360, dec from -90 to 90 degrees"
            )

    def ranges(self) -> Ranges:
        """Return ranges of ``_healpix_29`` that cover the region."""
        from cdshealpix.nested import polygon_search

        ra, dec = self._arrays()
        size = float(np.max(healpix.separation(*self.corners[0], ra, dec)))
        longitude, latitude = _angles(ra, dec)
        return _ranges_of(polygon_search(longitude, latitude, _order_for(size)))

    def contains(self, ra: FloatArray, dec: FloatArray, healpix29: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which positions are inside."""
        # Seen from the centre of the sphere, great circles are straight lines on the tangent plane.
        x, y, ahead = self._plane(ra, dec)
        corner_x, corner_y, _ = self._plane(*self._arrays())
        inside = np.zeros(len(x), bool)
        for one in range(len(corner_x)):
            x1, y1, x2, y2 = corner_x[one - 1], corner_y[one - 1], corner_x[one], corner_y[one]
            if y1 != y2:
                inside ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
        return inside & (ahead > 0)

    def _arrays(self) -> tuple[FloatArray, FloatArray]:
        ra, dec = np.array(self.corners, float).T
        return ra, dec

    def _plane(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return gnomonic coordinates about the mean of the corners, and the cosine of the distance from it."""
        centre = healpix.unit_vectors(*self._arrays()).sum(axis=0)
        centre /= max(float(np.linalg.norm(centre)), 1e-9)
        east = np.cross([0.0, 0.0, 1.0] if abs(centre[2]) < 0.9 else [1.0, 0.0, 0.0], centre)
        east /= np.linalg.norm(east)
        vectors = healpix.unit_vectors(ra, dec)
        ahead = vectors @ centre
        safe = np.where(ahead > 0, ahead, 1.0)
        return vectors @ east / safe, vectors @ np.cross(centre, east) / safe, ahead


@dataclass(frozen=True, eq=False)
class Pixels:
    """A set of pixels: a MOC, or the area of a patch.

    Parameters
    ----------
    covered
        Sorted ranges [start, stop) of ``_healpix_29``, shape (M, 2).
    """

    covered: Ranges

    def __repr__(self) -> str:
        return f"Pixels({[tuple(one) for one in self.covered[:3].tolist()]}{', ...' * (len(self.covered) > 3)})"

    def ranges(self) -> Ranges:
        """Return the ranges of ``_healpix_29`` that these pixels cover."""
        return self.covered

    def contains(self, ra: FloatArray, dec: FloatArray, healpix29: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which positions are inside, by their pixels."""
        at = np.searchsorted(self.covered[:, 0], healpix29, side="right") - 1
        return cast("NDArray[np.bool_]", (at >= 0) & (healpix29 < self.covered[np.maximum(at, 0), 1]))


def as_region(given: Any) -> SkyRegion:
    """Return a region from a `Cone`, `Box` or `Polygon`, a MOC of `mocpy`, or a MOC as text (``5/12-15 7/9``).

    Raises
    ------
    BadRequest
        The argument is none of these, or the region is empty.
    """
    if isinstance(given, str):
        given = _moc_of(given)
    if hasattr(given, "to_depth29_ranges"):
        given = Pixels(np.asarray(given.to_depth29_ranges, np.uint64).astype(np.int64).reshape(-1, 2))
    if isinstance(given, type) or not isinstance(given, SkyRegion):
        raise BadRequest(f"region {given!r} is not a region: give a Cone, Box or Polygon of gozen.quickdb, or a MOC")
    if not len(given.ranges()):
        raise BadRequest(f"the region {given!r} is empty: give a region that contains a part of the sky")
    return given


def _moc_of(text: str) -> Any:
    try:
        from mocpy import MOC
    except ImportError as error:
        raise BadRequest("a MOC as text needs mocpy: pip install mocpy, or give a Cone, Box or Polygon") from error
    try:
        return MOC.from_string(text)
    except Exception as error:  # mocpy passes on any exception of its parser
        raise BadRequest(
            f"region {text!r} is not a MOC (coverage map): write order/pixels, such as 5/12-15 7/9"
        ) from error


def _angles(ra: Any, dec: Any) -> tuple[Any, Any]:
    from astropy import units
    from astropy.coordinates import Latitude, Longitude

    return Longitude(ra, units.deg), Latitude(dec, units.deg)


def _ranges_of(found: tuple[Any, ...]) -> Ranges:
    pixel, shift = found[0].astype(np.int64), 2 * (healpix.ORDER - found[1].astype(np.int64))
    return healpix.merged(np.stack([pixel << shift, (pixel + 1) << shift], axis=1))


def _order_for(size: float) -> int:
    """Return the HEALPix order for a region (size in degrees): about 30 pixels across, a few hundred along the edge."""
    return int(np.clip(np.floor(np.log2(58.6 * 30 / max(size, 1e-7))), 3, _FINEST))


def around(start: int, stop: int, arcsec: float) -> Ranges:
    """Return ranges of ``_healpix_29`` for all pixels within a distance of a range, and for some slightly farther.

    The cost is bounded: around a large range, a small distance is replaced by a larger one.

    Parameters
    ----------
    start, stop
        The range of ``_healpix_29``.
    arcsec
        Largest distance from the range, arcsec.
    """
    finest = healpix.ORDER - (max(stop - start, 1).bit_length() - 1) // 2 + _CELLS
    order = int(np.clip(np.floor(np.log2(58.6 * 3600 / (_NARROWEST * arcsec))), 0, min(finest, healpix.ORDER)))
    shift = 2 * (healpix.ORDER - order)
    first, last = start >> shift, ((stop - 1) >> shift) + 1
    rings = [_ring(pixel, depth, order) for pixel, depth in _largest_pixels(first, last, order)]
    every = np.concatenate([*rings, np.array([[first << shift, last << shift]])])
    return _without(healpix.merged(every), start, stop)


def _ring(pixel: int, depth: int, order: int) -> Ranges:
    """Return the cells of an order that touch a pixel; the cost grows with the pixel's edge, not with its area."""
    if depth == order:
        return healpix.pixel_ranges(healpix.with_neighbours(pixel, order), order)
    return healpix.ring_ranges(pixel, depth, order)


def _largest_pixels(first: int, last: int, order: int) -> Iterator[tuple[int, int]]:
    """Yield the fewest pixels, as (pixel, order), that make up the range [first, last) of pixels of `order`."""
    while first < last:
        up = 0
        while up < order and first % 4 ** (up + 1) == 0 and first + 4 ** (up + 1) <= last:
            up += 1
        yield first >> 2 * up, order - up
        first += 4**up


def _without(ranges: Ranges, start: int, stop: int) -> Ranges:
    before = np.stack([ranges[:, 0], np.minimum(ranges[:, 1], start)], axis=1)
    behind = np.stack([np.maximum(ranges[:, 0], stop), ranges[:, 1]], axis=1)
    both = np.concatenate([before, behind])
    return both[both[:, 0] < both[:, 1]]
