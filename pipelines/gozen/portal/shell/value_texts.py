"""Numbers, sizes and dates as people read them."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def count_text(number: int) -> str:
    """Return a whole number with separators, such as ``21,180``."""
    return f"{number:,}"


def size_text(size: int) -> str:
    """Return a size in bytes with three digits and a decimal unit, such as ``12.3 MB``."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    if unit == 0 or value >= 99.95:
        return f"{value:.0f} {_UNITS[unit]}"
    return f"{value:.1f} {_UNITS[unit]}"


def night_text(night: str) -> str:
    """Return a night ``YYYYMMDD`` as ``YYYY-MM-DD``."""
    return f"{night[:4]}-{night[4:6]}-{night[6:]}" if len(night) == 8 else night


def clock_text(mjd: float) -> str:
    """Return the time of day (UTC) of a Modified Julian Date, such as ``10:12``."""
    minutes = round(mjd % 1 * 1440) % 1440
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
