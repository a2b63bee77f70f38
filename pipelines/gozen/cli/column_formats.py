"""Decide how the numbers of a column are printed on the terminal, by the name of the column.

CSV, JSON and Parquet contain all digits; this concerns only tables for people.
"""

from __future__ import annotations

import re

MAGNITUDE = ".3f"
_MAGNITUDES = ("mag", "mag_err", "mag_mean", "zp", "zp_err", "zero_point", "limiting_magnitude", "phot_g_mean_mag")
_TIME = re.compile(r"(?:^|[^a-z])(?:mjd|jd|bjd|hjd)(?:[^a-z]|$)")
_POSITION = re.compile(r"(?:^|[^a-z])(?:ra|dec)(?:[^a-z]|$)")
_SPREAD = re.compile(r"(?:^|[^a-z])(?:err|error|sigma|std|stddev|rms|rate|limit)(?:[^a-z]|$)")


def format_of(column: str) -> str | None:
    """Return the number format of a column; None for five significant digits.

    Days have nine decimals (0.1 ms; frames can be shorter than 0.5 s), right ascensions and declinations in degrees
    six (0.004 arcsec), magnitudes three. Names are matched word by word, so ``ra_mid``, ``min(ra)`` and
    ``e.mjd_start`` are recognised, and ``ra_err`` is not a position.
    """
    name = column.lower()
    if name in _MAGNITUDES:
        return MAGNITUDE
    if _SPREAD.search(name):
        return None
    if _TIME.search(name):
        return ".9f"
    return ".6f" if _POSITION.search(name) else None
