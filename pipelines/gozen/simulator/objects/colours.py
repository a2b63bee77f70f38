"""Draw magnitudes and colours of stars and galaxies in five bands, without measurement noise."""

from __future__ import annotations

from functools import cache

import numpy as np

from gozen.simulator.sky.star_arrays import Floats

BANDS = ("g", "r", "i", "z", "y")
BRIGHTEST, FAINTEST = 16.0, 27.5
_STAR_SLOPE, _GALAXY_SLOPE = 0.08, 0.33
_LIMIT, _FALL = 25.9, 0.25
_STAR_SCATTER = 0.02

# g-i (first line), and g-r, i-z and z-y at these values: the stellar locus, read by eye from figure 3 of Covey et al.
# 2007, AJ 134, 2398.
_LOCUS = np.array(
    [
        [-0.50, 0.00, 0.30, 0.60, 1.00, 1.50, 1.90, 2.30, 2.70, 3.20, 3.80, 4.50],
        [-0.32, 0.00, 0.22, 0.44, 0.72, 1.08, 1.33, 1.40, 1.42, 1.44, 1.50, 1.65],
        [-0.15, -0.03, 0.02, 0.05, 0.11, 0.18, 0.27, 0.44, 0.65, 0.92, 1.25, 1.60],
        [-0.08, -0.03, 0.00, 0.03, 0.05, 0.09, 0.13, 0.20, 0.28, 0.39, 0.53, 0.70],
    ]
)
# g-r, r-i, i-z and z-y at these redshifts: the 4000-Angstrom break moves from g to y.
_REDSHIFT = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 2.0])
_RED = np.array(
    [
        [0.70, 1.10, 1.55, 1.65, 1.55, 1.40, 1.20, 0.90],
        [0.35, 0.45, 0.60, 0.95, 1.15, 1.20, 1.00, 0.70],
        [0.30, 0.30, 0.35, 0.40, 0.60, 0.80, 0.90, 0.60],
        [0.20, 0.20, 0.22, 0.25, 0.30, 0.40, 0.50, 0.50],
    ]
)
_BLUE = np.array(
    [
        [0.45, 0.60, 0.70, 0.55, 0.40, 0.30, 0.25, 0.30],
        [0.25, 0.30, 0.35, 0.50, 0.50, 0.40, 0.30, 0.25],
        [0.20, 0.20, 0.20, 0.22, 0.30, 0.32, 0.30, 0.25],
        [0.10, 0.10, 0.10, 0.10, 0.12, 0.18, 0.20, 0.20],
    ]
)


def star_magnitudes(rng: np.random.Generator, count: int) -> Floats:
    """Draw i magnitudes of stars, whose counts rise slowly with magnitude, as at high Galactic latitude."""
    return np.interp(rng.random(count), *_cumulated(_STAR_SLOPE))


def galaxy_magnitudes(rng: np.random.Generator, count: int) -> Floats:
    """Draw i magnitudes of galaxies, whose counts rise by 0.33 dex per magnitude up to the detection limit near 26."""
    return np.interp(rng.random(count), *_cumulated(_GALAXY_SLOPE))


def star_colours(rng: np.random.Generator, i: Floats) -> Floats:
    """Draw g-r, r-i, i-z and z-y, shape (4, n), of stars of magnitudes ``i``: turn-off stars and red dwarfs."""
    n = len(i)
    red = rng.random(n) < np.clip(0.35 + 0.06 * (i - 18), 0.3, 0.75)
    g_i = np.where(red, rng.normal(2.5, 0.5, n), 0.3 + rng.gamma(2.2, 0.18, n))
    g_r, i_z, z_y = (np.interp(g_i, _LOCUS[0], line) for line in _LOCUS[1:])
    return np.stack([g_r, g_i - g_r, i_z, z_y]) + rng.normal(0, _STAR_SCATTER, (4, n))


def galaxy_colours(rng: np.random.Generator, i: Floats) -> Floats:
    """Draw g-r, r-i, i-z and z-y, shape (4, n), of red and blue galaxies of magnitudes ``i``, at random redshifts."""
    n = len(i)
    redshift = rng.gamma(3.0, np.clip(0.3 + 0.12 * (i - 20), 0.15, 1.1) / 2.67)
    red = rng.random(n) < np.clip(0.45 - 0.05 * (i - 19), 0.1, 0.5)
    lines = [
        np.where(red, np.interp(redshift, _REDSHIFT, old), np.interp(redshift, _REDSHIFT, young))
        for old, young in zip(_RED, _BLUE, strict=True)
    ]
    return np.stack(lines) + np.where(red, 0.06, 0.14) * rng.standard_normal((4, n))


def magnitudes(i: Floats, colours: Floats) -> Floats:
    """Compute g, r, i, z and y, shape (5, n), from i and the four colours, shape (4, n)."""
    g_r, r_i, i_z, z_y = colours
    r, z = i + r_i, i - i_z
    return np.stack([r + g_r, r, i, z, z - z_y])


@cache
def _cumulated(slope: float) -> tuple[Floats, Floats]:
    """Return the cumulative distribution of magnitudes, and the magnitudes at which it is given."""
    grid = np.linspace(BRIGHTEST, FAINTEST, 2301)
    share = np.cumsum(10 ** (slope * (grid - _LIMIT)) / (1 + np.exp((grid - _LIMIT) / _FALL)))
    return (share - share[0]) / (share[-1] - share[0]), grid
