"""Move raw files in the archive to other exposures; the plan is written first, so a kill loses nothing.

    raw/{night}/renaming/plan.json      what changes; there only while it does

Whoever takes in or records files of a night ends what a killed process has begun. One process of a night at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gozen.archive import keys
from gozen.archive.raw.exposure_record import change_record
from gozen.archive.raw.raw_exposure import RawExposure
from gozen.archive.raw.record_note import Note, RecordChange, new_note, parse_note
from gozen.archive.stores.open_store import Store
from gozen.archive.stores.partial_files import is_alive, this_machine
from gozen.errors import MissingObject, StorageUnavailable

_HERE: set[str] = set()
"""Plans that this process carries out: others of its own are of an attempt that ended with an error."""
_OVER = timedelta(minutes=10)
"""Age at which a process that renames is over: the files of a night take seconds, or minutes in a bucket."""


@dataclass(frozen=True)
class Renaming:
    """Raw files of a night that change to other exposures.

    Parameters
    ----------
    keys
        The new key of each file, by its old one.
    changes
        By exposure, what changes in its record.
    """

    night: str
    keys: Mapping[str, str]
    changes: Mapping[str, RecordChange]

    def to_json(self) -> bytes:
        """Return the bytes of the plan, with the process that carries it out."""
        changes = {name: json.loads(new_note(change).to_json()) for name, change in self.changes.items()}
        return (json.dumps({"keys": dict(self.keys), "changes": changes}, sort_keys=True, indent=1) + "\n").encode()


def rename(store: Store, renaming: Renaming) -> list[RawExposure]:
    """Carry out a renaming; return the exposures as they are recorded then.

    Raises
    ------
    StorageUnavailable
        An exposure was reduced or retained meanwhile, another file came, or another process renames files of the night.
        Nothing has changed then. Where the archive cannot be written, `finish_renaming` ends what has begun.
    """
    _check(store, renaming)
    key = _key(renaming.night)
    _HERE.add(key)
    try:
        if not store.create(key, renaming.to_json()):
            raise _at_work(store, renaming.night)
        return _carry_out(store, renaming)
    finally:
        _HERE.discard(key)


def finish_renaming(store: Store, night: str) -> None:
    """End the renaming of a night that a process has left half done, if there is one.

    Raises
    ------
    StorageUnavailable
        The process is still at work, the plan cannot be read, or another file lies where one is to go.
    """
    key = _key(night)
    if not store.exists(key):
        return
    with contextlib.suppress(MissingObject):  # the process has just come to its end
        renaming, notes = _parsed(store, night)
        if any(_is_at_work(key, note) for note in notes):
            raise _at_work(store, night)
        _carry_out(store, renaming)


def is_fixed(store: Store, night: str, exposure: str) -> bool:
    """Tell whether the files of an exposure may not change to another any more: it is retained, or a commit stands."""
    return store.exists(keys.retain_marker(night, exposure)) or bool(store.list(f"{keys.commits(night)}/{exposure}"))


def _check(store: Store, renaming: Renaming) -> None:
    for old, new in renaming.keys.items():
        if is_fixed(store, renaming.night, _exposure(old)) or store.exists(new):
            raise StorageUnavailable(
                f"{store.url_of(old)} cannot change to the exposure {_exposure(new)}: its own was reduced or "
                "retained meanwhile, or another file came there; nothing is changed, run again"
            )


def _carry_out(store: Store, renaming: Renaming) -> list[RawExposure]:
    """Do what is left to do; done twice, or by two at once, it changes nothing more."""
    night = renaming.night
    # Copied, recorded, then removed: wherever a kill comes, a record names a key under which the file lies.
    for old, new in renaming.keys.items():
        with contextlib.suppress(MissingObject):  # moved already
            _copy(store, old, new)
    records = [change_record(store, night, name, change) for name, change in sorted(renaming.changes.items())]
    for old, new in renaming.keys.items():
        if not is_fixed(store, night, _exposure(old)):
            store.delete(old)
        # After the removal: a commit that came just before it names the old key, so the file goes back there.
        if is_fixed(store, night, _exposure(old)):
            _put_back(store, renaming, old, new)
    # Last: as long as the plan lies there, whoever comes next ends what was begun.
    store.delete(_key(night))
    return [record for record in records if record.sensors]


def _put_back(store: Store, renaming: Renaming, old: str, new: str) -> None:
    """Leave a file where it was, as a commit that came since names it there."""
    with contextlib.suppress(MissingObject):  # an earlier try has put it back
        _copy(store, new, old)
    night, added = renaming.night, renaming.changes[_exposure(new)].add
    if added is not None:
        change_record(store, night, _exposure(old), RecordChange(add=_alone(added, new, old)))
    change_record(store, night, _exposure(new), RecordChange(leave=(new,)))
    store.delete(new)


def _alone(added: RawExposure, new: str, old: str) -> RawExposure:
    """Return the record of one file under its old key."""
    sensor = next(name for name, files in added.sensors.items() if new in files)
    taken = added.taken[new]
    return replace(added, exposure=_exposure(old), mjd=taken.mjd, sensors={sensor: (old,)}, taken={old: taken})


def _copy(store: Store, key: str, to: str) -> None:
    """Put a file under another key too."""
    path = store.path(key)
    if path is not None and not path.exists():
        raise MissingObject(f"{key} is gone")
    if path is not None:
        fits = store.take(to, path)
    else:
        data = store.read(key)
        fits = store.create(to, data) or store.read(to) == data
    if not fits:
        raise StorageUnavailable(
            f"{store.url_of(key)} is to become {store.url_of(to)}, where another file lies; move that away, run again, "
            "and take it in again"
        )


def _parsed(store: Store, night: str) -> tuple[Renaming, list[Note]]:
    key = _key(night)
    try:
        content = json.loads(store.read(key))
        notes = {name: parse_note(json.dumps(note).encode()) for name, note in content["changes"].items()}
        changes = {name: note.change for name, note in notes.items()}
        return Renaming(night, dict(content["keys"]), changes), list(notes.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageUnavailable(
            f"{store.url_of(key)} does not say which files change to which exposure: {error}; move it away, and take "
            "the raw files of the night in again"
        ) from error


def _is_at_work(key: str, note: Note) -> bool:
    # Should it live all the same, two carry out one plan, which changes nothing more.
    if datetime.now(UTC) - note.since > _OVER:
        return False
    if note.machine != this_machine():
        return True
    return key in _HERE if note.pid == os.getpid() else is_alive(note.pid)


def _at_work(store: Store, night: str) -> StorageUnavailable:
    return StorageUnavailable(
        f"another process gives files of {night} to other exposures ({store.url_of(_key(night))}); run again"
    )


def _exposure(key: str) -> str:
    return key.split("/")[2]


def _key(night: str) -> str:
    return f"{keys.raw_folder(night, 'renaming')}/plan.json"
