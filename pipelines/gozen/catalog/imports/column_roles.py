"""Recognise right ascension, declination, id and magnitude by the usual column names. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# Names in the Gaia archive, in VizieR and in plain tables; magnitudes are case-sensitive, because in VizieR Gmag is
# Gaia's G and gmag is Sloan's g.
_EXACT: Mapping[str, tuple[str, ...]] = {
    "g": ("phot_g_mean_mag", "Gmag", "G", "MAG", "mag", "MAG_INST", "mag_inst", "MAG_AUTO"),
    "bp_rp": ("bp_rp", "BP-RP", "BP_RP", "bp-rp"),
    "bp": ("phot_bp_mean_mag", "BPmag", "BP"),
    "rp": ("phot_rp_mean_mag", "RPmag", "RP"),
}
_ANY_CASE: Mapping[str, tuple[str, ...]] = {
    "source_id": ("source_id", "source", "gaia_source_id", "dr3_source_id", "gaia_id", "id"),
    "ra": (
        "ra", "ra_icrs", "raj2000", "_raj2000", "_ra_icrs", "ra_deg", "ra2000", "ra_j2000", "alpha_j2000", "radeg",
        "ramean", "right_ascension", "rightascension", "right ascension", "coord_ra",
    ),
    "dec": (
        "dec", "de_icrs", "dec_icrs", "dej2000", "_dej2000", "_de_icrs", "dec_deg", "dec2000", "dec_j2000", "decj2000",
        "delta_j2000", "dedeg", "decdeg", "decmean", "declination", "coord_dec",
    ),
    "pmra": ("pmra", "pm_ra_cosdec", "pm_ra"),
    "pmdec": ("pmdec", "pmde", "pm_dec"),
    "parallax": ("parallax", "plx"),
    "ruwe": ("ruwe",),
    "ref_epoch": ("ref_epoch", "epoch"),
}  # fmt: skip
WORDS = (*_ANY_CASE, *_EXACT)
"""Quantities that a column of a star catalogue may contain."""

_IN_BRACKETS = re.compile(r"^(.*[^\s\[(])\s*[\[(]([^\[\]()]+)[\])]\s*$", re.DOTALL)


def recognised(names: Sequence[str]) -> dict[str, str]:
    """Return the file's column name for each quantity of `WORDS` that is recognised.

    If several columns have usual names of a quantity, the name that is first in `_ANY_CASE` or `_EXACT` is used.
    """
    lower = {name_without_unit(name).lower(): name for name in reversed(names)}
    any_case = {word: next((lower[n] for n in known if n in lower), None) for word, known in _ANY_CASE.items()}
    exact = {word: next((n for n in known if n in names), None) for word, known in _EXACT.items()}
    return {word: name for word, name in (any_case | exact).items() if name is not None}


def spellings_of(names: Sequence[str], name: str) -> list[str]:
    """Return the names that are equal to `name`, except for case, outer blanks and a unit in brackets."""
    return [one for one in names if name_without_unit(one).lower() == name_without_unit(name).lower()]


def name_without_unit(name: str) -> str:
    """Return a name without outer blanks and without a unit in brackets: ``RA`` for ``RA (deg)``."""
    found = _IN_BRACKETS.match(name)
    return (found.group(1) if found else name).strip()


def unit_in(name: str) -> str:
    """Return the unit in brackets at the end of a name; empty if there is none."""
    found = _IN_BRACKETS.match(name)
    return found.group(2).strip() if found else ""
