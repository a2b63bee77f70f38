"""Draw the stars of a HEALPix tile from the seed and the number of the tile.

A tile does not depend on the pointing, so overlapping pointings have the same stars.
"""

from __future__ import annotations

import math

import numpy as np
from astropy import units
from astropy.coordinates import Latitude, Longitude
from cdshealpix import nested

from gozen.catalog.format import healpix
from gozen.simulator.sky.random_streams import stream
from gozen.simulator.sky.star_arrays import EPOCH, Floats, Integers, Stars, moved
from gozen.simulator.sky.tycho import BrightStars

TILE_ORDER = 8
TILE_DEG2 = 360.0**2 / math.pi / (12 * 4**TILE_ORDER)
TILE_RADIUS_DEG = 0.4
"""Radius around a tile's centre that contains the tile, and the J2000 positions of stars that moved into it since."""
ID_ORDER = 12
_FINEST = 29
BRIGHTEST, FAINTEST = 6.0, 20.5
# The Tycho-2 index has 45 stars per square degree brighter than 11.5. The slopes give about 1,500 sources on a stack of
# 17 Tomo-e frames; beyond 18, counts flatten as at high Galactic latitude.
_BRIGHT_DENSITY, BRIGHT_LIMIT, _SLOPE = 45.0, 11.5, 0.345
_BREAK, _FAINT_SLOPE = 18.0, 0.20
_TYCHO_NUMBER = 1 << 24
_KM_S_PER_AU_YR = 4.740470463


def density(g: float) -> float:
    """Return the number of stars per square degree that are brighter than a magnitude."""
    bright = _BRIGHT_DENSITY * 10 ** (_SLOPE * (min(g, _BREAK) - BRIGHT_LIMIT))
    return float(bright * 10 ** (_FAINT_SLOPE * max(g - _BREAK, 0.0)))


def magnitude(number: Floats) -> Floats:
    """Return the magnitude up to which there are ``number`` stars per square degree: the inverse of `density`."""
    bright = BRIGHT_LIMIT + np.log10(number / _BRIGHT_DENSITY) / _SLOPE
    faint = _BREAK + np.log10(number / density(_BREAK)) / _FAINT_SLOPE
    return np.where(bright <= _BREAK, bright, faint)


def tile(seed: int, pixel: int) -> Stars:
    """Draw the stars of one nested HEALPix pixel of order 8.

    Positions are uniform on the sphere: the centres of random pixels of order 29 inside the tile.
    """
    rng = stream(seed, "population", pixel)
    bright, faint = density(BRIGHTEST), density(FAINTEST)
    count = int(rng.poisson((faint - bright) * TILE_DEG2))
    g = magnitude(rng.uniform(bright, faint, count))
    bits = 2 * (_FINEST - TILE_ORDER)
    finest = (np.int64(pixel) << bits) + rng.integers(0, 1 << bits, count)
    lon, lat = nested.healpix_to_lonlat(finest.astype(np.uint64), _FINEST, num_threads=1)
    bp_rp, parallax, pmra, pmdec, ruwe = nature(rng, g)
    source_id = gaia_ids(finest >> 2 * (_FINEST - ID_ORDER), np.arange(1, count + 1))
    return Stars(source_id, lon.deg, lat.deg, pmra, pmdec, parallax, ruwe, g, bp_rp)


def from_tycho(seed: int, bright: BrightStars) -> Stars:
    """Complete the stars of the index with random colours, proper motions and parallaxes from the seed.

    ``g = VT - 0.15`` is near the mean of field stars at BP-RP 0.8 (Riello et al. 2021, A&A 649, A3). The position at
    J2000 is taken from the index.
    """
    g = bright.vt - 0.15
    # A random stream for each star, so that a star is the same in every cone that contains it.
    drawn = [nature(stream(seed, "tycho", int(row)), g[i : i + 1]) for i, row in enumerate(bright.row)]
    bp_rp, parallax, pmra, pmdec, ruwe = np.concatenate([np.zeros((5, 0)), *drawn], axis=1)
    ra, dec = moved(bright.ra, bright.dec, pmra, pmdec, EPOCH - 2000.0)
    source_id = gaia_ids(healpix.pixels(ra, dec, ID_ORDER), _TYCHO_NUMBER + bright.row)
    return Stars(source_id, ra, dec, pmra, pmdec, parallax, ruwe, g, bp_rp)


def nature(rng: np.random.Generator, g: Floats) -> Floats:
    """Draw BP-RP, parallax (mas), proper motions (mas/yr) and RUWE, shape (5, n), of stars of magnitudes ``g``.

    Colours have a peak of turn-off stars and one of red dwarfs, which are more numerous among faint stars. Parallaxes
    follow from the main sequence M_G = 1.9 + 3.2 (BP-RP), a line through figure 1 of Gaia Collaboration, Babusiaux et
    al. 2018, A&A 616, A10. Proper motions follow from tangential velocities with a standard deviation of 30 km/s per
    axis.
    """
    n = len(g)
    red = rng.random(n) < np.clip(0.1 + 0.08 * (g - 11), 0.1, 0.7)
    bp_rp = np.clip(np.where(red, rng.normal(1.9, 0.5, n), rng.normal(0.9, 0.22, n)), -0.2, 4.0)
    parallax = 10 ** ((1.9 + 3.2 * bp_rp - g + 10) / 5)
    pmra, pmdec = 30.0 * rng.standard_normal((2, n)) * parallax / _KM_S_PER_AU_YR
    ruwe = np.exp(rng.normal(0.01, 0.06, n)) + np.where(rng.random(n) < 0.05, rng.exponential(2.0, n), 0.0)
    return np.stack([bp_rp, parallax, pmra, pmdec, ruwe])


def gaia_ids(pixels: Integers, numbers: Integers) -> Integers:
    """Return identifiers in Gaia's form: a HEALPix pixel of order 12 from bit 35, a running number from bit 7.

    Source: Gaia DR3 documentation, table ``gaia_source``, column ``source_id``.
    """
    return (pixels.astype(np.int64) << 35) | (numbers.astype(np.int64) << 7)


def tiles_in_cone(ra: float, dec: float, radius_deg: float) -> list[int]:
    """Return the tiles that overlap a cone (degrees), sorted."""
    lon, lat = Longitude(ra * units.deg), Latitude(dec * units.deg)
    pixels, _, _ = nested.cone_search(lon, lat, radius_deg * units.deg, TILE_ORDER, flat=True)
    return sorted(int(pixel) for pixel in pixels)


def tile_centre(pixel: int) -> tuple[float, float]:
    """Return ra and dec (degrees) of the centre of a tile."""
    lon, lat = nested.healpix_to_lonlat(np.array([pixel], np.uint64), TILE_ORDER, num_threads=1)
    return float(lon.deg[0]), float(lat.deg[0])
