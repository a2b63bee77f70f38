"""Read and write sexagesimal angles.

Each caller chooses the spellings that it accepts: recipes are strict; headers and tables come from other software.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Size = TypeVar("Size", float, NDArray[np.float64])

_FIELD = r"[0-9]+(?:\.[0-9]*)?"

IN_RECIPES = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d{1,3})(?::|\s+)(?P<minutes>\d{1,2})(?:(?::|\s+)(?P<seconds>\d{1,2}(?:\.\d*)?))?"
)
"""Two or three fields between colons or spaces, of up to three and two digits; the seconds may have decimals."""

IN_HEADERS = re.compile(
    rf"[:\s]*(?P<sign>[+-]?)(?P<whole>{_FIELD})[:\s]+(?P<minutes>[+-]?{_FIELD})(?:[:\s]+(?P<seconds>[+-]?{_FIELD}))?[:\s]*"
)
"""Like `IN_RECIPES`, but with any number of digits, decimals in each field, and repeated separators."""

IN_TABLES = (
    r"^(?P<sign>[+\-−]?)\s*(?P<whole>\d+)\s*(?P<mark>[hHdD:°\s]|deg)\s*(?P<minutes>\d+(?:\.\d*)?)\s*"
    r"(?:(?:[mM:'′\s])\s*(?P<seconds>\d+(?:\.\d*)?)\s*(?:[sS\"″]|'')?|[mM'′]?)$"
)
"""Also letters and symbols of units. This is text, because Arrow compiles it to parse a complete column."""


def parse(text: str, spelling: re.Pattern[str]) -> float:
    """Return an angle in the unit of its first field, hours or degrees.

    Raises
    ------
    ValueError
        The text does not have this spelling, or its minutes or seconds are negative, or 60 or more.
    """
    found = spelling.fullmatch(text)
    if not found:
        raise ValueError("not of the form dd:mm:ss.s")
    minutes, seconds = float(found["minutes"]), float(found["seconds"] or 0)
    if not (0 <= minutes < 60 and 0 <= seconds < 60):
        raise ValueError("minutes and seconds must be at least 0 and less than 60")
    size = join_fields(float(found["whole"]), minutes, seconds)
    return -size if found["sign"] == "-" else size


def join_fields(whole: Size, minutes: Size, seconds: Size) -> Size:
    """Return the absolute value of an angle, or of each angle of a column, in the unit of its first field."""
    return whole + minutes / 60 + seconds / 3600


def degrees(text: str, unit: Literal["hours", "degrees"]) -> float:
    """Return degrees from sexagesimal text such as ``01:18:59.96`` or ``+29 42 38.6``.

    Parameters
    ----------
    text
        Two or three fields between colons or spaces.
    unit
        Unit of the first field: hours for a right ascension, degrees for a declination.

    Raises
    ------
    ValueError
        The text does not have this form, or the angle exceeds 24 hours or 90 degrees.
    """
    example, largest = ("01:18:59.96", 24.0) if unit == "hours" else ("+29:42:38.6", 90.0)
    try:
        size = parse(text.strip(), IN_RECIPES)
    except ValueError:
        raise ValueError(f"{text!r} is not a coordinate; write degrees as a number, or {unit} as {example}") from None
    if abs(size) > largest:
        raise ValueError(f"{text!r} is beyond {largest:.0f} {unit}; correct it")
    return size * (15 if unit == "hours" else 1)


def write(value: float, decimals: int, plus: Literal["", "+"] = "") -> str:
    """Return an angle as ``dd:mm:ss.ss``.

    Parameters
    ----------
    value
        The angle, hours or degrees.
    decimals
        Number of decimals of the seconds, at least one.
    plus
        Sign that is written before an angle that is not negative.
    """
    units = round(abs(value) * 3600 * 10**decimals)
    whole, fraction = divmod(units, 10**decimals)
    sign = "-" if value < 0 else plus
    return f"{sign}{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{fraction:0{decimals}d}"
