"""Parse date and time of day in header text, without time scale or zone. No I/O."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FORMS = (
    "valid forms are 2026-01-15T12:34:56.789 (also with a blank or compact, 20260115T123456), 2026/01/15 and "
    "15/01/26 (day, month, year) before the time of day, and Z, +09:00 or +0900 after it"
)
FIRST_YEAR, LAST_YEAR = 1900, 2199
NS = 1_000_000_000

_DATE = (
    r"(?P<date>[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}|[0-9]{8}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4})"
)
_CLOCK = r"(?P<clock>[0-9]{1,2}[: ][0-9]{1,2}[: ][0-9]{1,2}(?:[.,][0-9]*)?|[0-9]{6}(?:[.,][0-9]*)?)"
_OFFSET = r"(?P<offset>Z|(?:UTC?|GMT)?[+-][0-9]{1,2}(?::?[0-9]{2})?|UTC?|GMT)"
_MOMENT = re.compile(rf"{_DATE}(?:(?:T| +){_CLOCK}(?: *{_OFFSET})?)?")


@dataclass(frozen=True)
class Reading:
    """The parts of a date with time of day.

    Parameters
    ----------
    minute
        Date, hour and minute, on the clock of the text.
    nanoseconds
        Nanoseconds within the minute; 60 s or more in a leap second.
    offset
        Offset of that clock from UTC; None if the text has none.
    """

    minute: dt.datetime
    nanoseconds: int
    offset: dt.timedelta | None


def joined(parts: Sequence[Any]) -> str:
    """Join the values for date, time of day and offset to one text; either of the first two may contain both."""
    first, *rest = (str(part).strip().upper() for part in parts)
    if not rest:
        return first
    whole, second = _MOMENT.fullmatch(first), _MOMENT.fullmatch(rest[0])
    if whole and whole["clock"]:
        return _of_two(whole, rest)
    if whole and second and second["clock"]:
        if _date(whole["date"]) != _date(second["date"]):
            raise ValueError(f"{first!r} and {rest[0]!r} have different dates; name only one of the two keywords")
        return " ".join(rest)
    return f"{first}T{' '.join(rest)}"


def _of_two(whole: re.Match[str], rest: Sequence[str]) -> str:
    """Join a complete date and time with the next values: an offset, or the time of day again."""
    if re.fullmatch(_OFFSET, rest[0]):
        return " ".join((whole[0], *rest))
    text = f"{whole['date']}T{' '.join(rest)}"
    again = _MOMENT.fullmatch(text)
    if again is None:
        return text
    here, there = _ns_of_day(whole["clock"]), _ns_of_day(again["clock"])
    # Many programs write midnight if they mean only the date.
    if here and abs(here - there) > NS:
        raise ValueError(
            f"{whole[0]!r} and {rest[0]!r} have different times of day; in the profile, name only one of the two "
            "keywords"
        )
    return text + (whole["offset"] or "") if again["offset"] is None else text


def _ns_of_day(clock: str) -> int:
    hours, minutes, ns = _hours_minutes_ns(clock)
    return (hours * 60 + minutes) * 60 * NS + ns


def parse_moment(text: str) -> Reading:
    """Parse a date with its time of day.

    Raises
    ------
    ValueError
        The text is not a valid moment; the message says why, and which forms are understood.
    """
    found = _MOMENT.fullmatch(text.upper())
    if found is None:
        begun = re.match(rf"{_DATE}[T ]+", text.upper())
        raise ValueError(f"{text[begun.end() :]!r} is not a time of day; {FORMS}" if begun else FORMS)
    if found["clock"] is None:
        raise ValueError(
            f"a date without a time of day; in the profile, also name the keyword of the time: "
            f"`words: [DATE-OBS, TIME-OBS]`; {FORMS}"
        )
    day = _date(found["date"])
    hours, minutes, ns = _hours_minutes_ns(found["clock"])
    # Seconds of 60 are valid on any day: programs round 59.9996 s to it, and the tables may lack a new leap second.
    if hours > 24 or minutes > 59 or ns >= 61 * NS or (hours == 24 and (minutes or ns)):
        raise ValueError(f"{found['clock']!r} is not a time of day; {FORMS}")
    minute = dt.datetime.combine(day, dt.time()) + dt.timedelta(hours=hours, minutes=minutes)
    return Reading(minute, ns, _offset(found["offset"]))


def _date(text: str) -> dt.date:
    if text.isdigit():
        parts = text[:4], text[4:6], text[6:]
    elif len(text.partition("/")[0]) <= 2:
        days, months, years = text.split("/")
        parts = _full_year(years), months, days
    else:
        years, months, days = re.split("[-/]", text)
        parts = years, months, days
    year, month, day = map(int, parts)
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(f"the year {year} is not within the years {FIRST_YEAR} to {LAST_YEAR}")
    try:
        return dt.date(year, month, day)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a day: year {year}, month {month}, day {day}; {FORMS}") from error


def _full_year(years: str) -> str:
    """Return the year of ``DD/MM/YY``, 1969 to 2068. Some programs count from 1900: they write 102 for 2002."""
    year = int(years)
    if len(years) == 4:
        return years
    return str(1900 + year if year >= 69 else 2000 + year)


def _hours_minutes_ns(clock: str) -> tuple[int, int, int]:
    compact = re.match(r"([0-9]{2})([0-9]{2})([0-9]{2}.*)", clock) if clock[:6].isdigit() else None
    hours, minutes, seconds = compact.groups() if compact else re.split("[: ]", clock)
    whole, _, fraction = seconds.replace(",", ".").partition(".")
    return int(hours), int(minutes), int(whole) * NS + int(fraction[:9].ljust(9, "0"))


def _offset(text: str | None) -> dt.timedelta | None:
    if text is None:
        return None
    found = re.search(r"([+-])([0-9]{1,2}):?([0-9]{2})?$", text)
    if not found:
        return dt.timedelta()
    hours, minutes = int(found[2]), int(found[3] or 0)
    if hours > 14 or minutes > 59:
        raise ValueError(f"{text!r} is not an offset from UTC, which is between -14:00 and +14:00")
    return dt.timedelta(hours=hours, minutes=minutes) * (-1 if found[1] == "-" else 1)
