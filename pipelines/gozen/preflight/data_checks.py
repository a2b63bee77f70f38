"""Check the data that a reduction needs: time tables, instrument profile, catalogues, index files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from gozen.errors import GozenError
from gozen.preflight.finding import Finding
from gozen.settings import Settings


def time_zones() -> Finding:
    """Check whether the time zone database is installed."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo("Asia/Tokyo")
    except ZoneInfoNotFoundError:
        return Finding("time zones", "missing", "no database", "apt install tzdata, or pip install tzdata")
    return Finding("time zones", "ok", "found")


def time_tables(now: datetime) -> Finding:
    """Check whether the installed tables cover the leap seconds up to a moment."""
    from gozen.instrument.earth_rotation import reach
    from gozen.instrument.read_header import mjd_of_utc, utc_of_mjd

    try:
        tables = reach()
    except ImportError as error:
        return Finding("time tables", "missing", str(error), "pip install astropy astropy-iers-data")
    leap, measured = (f"{utc_of_mjd(mjd):%Y-%m-%d}" for mjd in (tables.leap_seconds, tables.measured))
    found = f"leap seconds known until {leap}, the Earth's rotation measured until {measured}"
    if mjd_of_utc(now) <= tables.leap_seconds:
        return Finding("time tables", "ok", found)
    hint = "pip install --upgrade astropy-iers-data: a newer leap second makes barycentric times wrong by 1 s"
    return Finding("time tables", "optional", found, hint)


def instrument(settings: Settings) -> Finding:
    """Check whether the instrument profile in the settings is readable."""
    from gozen.instrument.profile import load_profile

    try:
        profile = load_profile(settings.instrument)
    except GozenError as error:
        return Finding("instrument profile", "missing", str(error), "set `instrument`; see `gozen instrument list`")
    return Finding("instrument profile", "ok", f"{profile.name}, {len(profile.sensors)} sensors")


def reference(settings: Settings) -> Finding:
    """Check whether the settings name a reference catalogue."""
    if settings.reference is None:
        hint = "set `reference` to a table of stars with positions, G and BP-RP; the demo makes its own"
        return Finding("reference catalogue", "optional", "none set", hint)
    return Finding("reference catalogue", "ok", settings.reference)


def index_files(settings: Settings) -> Iterator[Finding]:
    """Check the index files for blind solutions, and the Tycho-2 ones, whose stars the simulated sky contains."""
    found = [path for entry in settings.astrometry.index_files for path in _index_files_in(entry)]
    hint = "apt install astrometry-data-tycho2 (fields over 30'), or set astrometry.index_files"
    if found:
        size = sum(path.stat().st_size for path in found) / 1e6
        yield Finding("astrometry index files", "ok", f"{len(found)} files, {size:.0f} MB")
    else:
        yield Finding("astrometry index files", "optional", "none: solutions need the header's pointing", hint)
    scales = [scale for path in found if (scale := _tycho_scale(path)) is not None]
    if scales:
        yield Finding("Tycho-2 stars", "ok", f"scales {min(scales):02d} to {max(scales):02d}")
    else:
        hint = "apt install astrometry-data-tycho2-07: the simulated sky then has real bright stars"
        yield Finding("Tycho-2 stars", "optional", "none: all simulated stars are random", hint)


def _index_files_in(entry: Path) -> list[Path]:
    return sorted(entry.glob("*index*.fits")) if entry.is_dir() else [entry] if entry.is_file() else []


def _tycho_scale(path: Path) -> int | None:
    found = re.match(r"index-tycho2-(\d+)", path.name)
    return int(found.group(1)) if found else None
