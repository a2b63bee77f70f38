"""Nights from local noon to noon: the night of a time, and times of day within a night."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,6}))?)?")
_NOON = time(12)
_DAY = timedelta(days=1)


def night_of(moment: datetime, zone: tzinfo) -> date:
    """Return the night of a moment: the local date on which it began.

    Parameters
    ----------
    moment
        Any moment, with an offset from UTC.
    zone
        Time zone of the site.
    """
    local = moment.astimezone(zone)
    return local.date() if local.time() >= _NOON else local.date() - _DAY


def bounds(night: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the UTC moments of local noon at which a night begins and ends."""
    begin, end = (datetime.combine(day, _NOON, zone).astimezone(UTC) for day in (night, night + _DAY))
    return begin, end


def read_time(text: object) -> time:
    """Return a time of day from text such as ``08:00:00.0`` or ``08:00``.

    Raises
    ------
    ValueError
        The text is not a valid time of day.
    """
    found = _TIME_OF_DAY.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"{text!r} is not a time of day; write UTC as '08:00:00.0'")
    hour, minute, second, fraction = found.groups()
    return time(int(hour), int(minute), int(second or 0), int((fraction or "0").ljust(6, "0")))


def format_time(moment: datetime) -> str:
    """Return the UTC time of day of a moment as a recipe writes it, such as ``08:00:00.0``."""
    utc = moment.astimezone(UTC)
    fraction = f"{utc.microsecond:06d}".rstrip("0") or "0"
    return f"{utc:%H:%M:%S}.{fraction}"


def window(start: time, end: time, night: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the start and end of a window, given as UTC times of day, within a night.

    Parameters
    ----------
    start, end
        UTC times of day; the end is the first such time after the start, so a window may cross midnight.
    night
        The local date on which the night began.
    zone
        Time zone of the site.

    Returns
    -------
    tuple of datetime
        Start and end, UTC.

    Raises
    ------
    ValueError
        The window is not within the night, local noon to noon.
    """
    begin, finish = bounds(night, zone)
    first = _next(start, begin - timedelta(microseconds=1))
    last = _next(end, first)
    if last > finish:
        raise ValueError(
            f"{start:%H:%M:%S} to {end:%H:%M:%S} UTC is not within the night {night:%Y%m%d}, "
            f"which lasts from {begin:%Y-%m-%d %H:%M} to {finish:%Y-%m-%d %H:%M} UTC"
        )
    return first, last


def _next(clock: time, after: datetime) -> datetime:
    candidate = datetime.combine(after.date(), clock, UTC)
    return candidate if candidate > after else candidate + _DAY
