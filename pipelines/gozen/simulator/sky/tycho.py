"""Read bright stars with real positions from an astrometry.net index of Tycho-2, such as Debian's package.

The index has positions (J2000) and VT magnitudes, but no proper motions or colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gozen.errors import UnreadableInput
from gozen.simulator.sky.star_arrays import Floats, Integers

INDEX_FOLDER = Path("/usr/share/astrometry")
_PATTERN = "index-tycho2-07*.fits"


@dataclass(frozen=True)
class BrightStars:
    """Stars of the index; arrays of shape (n,).

    Parameters
    ----------
    row
        Row in the index, which identifies the star.
    ra, dec
        Position at the epoch J2000, degrees.
    vt
        Tycho VT magnitude.
    """

    row: Integers
    ra: Floats
    dec: Floats
    vt: Floats


@dataclass(frozen=True)
class _Tree:
    points: npt.NDArray[np.uint32]
    lower: Floats
    scale: float
    vt: npt.NDArray[np.float32]


def find_index(folder: Path = INDEX_FOLDER) -> Path | None:
    """Return the path of the Tycho-2 index in a folder; None if it is not installed."""
    return next(iter(sorted(folder.glob(_PATTERN))), None)


def stars_in_cone(index: Path, ra: float, dec: float, radius_deg: float) -> BrightStars:
    """Return the stars of an index within a cone.

    Parameters
    ----------
    index
        An astrometry.net index with a ``kdtree_data_stars`` table (three unsigned 32-bit integers per star: a unit
        vector, scaled by ``kdtree_range_stars``) and a ``MAG_VT`` table in the same order.
    ra, dec, radius_deg
        Centre and radius of the cone, degrees.

    Raises
    ------
    UnreadableInput
        The file is not a valid index of this form.
    """
    tree = _open(index)
    centre = _unit_vectors(np.array([ra]), np.array([dec]))[0]
    reach = 2 * np.sin(np.radians(radius_deg) / 2)
    ends = np.array([centre - reach, centre + reach])
    low, high = np.clip((ends - tree.lower) * tree.scale, 0, 2**32 - 1).astype(np.uint32)
    rows: Integers = np.flatnonzero((tree.points[:, 0] >= low[0]) & (tree.points[:, 0] <= high[0]))
    for axis in (1, 2):
        values = tree.points[rows, axis]
        rows = rows[(values >= low[axis]) & (values <= high[axis])]
    vectors = tree.lower + tree.points[rows] / tree.scale
    near = np.linalg.norm(vectors - centre, axis=1) <= reach
    found = vectors[near]
    return BrightStars(
        row=rows[near],
        ra=np.mod(np.degrees(np.arctan2(found[:, 1], found[:, 0])), 360.0),
        dec=np.degrees(np.arctan2(found[:, 2], np.hypot(found[:, 0], found[:, 1]))),
        vt=tree.vt[rows[near]].astype(np.float64),
    )


def _unit_vectors(ra: Floats, dec: Floats) -> Floats:
    """Convert positions in degrees to unit vectors, shape (n, 3)."""
    lon, lat = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


@lru_cache(maxsize=1)
def _open(index: Path) -> _Tree:
    try:
        with fits.open(index, memmap=True) as hdus:
            tables = {hdu.columns[0].name: hdu for hdu in hdus[1:] if hdu.columns}
            bounds = np.frombuffer(tables["kdtree_range_stars"].data.tobytes(), "<f8")
            points = np.frombuffer(tables["kdtree_data_stars"].data.tobytes(), "<u4").reshape(-1, 3)
            vt = np.asarray(tables["MAG_VT"].data["MAG_VT"], np.float32)
        return _Tree(points=points, lower=bounds[:3], scale=float(bounds[6]), vt=vt)
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise UnreadableInput(
            f"{index} is not an astrometry.net index of Tycho-2 ({error}); install astrometry-data-tycho2-07 again"
        ) from error
