"""Draw positions and types of a deep survey's objects, tile by tile, from the seed. No measurements.

A tile depends neither on the other tiles nor on their number, so the objects do not depend on how the work is split.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from astropy import units
from astropy.coordinates import Latitude, Longitude
from cdshealpix import nested

from gozen.catalog.format import healpix, source_ids
from gozen.simulator.objects import colours
from gozen.simulator.sky.random_streams import stream
from gozen.simulator.sky.star_arrays import Floats, Integers

Mask = npt.NDArray[np.bool_]

FIELDS = {"XMM": (34.5, -4.8), "COSMOS": (150.1, 2.2), "GAMA15H": (216.5, 0.0), "VVDS": (336.5, 0.5)}
"""Centres (ra, dec in degrees) of the fields, with the names of the HSC-SSP fields at these positions."""

TILE_ORDER = 9
TILE_DEG2 = 360.0**2 / math.pi / (12 * 4**TILE_ORDER)
OBJECTS_PER_TILE = 8192
"""Mean number of objects in a tile: 625,000 per square degree, as in the wide layer of HSC-SSP (Aihara et al. 2022,
PASJ 74, 247)."""

STAR_SHARE = 0.08
COMPANION_SHARE = 0.004
COMPANION_ARCSEC = (0.6, 1.8)
_COMPANION_I = (17.5, 23.0)
_COLOUR_DIFFERENCE = 0.04
_COVERAGE_ORDER = 7
_SOMETIMES_MISSING = ("g", "r", "z", "y")
_MISSING_SHARES = (0.75, 0.17, 0.08)
_COMPANION_NUMBER = 1 << 32
"""Bit in a companion's number.

A companion can be beyond the edge of its tile. So its number includes the tile; otherwise it could equal the number of
an object of the next tile.
"""


@dataclass(frozen=True)
class SurveyObjects:
    """Objects of one tile; arrays of shape (n,), except ``magnitudes``.

    Parameters
    ----------
    source_id
        Identifier assigned by Gozen: ``source_id >> 35`` is the nested HEALPix pixel of order 12.
    ra, dec
        Position, degrees.
    is_star
        Whether the object is a point source.
    magnitudes
        True total magnitudes (AB) in g, r, i, z and y, shape (5, n).
    radius
        Half-light radius, arcsec; 0 for stars.
    twin
        Index of the companion within 2 arcsec that has nearly the same colours; -1 if there is none.
    """

    source_id: Integers
    ra: Floats
    dec: Floats
    is_star: Mask
    magnitudes: Floats
    radius: Floats
    twin: Integers

    def __len__(self) -> int:
        return len(self.source_id)

    def first(self, count: int) -> SurveyObjects:
        """Return the first ``count`` objects; references to twins that are not among them become -1."""
        kept = {field.name: getattr(self, field.name)[..., :count] for field in fields(self)}
        kept["twin"] = np.where(kept["twin"] < count, kept["twin"], -1)
        return SurveyObjects(**kept)


def tile(seed: int, pixel: int) -> SurveyObjects:
    """Draw the objects of one nested HEALPix pixel of order 9, uniformly on the sphere."""
    rng = stream(seed, "objects", pixel)
    count = int(rng.poisson(OBJECTS_PER_TILE))
    is_star = rng.random(count) < STAR_SHARE
    i = np.where(is_star, colours.star_magnitudes(rng, count), colours.galaxy_magnitudes(rng, count))
    of_type = np.where(is_star, colours.star_colours(rng, i), colours.galaxy_colours(rng, i))
    radius = np.where(is_star, 0.0, 10 ** (-0.1 * (i - 20)) * np.exp(rng.normal(0, 0.35, count)))
    bits = 2 * (healpix.ORDER - TILE_ORDER)
    finest = (np.int64(pixel) << bits) + rng.integers(0, 1 << bits, count)
    lon, lat = nested.healpix_to_lonlat(finest.astype(np.uint64), healpix.ORDER, num_threads=1)
    ra, dec = lon.deg, lat.deg
    whole = colours.magnitudes(i, of_type)
    number = np.arange(count, dtype=np.int64)
    twin = _companions(rng, pixel, ra, dec, is_star, whole, radius, number)
    source_id = source_ids.own_source_id(healpix.pixels(ra, dec, source_ids.PIXEL_ORDER), number)
    return SurveyObjects(source_id, ra, dec, is_star, whole, radius, twin)


def _companions(
    rng: np.random.Generator,
    pixel: int,
    ra: Floats,
    dec: Floats,
    is_star: Mask,
    whole: Floats,
    radius: Floats,
    number: Integers,
) -> Integers:
    """Make the last objects companions of some of the others, in place; return the index of each object's twin."""
    twin = np.full(len(ra), -1, np.int64)
    wanted = int(rng.binomial(len(ra), COMPANION_SHARE))
    first = len(ra) - wanted
    bright = np.flatnonzero((whole[2, :first] > _COMPANION_I[0]) & (whole[2, :first] < _COMPANION_I[1]))
    host = rng.permutation(bright)[:wanted]
    last = first + np.arange(len(host))
    away, angle = rng.uniform(*COMPANION_ARCSEC, len(host)) / 3600, rng.uniform(0, 2 * math.pi, len(host))
    dec[last] = dec[host] + away * np.cos(angle)
    ra[last] = np.mod(ra[host] + away * np.sin(angle) / np.cos(np.radians(dec[host])), 360.0)
    is_star[last], radius[last] = is_star[host], radius[host]
    fainter = rng.normal(0.3, 0.3, len(host))
    whole[:, last] = whole[:, host] + fainter + rng.normal(0, _COLOUR_DIFFERENCE, (len(whole), len(host)))
    number[last] = _COMPANION_NUMBER | (np.int64(pixel & 0xFFFF) << 16) | np.arange(len(host))
    twin[host], twin[last] = last, host
    return twin


