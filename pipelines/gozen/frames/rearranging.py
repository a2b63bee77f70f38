"""Exposures that nobody has reduced yet get the names that they would have, had all their files come at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gozen.archive.raw import RawExposure, record_key
from gozen.archive.store import Store
from gozen.frames.belonging import Frame, base_name
from gozen.frames.held import described


@dataclass(frozen=True)
class Loose:
    """A raw file in the archive that may still change to another exposure."""

    key: str
    exposure: str
    frame: Frame


@dataclass(frozen=True)
class Moved:
    """Where a loose file belongs now."""

    file: Loose
    exposure: str
    key: str


def loose_files(
    known: Iterable[RawExposure], fresh: Sequence[Frame], camera: str, is_closed: Callable[[str, str], bool]
) -> list[Loose]:
    """Return, by time, the files of those exposures that files which come may change: taken later, and not finished.

    Files that come in the order of time change nothing that is there.

    Parameters
    ----------
    fresh
        What comes.
    is_closed
        Tells whether a sensor of an exposure is finished.
    """
    first: dict[str, float] = {}
    for frame in fresh:
        if frame.setup.exposure_id is None:
            base = base_name(frame)
            first[base] = min(frame.taken.mjd, first.get(base, frame.taken.mjd))
    family = [(raw, base) for raw in known if (base := _base_of(raw, camera)) in first]
    late = {base for raw, base in family if max(one.mjd for one in raw.taken.values()) > first[base]}
    found = [
        file
        for raw, base in family
        if base in late and not any(is_closed(raw.exposure, sensor) for sensor in raw.sensors)
        for file in _files(raw)
    ]
    return sorted(found, key=lambda one: (one.frame.taken.mjd, one.key))


def _base_of(raw: RawExposure, camera: str) -> str:
    """Return the name of an exposure without its number; empty where Gozen has not named it, or not for this camera."""
    files = _files(raw)
    if raw.setup is None or raw.setup.camera != camera or raw.setup.exposure_id is not None:
        return ""
    if not files or len(files) < sum(map(len, raw.sensors.values())):
        return ""
    base = base_name(files[0].frame)
    number = raw.exposure.removeprefix(base)
    return base if raw.exposure.startswith(base) and (not number or number[1:].isdecimal()) else ""


def _files(raw: RawExposure) -> list[Loose]:
    if raw.setup is None:
        return []
    return [
        Loose(key, raw.exposure, Frame(raw.object, raw.data_type, sensor, raw.setup, raw.taken[key]))
        for sensor, files in raw.sensors.items()
        for key in files
        if key in raw.taken
    ]


def rearrange(store: Store, night: str, moved: Sequence[Moved], known: Mapping[str, RawExposure]) -> list[RawExposure]:
    """Give loose files in the archive the exposures that they belong to; return these exposures as recorded now.

    Parameters
    ----------
    moved
        All files of the exposures that change, also those that stay.
    known
        Those exposures as they are recorded, by name.
    """
    away = [one for one in moved if one.exposure != one.file.exposure]
    for one in away:
        store.copy(one.file.key, one.key)
    names = sorted({one.exposure for one in moved} | {one.file.exposure for one in moved})
    records = [_record(night, name, [one for one in moved if one.exposure == name], known.get(name)) for name in names]
    for record in records:
        if record.sensors or record.forgotten:
            store.write(record_key(night, record.exposure), record.to_json())
        else:
            store.delete(record_key(night, record.exposure))
    for one in away:
        store.delete(one.file.key)
    return [record for record in records if record.sensors]


def _record(night: str, name: str, files: Iterable[Moved], old: RawExposure | None) -> RawExposure:
    empty = RawExposure(night, name, "", "", 0.0)
    return replace(
        described(empty, {one.key: one.file.frame for one in files}), forgotten=old.forgotten if old is not None else ()
    )
