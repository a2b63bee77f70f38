"""Move raw files in the archive to other exposures; the plan is written first, so a kill loses nothing.

    raw/{night}/renaming/plan.json      the plan; it exists only while files are being moved

If the process is killed, the next one that takes in or records files of the night completes the plan. Only one
process at a time may move files of a night.
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
"""Plans that this process is carrying out. Another plan with this process's id is left from an attempt that failed."""
_OVER = timedelta(minutes=10)
"""Age of a plan at which its process counts as dead: moving takes seconds on a disk, and minutes in a bucket."""


@dataclass(frozen=True)
class Renaming:
    """The plan to move raw files of a night to other exposures.

    Parameters
    ----------
    keys
        The new key of each file, by its old key.
    changes
        The change of each exposure's record, by exposure.
    """

    night: str
    keys: Mapping[str, str]
    changes: Mapping[str, RecordChange]

    def to_json(self) -> bytes:
        """Return the plan as JSON, with the id of the process that carries it out."""
        changes = {name: json.loads(new_note(change).to_json()) for name, change in self.changes.items()}
        return (json.dumps({"keys": dict(self.keys), "changes": changes}, sort_keys=True, indent=1) + "\n").encode()


def rename(store: Store, renaming: Renaming) -> list[RawExposure]:
    """Carry out a renaming; return the new records of the exposures.

    Raises
    ------
    StorageUnavailable
        An exposure was reduced or retained meanwhile, a new key is taken, or another process renames files of the
        night; in these cases nothing is changed. Or the archive cannot be written; then `finish_renaming` completes
        the plan later.
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
    """Complete the renaming of a night that a process has left unfinished, if there is one.

    Raises
    ------
    StorageUnavailable
        The process is still running, the plan cannot be read, or another file has one of the new keys.
    """
    key = _key(night)
    if not store.exists(key):
        return
    with contextlib.suppress(MissingObject):  # the process has just finished
        renaming, notes = _parsed(store, night)
        if any(_is_at_work(key, note) for note in notes):
            raise _at_work(store, night)
        _carry_out(store, renaming)


def is_fixed(store: Store, night: str, exposure: str) -> bool:
    """Return whether the files of an exposure must not move to another one: it is retained or has a commit."""
    return store.exists(keys.retain_marker(night, exposure)) or bool(store.list(f"{keys.commits(night)}/{exposure}"))


def _check(store: Store, renaming: Renaming) -> None:
    for old, new in renaming.keys.items():
        if is_fixed(store, renaming.night, _exposure(old)) or store.exists(new):
            raise StorageUnavailable(
                f"{store.url_of(old)} cannot be moved to the exposure {_exposure(new)}: its present exposure was "
                "reduced or retained meanwhile, or another file has that name; nothing is changed, run again"
            )


def _carry_out(store: Store, renaming: Renaming) -> list[RawExposure]:
    """Carry out the remaining steps of a plan; this is idempotent, even if two processes do it at the same time."""
    night = renaming.night
    # Copy, record, then delete: if the process is killed at any point, some record names an existing key of the file.
    for old, new in renaming.keys.items():
        with contextlib.suppress(MissingObject):  # moved already
            _copy(store, old, new)
    records = [change_record(store, night, name, change) for name, change in sorted(renaming.changes.items())]
    for old, new in renaming.keys.items():
        if not is_fixed(store, night, _exposure(old)):
            store.delete(old)
        # Checked again after the deletion: a commit written just before names the old key, so the file is put back.
        if is_fixed(store, night, _exposure(old)):
            _put_back(store, renaming, old, new)
    # Last: while the plan exists, the next process completes it.
    store.delete(_key(night))
    return [record for record in records if record.sensors]


def _put_back(store: Store, renaming: Renaming, old: str, new: str) -> None:
    """Move a file back to its old key, because a commit written meanwhile names that key."""
    with contextlib.suppress(MissingObject):  # an earlier attempt has put it back
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
    """Copy a file to another key."""
    path = store.path(key)
    if path is not None and not path.exists():
        raise MissingObject(f"{key} does not exist any more")
    if path is not None:
        fits = store.take(to, path)
    else:
        data = store.read(key)
        fits = store.create(to, data) or store.read(to) == data
    if not fits:
        raise StorageUnavailable(
            f"{store.url_of(key)} must be moved to {store.url_of(to)}, but another file is there; move that file "
            "away, run again, and give it to `gozen run` again"
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
            f"{store.url_of(key)} is not a valid list of files that change their exposure ({error}); move it away, "
            "and give the raw files of the night to `gozen run` again"
        ) from error


def _is_at_work(key: str, note: Note) -> bool:
    # If the process is alive after all, two processes carry out the same plan, which is harmless.
    if datetime.now(UTC) - note.since > _OVER:
        return False
    if note.machine != this_machine():
        return True
    return key in _HERE if note.pid == os.getpid() else is_alive(note.pid)


def _at_work(store: Store, night: str) -> StorageUnavailable:
    return StorageUnavailable(
        f"another process moves files of {night} to other exposures ({store.url_of(_key(night))}); run again when it "
        "has ended"
    )


def _exposure(key: str) -> str:
    return key.split("/")[2]


def _key(night: str) -> str:
    return f"{keys.raw_folder(night, 'renaming')}/plan.json"
