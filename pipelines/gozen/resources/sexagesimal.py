"""Coordinates written as text: hours or degrees, minutes, seconds."""

from __future__ import annotations

import re
from typing import Literal

_FIELDS = re.compile(r"([+-]?)(\d{1,3})(?::|\s+)(\d{1,2})(?:(?::|\s+)(\d{1,2}(?:\.\d*)?))?")


def degrees(text: str, unit: Literal["hours", "degrees"]) -> float:
    """Return degrees from sexagesimal text such as ``01:18:59.96`` or ``+29 42 38.6``.

    Parameters
    ----------
    text
        Two or three fields between colons or spaces.
    unit
        What the first field counts: hours for a right ascension, degrees for a declination.

    Raises
    ------
    ValueError
        The text is not of this form, or beyond 24 hours or 90 degrees.
    """
    example, largest = ("01:18:59.96", 360.0) if unit == "hours" else ("+29:42:38.6", 90.0)
    found = _FIELDS.fullmatch(text.strip())
    minutes, seconds = (float(found[3]), float(found[4] or 0)) if found else (60.0, 60.0)
    if not found or minutes >= 60 or seconds >= 60:
        raise ValueError(f"{text!r} is no coordinate; write degrees as a number, or {unit} as {example}")
    size = (float(found[2]) + minutes / 60 + seconds / 3600) * (15 if unit == "hours" else 1)
    if size > largest:
        raise ValueError(f"{text!r} is beyond {largest / (15 if unit == 'hours' else 1):.0f} {unit}")
    return -size if found[1] == "-" else size
