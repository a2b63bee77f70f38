"""Exposures that nobody has reduced yet get the names that they would have, had all their files come at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gozen.archive import keys
from gozen.archive.raw.exposure_record import RawExposure, change_record
from gozen.archive.raw.record_note import RecordChange
from gozen.archive.stores.open_store import Store
from gozen.errors import StorageUnavailable
from gozen.frames.archived_files import described
from gozen.frames.exposure_grouping import FrameFacts, base_name


@dataclass(frozen=True)
class Loose:
    """A raw file in the archive that may still change to another exposure."""

    key: str
    exposure: str
    frame: FrameFacts


@dataclass(frozen=True)
class Moved:
    """Where a loose file belongs now."""

    file: Loose
    exposure: str
    key: str


def loose_files(
    known: Iterable[RawExposure], fresh: Sequence[FrameFacts], camera: str, is_closed: Callable[[str, str], bool]
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
        Loose(key, raw.exposure, FrameFacts(raw.object, raw.data_type, sensor, raw.setup, raw.taken[key]))
        for sensor, files in raw.sensors.items()
        for key in files
        if key in raw.taken
    ]


def rearrange(store: Store, night: str, moved: Sequence[Moved]) -> list[RawExposure]:
    """Give loose files in the archive the exposures that they belong to; return these exposures as recorded now.

    Parameters
    ----------
    moved
        All files of the exposures that change, also those that stay.

    Raises
    ------
    StorageUnavailable
        An exposure was reduced or retained meanwhile, or another file came; nothing has changed.
    """
    away = [one for one in moved if one.exposure != one.file.exposure]
    _copy_all(store, night, away)
    names = sorted({one.exposure for one in moved} | {one.file.exposure for one in moved})
    records = [change_record(store, night, name, _change(night, name, moved)) for name in names]
    for one in away:
        if not _is_fixed(store, night, one.file.exposure):
            store.delete(one.file.key)
        if _is_fixed(store, night, one.file.exposure):
            _put_back(store, night, one)
    return [record for record in records if record.sensors]


def _put_back(store: Store, night: str, one: Moved) -> None:
    """Leave a file where it was, as a commit that came since names it there."""
    _copy(store, one.key, one.file.key)
    stays = Moved(one.file, one.file.exposure, one.file.key)
    change_record(store, night, stays.exposure, _change(night, stays.exposure, [stays]))
    change_record(store, night, one.exposure, RecordChange(leave=(one.key,)))
    store.delete(one.key)


def _copy_all(store: Store, night: str, away: Sequence[Moved]) -> None:
    """Put each file under its new key as well, or none."""
    made: list[str] = []
    for one in away:
        was_there = store.exists(one.key)
        fits = not _is_fixed(store, night, one.file.exposure) and _copy(store, one.file.key, one.key)
        made += [one.key] if fits and not was_there else []
        if not fits:
            for key in made:
                store.delete(key)
            raise StorageUnavailable(
                f"{store.url_of(one.file.key)} cannot change to the exposure {one.exposure}: its own was reduced or "
                "retained meanwhile, or another file came there; nothing is changed, run again"
            )


def _copy(store: Store, key: str, to: str) -> bool:
    """Put a file under another key too; False where another file lies there."""
    path = store.path(key)
    if path is not None:
        return store.take(to, path)
    data = store.read(key)
    return store.create(to, data) or store.read(to) == data


def _is_fixed(store: Store, night: str, exposure: str) -> bool:
    """Tell whether the files of an exposure may not change to another any more: it is retained, or a commit stands."""
    return store.exists(keys.retain_marker(night, exposure)) or bool(store.list(f"{keys.commits(night)}/{exposure}"))


def _change(night: str, name: str, moved: Sequence[Moved]) -> RecordChange:
    """Return what changes in the record of an exposure: it is made anew of the files that belong to it now."""
    own = {one.key: one.file.frame for one in moved if one.exposure == name}
    known = {*own, *(one.file.key for one in moved if one.file.exposure == name)}
    fresh = described(RawExposure(night, name, "", "", 0.0), own)
    return RecordChange(leave=tuple(sorted(known)), add=fresh if own else None)