def missing_bands(seed: int, pixel: int) -> tuple[str, ...]:
    """Return the bands that the survey lacks in the HEALPix pixel of order 7 that contains a tile: usually none."""
    rng = stream(seed, "coverage", pixel >> 2 * (TILE_ORDER - _COVERAGE_ORDER))
    count = int(rng.choice(len(_MISSING_SHARES), p=_MISSING_SHARES))
    chosen = set(rng.permutation(len(_SOMETIMES_MISSING))[:count].tolist())
    return tuple(band for number, band in enumerate(_SOMETIMES_MISSING) if number in chosen)


def tiles(seed: int, objects: int) -> Iterator[tuple[int, int]]:
    """Yield the tiles that together contain ``objects`` objects, and how many to use of each.

    All objects of a tile are used, except in the last tile. Tiles are taken from each field in turn, from its centre
    outwards.
    """
    left = objects
    for pixel in _by_distance(math.ceil(objects / OBJECTS_PER_TILE * 1.1) + 8):
        count = min(int(stream(seed, "objects", pixel).poisson(OBJECTS_PER_TILE)), left)
        if left <= 0:
            return
        yield pixel, count
        left -= count


def _by_distance(count: int) -> list[int]:
    """Return tiles sorted by their distance from the centre of their field, one of each field in turn."""
    each = math.ceil(count / len(FIELDS))
    reach = 1.1 * math.sqrt(each * TILE_DEG2 / math.pi) + 0.3
    ranked = [_around(*centre, reach)[:each] for centre in FIELDS.values()]
    return [pixel for rank in zip(*ranked, strict=True) for pixel in rank]


def _around(ra: float, dec: float, reach: float) -> list[int]:
    place = Longitude(ra * units.deg), Latitude(dec * units.deg)
    found = nested.cone_search(*place, reach * units.deg, TILE_ORDER, flat=True)[0]
    lon, lat = nested.healpix_to_lonlat(found, TILE_ORDER, num_threads=1)
    order = np.lexsort([found, healpix.separation(ra, dec, lon.deg, lat.deg)])
    pixels: list[int] = found[order].astype(np.int64).tolist()
    return pixels
