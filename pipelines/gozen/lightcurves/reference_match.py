"""Match sources with reference stars by their positions at the epoch of the exposure."""

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
        Positions of the sources, degrees, shape (N,).
    star_ra, star_dec
        Positions of the stars at the same epoch, degrees, shape (M,).
    radius_arcsec
        Largest distance of a pair.

    Returns
    -------
    Index of the star of each source, -1 without a star, shape (N,). If a star is the nearest star of several sources,
    only the nearest of these sources gets it; the others get none.
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
    """Return the summed light of each star's neighbours in a catalogue, relative to the star's own, shape (N,).

    A deep catalogue has neighbours that are too faint to be detected, but bright enough to bias the flux.

    Parameters
    ----------
    ra, dec, g
        Positions (degrees) and magnitudes, shape (N,).
    reach_arcsec
        Largest distance of a neighbour.
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
