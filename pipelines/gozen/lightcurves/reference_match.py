"""Match sources with stars of the reference catalogue by position at the epoch of the exposure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]


def match_stars(ra: Floats, dec: Floats, star_ra: Floats, star_dec: Floats, radius_arcsec: float) -> NDArray[np.intp]:
    """Match sources to stars one to one.

    Parameters
    ----------
    ra, dec
        Of the sources, degrees, shape (N,).
    star_ra, star_dec
        Of the stars at the same epoch, degrees, shape (M,).
    radius_arcsec
        Largest distance of a pair.

    Returns
    -------
    Index of each source's star, -1 where it has none. A star goes to the nearest source that claims it.
    """
    out = np.full(len(ra), -1, np.intp)
    if len(ra) == 0 or len(star_ra) == 0:
        return out
    distance, star = cKDTree(_vectors(star_ra, star_dec), balanced_tree=False).query(
        _vectors(ra, dec), distance_upper_bound=2 * np.sin(np.deg2rad(radius_arcsec / 3600) / 2)
    )
    found = np.flatnonzero(np.isfinite(distance))
    nearest_first = found[np.argsort(distance[found], kind="stable")]
    _, first = np.unique(star[nearest_first], return_index=True)
    winners = nearest_first[first]
    out[winners] = star[winners]
    return out


def neighbour_light(ra: Floats, dec: Floats, g: Floats, reach_arcsec: float) -> Floats:
    """Return the light of each star's neighbours in a catalogue, relative to its own.

    A deep catalogue knows the stars that are too faint to be detected but not to spoil an aperture.

    Parameters
    ----------
    ra, dec, g
        Positions (degrees) and magnitudes, shape (N,).
    reach_arcsec
        Distance within which a neighbour's light counts.
    """
    out = np.zeros(len(ra))
    if len(ra) < 2:
        return out
    chord = 2 * np.sin(np.deg2rad(reach_arcsec / 3600) / 2)
    one, other = cKDTree(_vectors(ra, dec), balanced_tree=False).query_pairs(chord, output_type="ndarray").T
    light = np.nan_to_num(10 ** (-0.4 * g))
    for star, neighbour in ((one, other), (other, one)):
        out += np.bincount(star, light[neighbour] / np.maximum(light[star], 1e-30), minlength=len(out))
    return out


def _vectors(ra: Floats, dec: Floats) -> Floats:
    a, d = np.deg2rad(ra), np.deg2rad(dec)
    return np.column_stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
