"""Source ids that Gozen creates: their bits, and how they differ from Gaia's. `write.source_registry` assigns them.

A Gaia ``source_id`` contains the HEALPix-12 pixel in bits 35 to 62, a data-processing-centre code in
``(id >> 32) & 7`` (0, 1 and 3 occur, and its highest bit is unused), and 32 bits of running and component number: see
the data model of ``gaia_source``, Gaia DR3 documentation §20.1.1, and GAIA-C3-TN-ARI-BAS-020. Gozen's ids set the
unused bit, number 34.
"""

from __future__ import annotations

from typing import TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gozen.catalog.format import healpix

PIXEL_ORDER = 12
PIXEL_SHIFT = 35
OWN_BIT = 34

MOST_NUMBERS = (1 << 33) - 1
_BY_POSITION = 1 << 33
_CELL_ORDER = 28
_Integers = TypeVar("_Integers", int, NDArray[np.int64])


def own_source_id(healpix12: _Integers, number: _Integers) -> _Integers:
    """Return the Gozen id of a numbered object in a HEALPix-12 pixel.

    Parameters
    ----------
    healpix12
        The nested HEALPix pixel of order 12 of the object's registered position.
    number
        Number of the object in that pixel, 0 to 2**33 - 1.

    Returns
    -------
    int or NDArray[np.int64]
        ``id >> 35`` is the pixel; bit 34 is set, which no Gaia id has.
    """
    return (healpix12 << PIXEL_SHIFT) | (1 << OWN_BIT) | number


def own_id_of_position(ra: ArrayLike, dec: ArrayLike) -> NDArray[np.int64]:
    """Return Gozen ids, computed from positions alone, for the stars of a reference catalogue without ids.

    Parameters
    ----------
    ra, dec
        ICRS degrees at the catalogue's epoch, shape (N,).

    Returns
    -------
    NDArray[np.int64]
        Ids that differ if positions are more than 2 mas apart. `own_source_id` never returns one of these ids.
    """
    cell = healpix.pixels(ra, dec, _CELL_ORDER)
    below = 2 * (_CELL_ORDER - PIXEL_ORDER)
    return own_source_id(cell >> below, _BY_POSITION | (cell & ((1 << below) - 1)))


def next_to(source_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the next id in the HEALPix-12 pixel of each id, for stars whose position another star uses already."""
    cell = (1 << 2 * (_CELL_ORDER - PIXEL_ORDER)) - 1
    return cast("NDArray[np.int64]", (source_id & ~cell) | ((source_id + 1) & cell))


def is_own(source_id: ArrayLike) -> NDArray[np.bool_]:
    """Tell which ids Gozen created, as opposed to Gaia's."""
    return cast("NDArray[np.bool_]", (np.asarray(source_id, np.int64) >> OWN_BIT) & 1 == 1)


def pixel_of(source_id: _Integers) -> _Integers:
    """Return the nested HEALPix-12 pixel of an id, Gaia's or Gozen's."""
    return source_id >> PIXEL_SHIFT


def number_of(source_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number within the pixel that Gozen ids contain."""
    return cast("NDArray[np.int64]", source_id & ((1 << OWN_BIT) - 1))
