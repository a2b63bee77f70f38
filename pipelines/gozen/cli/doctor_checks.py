"""What ``gozen doctor`` looks at: each check says what it found, whether it will do, and how to get what is missing."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

from gozen.errors import GozenError
from gozen.settings import Settings

State = Literal["ok", "optional", "missing"]
_GB = 1e9
_MINIMUM_MEMORY_GB = 2.0
_MINIMUM_DISK_GB = 1.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    state
        ``missing`` keeps the main job from running, ``optional`` only takes something away.
    hint
        How to get it; empty where it is there.
    """

    name: str
    state: State
    found: str
    hint: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that Gozen needs on this machine."""
    return [
        _python(),
        *_packages(),
        *_extras(),
        _time_zones(),
        _time_tables(datetime.now(UTC)),
        _instrument(settings),
        _reference(settings),
        *_index_files(settings),
        _archive(settings),
        _cores(),
        _memory(),
        _isolation(),
        _chromium(),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    enough = sys.version_info >= (3, 11)
    return Finding("Python", "ok" if enough else "missing", version, "" if enough else "install Python 3.11 or newer")


def _packages() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    for text in metadata.requires("gozen") or []:
        required = Requirement(text)
        if required.marker is None or required.marker.evaluate({"extra": ""}):
            yield _package(required.name, str(required.specifier), required.specifier.contains)


def _package(name: str, specifier: str, fits: object) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, "missing", "not installed", f"pip install '{name}{specifier}'")
    if callable(fits) and not fits(version, prereleases=True):
        return Finding(name, "missing", f"{version}, needs {specifier}", f"pip install --upgrade '{name}{specifier}'")
    return Finding(name, "ok", version)


def _extras() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    needs = [Requirement(text) for text in metadata.requires("gozen") or []]
    for extra in metadata.metadata("gozen").get_all("Provides-Extra") or []:
        names = [need.name for need in needs if need.marker and _only_for(need, extra)]
        absent = [name for name in names if not _installed(name)]
        if absent:
            yield Finding(f"extra {extra}", "optional", f"without {', '.join(absent)}", f"pip install 'gozen[{extra}]'")
        else:
            yield Finding(f"extra {extra}", "ok", "installed")


def _only_for(need: object, extra: str) -> bool:
    marker = getattr(need, "marker", None)
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _time_zones() -> Finding:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo("Asia/Tokyo")
    except ZoneInfoNotFoundError:
        return Finding("time zones", "missing", "no database", "apt install tzdata, or pip install tzdata")
    return Finding("time zones", "ok", "found")


def _time_tables(now: datetime) -> Finding:
    from gozen.instrument.read_header import mjd_of_utc, utc_of_mjd
    from gozen.instrument.time_tables import reach

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


def _instrument(settings: Settings) -> Finding:
    from gozen.instrument.profile import load_profile

    try:
        profile = load_profile(settings.instrument)
    except GozenError as error:
        return Finding("instrument profile", "missing", str(error), "set `instrument`; see `gozen instrument list`")
    return Finding("instrument profile", "ok", f"{profile.name}, {len(profile.sensors)} sensors")


def _reference(settings: Settings) -> Finding:
    if settings.reference is None:
        hint = "set `reference` to a table of stars with positions, G and BP-RP; the demo makes its own"
        return Finding("reference catalogue", "optional", "none set", hint)
    return Finding("reference catalogue", "ok", settings.reference)


def _index_files(settings: Settings) -> Iterator[Finding]:
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
        yield Finding("Tycho-2 stars", "optional", "none: the simulated sky is all seeded", hint)


def _index_files_in(entry: Path) -> list[Path]:
    return sorted(entry.glob("*index*.fits")) if entry.is_dir() else [entry] if entry.is_file() else []


def _tycho_scale(path: Path) -> int | None:
    found = re.match(r"index-tycho2-(\d+)", path.name)
    return int(found.group(1)) if found else None


def _archive(settings: Settings) -> Finding:
    if "://" in settings.archive and not settings.archive.startswith("file://"):
        return _object_storage(settings)
    root = Path(settings.archive.removeprefix("file://")).expanduser().absolute()
    nearest = next(folder for folder in (root, *root.parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        hint = "give another directory with --archive, or its owner's rights"
        return Finding("archive", "missing", f"{root}: {nearest} cannot be written", hint)
    free = shutil.disk_usage(nearest).free / _GB
    if free < _MINIMUM_DISK_GB:
        return Finding("archive", "missing", f"{root}, {free:.1f} GB free", "free at least 1 GB")
    return Finding("archive", "ok", f"{root}, {free:.1f} GB free")


def _object_storage(settings: Settings) -> Finding:
    from gozen.archive.stores.open_store import open_archive

    key = f"doctor/{socket.gethostname()}-{os.getpid()}"
    try:
        store = open_archive(settings)
        store.create(key, b"")
        exclusive = not store.create(key, b"")
        store.delete(key)
    except GozenError as error:
        return Finding("archive", "missing", settings.archive, str(error))
    if not exclusive:
        hint = "use a server that obeys `If-None-Match: *`: without it two workers may both count as the first"
        return Finding("archive", "missing", f"{settings.archive}: an object can be created twice", hint)
    return Finding("archive", "ok", f"{settings.archive}, can be read and written")


def _cores() -> Finding:
    return Finding("processor cores", "ok", str(len(os.sched_getaffinity(0))))


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GB
    if total < _MINIMUM_MEMORY_GB:
        return Finding("memory", "optional", f"{total:.1f} GB", "set workers = 1: each worker takes about 1 GB")
    return Finding("memory", "ok", f"{total:.1f} GB")


def _isolation() -> Finding:
    from gozen.quickdb.isolation import available

    reason = available()
    if reason is not None:
        return Finding("isolated functions", "optional", reason, "only a service that users share needs them")
    return Finding("isolated functions", "ok", "Landlock and seccomp")


def _chromium() -> Finding:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return Finding("browser", "ok", path)
    return Finding("browser", "optional", "no chromium", "apt install chromium: only the tests of the report need it")
