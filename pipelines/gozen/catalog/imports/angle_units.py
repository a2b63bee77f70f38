"""Spellings of angular units in files, and their sizes in degrees. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gozen.errors import BadRequest

HOURS = "hourangle"
_DEGREES: Mapping[str, float] = {
    "deg": 1.0, "degree": 1.0, "degrees": 1.0, "degs": 1.0, "degr": 1.0, "°": 1.0, "decimal degrees": 1.0,
    "d:m:s": 1.0, "dms": 1.0, "dd:mm:ss": 1.0, "dd mm ss": 1.0, "d m s": 1.0,
    "rad": 180 / np.pi, "rads": 180 / np.pi, "radian": 180 / np.pi, "radians": 180 / np.pi,
    "arcmin": 1 / 60, "arcmins": 1 / 60, "arcminute": 1 / 60, "arcminutes": 1 / 60,
    "arcsec": 1 / 3600, "arcsecs": 1 / 3600, "arcsecond": 1 / 3600, "arcseconds": 1 / 3600, "asec": 1 / 3600,
    "mas": 1 / 3_600_000, "milliarcsec": 1 / 3_600_000, "uas": 1 / 3_600_000_000,
}  # fmt: skip
_HOURS = frozenset(
    {HOURS, "hour angle", "h", "hr", "hrs", "hour", "hours", "h:m:s", "hms", "hh:mm:ss", "hh mm ss", "h m s"}
)


def is_angle(text: str) -> bool:
    """Return whether a text is a usual spelling of a unit of angles."""
    return _bare(text) in _DEGREES or _bare(text) in _HOURS


def is_hours(text: str) -> bool:
    """Return whether a unit means hours of right ascension."""
    return _bare(text) in _HOURS


def degrees_in(text: str) -> float | None:
    """Return the size of a unit in degrees, 15 for an hour; None if it is not a unit of angles."""
    bare = _bare(text)
    return _DEGREES.get(bare, 15.0 if bare in _HOURS else factor(text, "deg"))


def factor(text: str, wanted: str) -> float | None:
    """Return the factor that converts the unit `text` to the unit `wanted`; None if it is unknown or does not fit."""
    from astropy import units

    for spelling in ({}, {"format": "vounit"}, {"format": "cds"}, {"format": "fits"}):
        try:
            return float(units.Unit(text.strip(), **spelling).to(wanted))
        except (ValueError, TypeError):
            continue
    return None


def in_degrees(angles: ArrayLike) -> NDArray[np.float64]:
    """Return a caller's angles in degrees, shape (N,).

    Plain numbers are degrees; astropy quantities and columns with a unit are converted; masked values become NaN.

    Raises
    ------
    BadRequest
        The angles have a unit that is not one of angles.
    """
    unit = getattr(angles, "unit", None)
    each = 1.0 if unit is None else degrees_in(str(unit))
    if each is None:
        raise BadRequest(
            f"the positions have the unit {unit}, which is not an angle: give degrees, or another unit of angles"
        )
    values = getattr(angles, "value", angles) if unit is not None else angles
    plain = np.ma.filled(np.ma.asarray(values, np.float64), np.nan) if np.ma.isMaskedArray(values) else values
    return np.ascontiguousarray(
        np.atleast_1d(np.asarray(plain, np.float64) * each if each != 1.0 else plain), np.float64
    )


def _bare(text: str) -> str:
    return text.strip().strip("\"'[]()").strip().lower()
