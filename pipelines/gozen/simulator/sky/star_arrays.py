"""A set of stars as arrays, with positions at the reference epoch or another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

EPOCH = 2016.0
"""Reference epoch of the population, Julian years, as in Gaia DR3 (Gaia Collaboration 2023, A&A 674, A1)."""
_MJD_J2000 = 51544.5
_MAS_PER_DEG = 3.6e6


@dataclass(frozen=True)
class Stars:
    """Stars with the quantities of Gaia DR3; arrays of shape (n,).

    Parameters
    ----------
    source_id
        Identifier in Gaia's form: ``source_id >> 35`` is the nested HEALPix pixel of order 12.
    ra, dec
        Position at the epoch 2016.0, degrees.
    pmra, pmdec
        Proper motion, mas/yr; ``pmra`` includes cos(dec).
    parallax
        Parallax, mas.
    ruwe
        Renormalised unit weight error of the astrometric solution.
    g, bp_rp
        G magnitude and BP-RP colour.
    """

    source_id: Integers
    ra: Floats
    dec: Floats
    pmra: Floats
    pmdec: Floats
    parallax: Floats
    ruwe: Floats
    g: Floats
    bp_rp: Floats

    def __len__(self) -> int:
        return len(self.source_id)

    def take(self, which: npt.NDArray[np.bool_] | Integers) -> Stars:
        """Return the stars selected by a mask or by indices."""
        return Stars(*(getattr(self, field.name)[which] for field in fields(self)))

    def at(self, mjd: float) -> tuple[Floats, Floats]:
        """Return ra and dec with proper motion applied to a time, without parallax, degrees."""
        return moved(self.ra, self.dec, self.pmra, self.pmdec, julian_year(mjd) - EPOCH)


def julian_year(mjd: float) -> float:
    """Return the Julian epoch of an MJD, years."""
    return 2000.0 + (mjd - _MJD_J2000) / 365.25


def moved(ra: Floats, dec: Floats, pmra: Floats, pmdec: Floats, years: float) -> tuple[Floats, Floats]:
    """Move positions (degrees) by proper motions (mas/yr, ``pmra`` with cos(dec)) over a number of years."""
    moved_ra = ra + pmra * years / _MAS_PER_DEG / np.cos(np.radians(dec))
    return np.mod(moved_ra, 360.0), dec + pmdec * years / _MAS_PER_DEG


def concatenate(parts: Sequence[Stars]) -> Stars:
    """Join sets of stars, in order."""
    return Stars(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Stars)))


def reference_table(stars: Stars) -> pa.Table:
    """Return a table of the stars with the column names of Gaia DR3, without duplicates, sorted by ``source_id``."""
    _, first = np.unique(stars.source_id, return_index=True)
    unique = stars.take(first)
    return pa.table(
        {
            "source_id": unique.source_id,
            "ra": unique.ra,
            "dec": unique.dec,
            "ref_epoch": np.full(len(unique), EPOCH),
            "pmra": unique.pmra,
            "pmdec": unique.pmdec,
            "parallax": unique.parallax,
            "ruwe": unique.ruwe.astype(np.float32),
            "phot_g_mean_mag": unique.g.astype(np.float32),
            "bp_rp": unique.bp_rp.astype(np.float32),
        }
    )
