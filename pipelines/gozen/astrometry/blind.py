"""Solve a field blind, with the ``astrometry`` package and astrometry.net index files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gozen.astrometry.tangent_plane import Projection

Floats = NDArray[np.float64]
_STARS = 60


@dataclass(frozen=True)
class BlindMatch:
    """A confirmed blind solution: projection, and index stars of the field (degrees, at the epoch of the index)."""

    projection: Projection
    ra: Floats
    dec: Floats


def index_files(places: Iterable[Path]) -> list[Path]:
    """Return the index files among given files and in given folders; files of one folder are sorted by name."""
    found: list[Path] = []
    for place in places:
        found += sorted(place.glob("*index*.fits")) if place.is_dir() else [place] if place.is_file() else []
    return found


def solve_blind(
    x: Floats,
    y: Floats,
    indexes: list[Path],
    scale_arcsec: tuple[float, float],
    position: tuple[float, float, float] | None,
) -> BlindMatch | None:
    """Solve a field from its stars alone (Lang et al. 2010, AJ 139, 1782).

    Parameters
    ----------
    x, y
        Detections, brightest first, 0-based pixels.
    indexes
        Index files of astrometry.net.
    scale_arcsec
        Lowest and highest pixel scale, arcsec per pixel.
    position
        Right ascension, declination and radius of the cone to search, degrees; None searches the complete sky.

    Returns
    -------
    The match, or None if no quad of stars is confirmed, there are no index files, or fewer than four detections.
    """
    import astrometry  # imported here, because only blind solutions need it

    if not indexes or len(x) < 4:
        return None
    stars = np.column_stack([x, y])[:_STARS] + 1  # the package counts pixels from 1
    with astrometry.Solver(indexes) as solver:
        solution = solver.solve(
            stars=stars.tolist(),
            size_hint=astrometry.SizeHint(*scale_arcsec),
            position_hint=astrometry.PositionHint(*position) if position else None,
            # No tuning: `refine` fits the distortion better, because it uses more stars.
            solution_parameters=astrometry.SolutionParameters(sip_order=0, tune_up_logodds_threshold=None),
        )
    if not solution.has_match():
        return None
    best = solution.best_match()
    words = {name: value for name, (value, _) in best.wcs_fields.items()}
    matrix = np.array([[words["CD1_1"], words["CD1_2"]], [words["CD2_1"], words["CD2_2"]]], float)
    projection = Projection(
        float(words["CRVAL1"]),
        float(words["CRVAL2"]),
        float(words["CRPIX1"]) - 1,
        float(words["CRPIX2"]) - 1,
        matrix,
    )
    return BlindMatch(
        projection, np.array([star.ra_deg for star in best.stars]), np.array([star.dec_deg for star in best.stars])
    )
