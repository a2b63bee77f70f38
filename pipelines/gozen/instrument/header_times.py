"""Convert header times of every kind to MJD (UTC): text, local time, JD, MJD, Unix, other time scales."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from gozen.instrument.earth_rotation import day_length_s, installed_tables
from gozen.instrument.header_rules import WordRule
from gozen.instrument.parse_time_text import FIRST_YEAR, LAST_YEAR, NS, joined, parse_moment

_MJD_ZERO = dt.datetime(1858, 11, 17)
_FIRST_MJD, _LAST_MJD = 15020, 124593
_ZERO_OF = {"mjd": Decimal(0), "jd": Decimal("2400000.5")}
_UNIX_DAY = 40587
_GPS_TO_TAI_NS = 19 * NS
_SCALES = {"UTC": "UTC", "UT": "UTC", "GMT": "UTC", "TAI": "TAI", "IAT": "TAI", "TT": "TT", "TDT": "TT", "ET": "TT"}
_SCALES |= {"TDB": "TDB", "GPS": "GPS"}

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:E[+-]?[0-9]{1,3})?")


def read_moment(parts: Sequence[Any], rule: WordRule, zone: str, timesys: Any = None) -> float:
    """Read a moment from the values of a rule's keywords.

    Parameters
    ----------
    parts
        Value of one keyword, or the values of the keywords for date, time of day and offset from UTC.
    rule
        A rule of one of `TIME_KINDS`.
    zone
        IANA time zone of the site, for ``kind: local``.
    timesys
        The header's TIMESYS, or None. The rule's `timesys` has priority over it.

    Returns
    -------
    MJD (UTC). A day with a leap second has 86,401 s.

    Raises
    ------
    ValueError
        The values are not a valid moment; the message says why.
    """
    if rule.kind == "unix":
        day, ns = divmod(round(_plausible(number_of(parts, rule) / 86400 + _UNIX_DAY) * 86400 * NS), 86400 * NS)
        return mjd_of_day(day, ns)
    scale = "UTC" if rule.kind == "local" else _scale(rule.timesys or timesys)
    if rule.kind in _ZERO_OF:
        mjd = _plausible(number_of(parts, rule) - _ZERO_OF[rule.kind])
        return float(mjd) if scale == "UTC" else _in_utc(int(mjd), round(mjd % 1 * 86400 * NS), scale)
    reading = parse_moment(joined(parts))
    if scale == "UTC":
        local = rule.kind == "local" and reading.offset is None
        offset = _offset_at(reading.minute, zone) if local else reading.offset or dt.timedelta()
        return mjd_of_day(*_day_and_ns(reading.minute - offset, reading.nanoseconds))
    if reading.offset is not None:
        raise ValueError(
            f"the text has an offset from UTC, but TIMESYS is {scale}; if TIMESYS is wrong, write `timesys: UTC` into "
            "the profile's rule"
        )
    day, ns = _day_and_ns(reading.minute, reading.nanoseconds)
    return _in_utc(day, ns, scale)


def mjd_of_day(day: int, nanoseconds: int) -> float:
    """Return the MJD (UTC) of a moment given in nanoseconds after the start of a day; it is rounded only once."""
    length = day_length_s(day) * NS
    return (day * length + nanoseconds) / length


def number_of(parts: Sequence[Any], rule: WordRule) -> Decimal:
    """Return a number with all its digits, times the rule's factor.

    Raises
    ------
    ValueError
        The value is not a finite number.
    """
    raw = parts[0] if len(parts) == 1 else "".join(str(part).strip() for part in parts)
    if isinstance(raw, bool):
        raise ValueError("it is a logical value, not a number")  # noqa: TRY004  # the same error as for every other unreadable value
    # A header may write an exponent with D, as Fortran does.
    text = repr(float(raw)) if isinstance(raw, float) else str(raw).strip().upper().replace("D", "E")
    if text.lstrip("+-").lower() in ("nan", "inf", "infinity"):
        raise ValueError("it is not a finite number")
    if not _NUMBER.fullmatch(text.upper()):
        raise ValueError("it is not a number such as 12.5")
    return Decimal(text) * Decimal(repr(rule.scale))


def _plausible(mjd: Decimal) -> Decimal:
    if not _FIRST_MJD <= mjd < _LAST_MJD:
        raise ValueError(f"MJD {mjd:.7g} is not within the years {FIRST_YEAR} to {LAST_YEAR}")
    return mjd


def _scale(timesys: Any) -> str:
    """Return one of UTC, TAI, TT, TDB, GPS; a realization in brackets, as in TT(TAI), is ignored."""
    name = str(timesys or "").strip().upper().partition("(")[0].strip()
    if not name:
        return "UTC"
    if name not in _SCALES:
        raise ValueError(
            f"TIMESYS = {timesys!r} is not one of UTC, TAI, TT, TDB, GPS: if the times are in one of these, "
            "write it into the profile's rule, such as `timesys: UTC`; if they are local times, write `kind: local`"
        )
    return _SCALES[name]


def _in_utc(day: int, nanoseconds: int, scale: str) -> float:
    from astropy.time import Time

    if scale == "GPS":
        nanoseconds, scale = nanoseconds + _GPS_TO_TAI_NS, "TAI"
    with installed_tables():
        return float(Time(day, nanoseconds / (86400 * NS), format="mjd", scale=scale.lower()).utc.mjd)


def _offset_at(minute: dt.datetime, zone: str) -> dt.timedelta:
    """Return the offset of a time zone from UTC; refuse local times that occur twice or never (daylight saving)."""
    first, second = (minute.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    before, after = first.utcoffset() or dt.timedelta(), second.utcoffset() or dt.timedelta()
    if before == after:
        return before
    said = f"{minute:%Y-%m-%d %H:%M} in {zone}"
    if before < after:
        raise ValueError(
            f"{said}: this local time does not exist, because clocks were set forward then; correct the time in the "
            "header, or name a keyword in UTC in the profile"
        )
    raise ValueError(
        f"{said}: this local time occurred twice, at {minute - before:%H:%M} and {minute - after:%H:%M} UTC, because "
        "clocks were set back then; name a keyword in UTC, or with an offset from UTC, in the profile"
    )


def _day_and_ns(minute: dt.datetime, nanoseconds: int) -> tuple[int, int]:
    since = minute - _MJD_ZERO
    return since.days, since.seconds * NS + nanoseconds
