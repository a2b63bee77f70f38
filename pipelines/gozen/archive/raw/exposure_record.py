"""Read and change the records of exposures, also while other processes change them.

    raw/{night}/{exposure}/exposure.json        the record
    raw/{night}/{exposure}/record/{note}.json   changes under way; they count as if they stood in the record

No store that we know writes an object over only if it is unchanged. So a process notes its change first, reads the
record with all notes, writes it, and looks again until it stands. Notes go when the record holds all of them and nobody
else is at work: whoever comes later reads it as it is then.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import reduce
from types import MappingProxyType

from gozen.archive import keys
from gozen.archive.raw.raw_exposure import Forgotten, RawExposure, Setup, Taken, parse_record
from gozen.archive.raw.record_note import Note, RecordChange, applied, new_note, parse_note
from gozen.archive.stores.open_store import Store
from gozen.errors import GozenError, MissingObject, UnreadableInput

__all__ = [
    "Forgotten",
    "RawExposure",
    "Setup",
    "Taken",
    "change_record",
    "is_of_record",
    "is_recorded",
    "listed_record",
    "raw_exposures",
    "raw_folders",
    "read_record",
    "record_exposure",
]

_Notes = Mapping[str, Note]
_HERE: set[str] = set()
"""Notes that this process works on: others of its own are of an attempt that ended with an error."""


def record_exposure(store: Store, fresh: RawExposure) -> RawExposure:
    """Record files of an exposure, beside those that are recorded already; return all of it.

    Raises
    ------
    UnreadableInput
        What lies there is not a record.
    StorageUnavailable
        The archive cannot be read or written.
    """
    store.create(_key(fresh.night, fresh.exposure), fresh.to_json())  # mostly nobody else is there, and this is all
    return change_record(store, fresh.night, fresh.exposure, RecordChange(add=fresh))


def change_record(store: Store, night: str, exposure: str, change: RecordChange) -> RawExposure:
    """Change the record of an exposure, whoever else changes it meanwhile; return it as it is then."""
    first, notes = _state(store, night, exposure)
    # Where notes lie, somebody may still write a record from before: what stands now may be gone in a moment.
    if not notes and _same(first, applied(first, change)):
        return first
    note = new_note(change)
    while (whole := _settled(store, _new_key(night, exposure), note)) is None:
        pass  # under another name each time: the last one may be on the list of somebody who removes notes
    return whole


def _settled(store: Store, own: str, note: Note) -> RawExposure | None:
    """Note a change, and bring it into the record; None where it has to be noted again."""
    _HERE.add(own)
    try:
        # Before the record is read: whoever reads it from now on sees this change too.
        store.create(own, note.to_json())
        return _brought_in(store, own, note)
    finally:
        _HERE.discard(own)


def _brought_in(store: Store, own: str, note: Note) -> RawExposure | None:
    night, exposure = own.split("/")[1:3]
    while True:
        first, notes = _state(store, night, exposure, {own: note})
        whole = _with(first, notes)
        if _same(first, whole):
            break
        # Another writer that read the same record may write over this one: it counts when a look finds it there.
        _write(store, whole)
    if _are_at_work(notes, own):
        store.write(own, note.ended().to_json())  # the last one who is at work takes the notes away
        # Two that end together may each have left the notes to the other: both look once more after their mark.
        first, notes = _state(store, night, exposure, {own: note})
        whole = _with(first, notes)
        if _are_at_work(notes, own):
            return whole
        # One that has just ended wrote what it read before this change, and will not write again.
        if not _same(first, whole):
            return None
    # Only those that the record was seen to hold: one that came since belongs to a writer at work.
    _remove(store, notes)
    if set(store.list(_folder(night, exposure))) <= set(notes):
        return whole
    return whole if _are_at_work(_state(store, night, exposure)[1], own) else None  # somebody left his note to this one


def read_record(store: Store, night: str, exposure: str) -> RawExposure | None:
    """Return what is recorded of an exposure; None where nothing is.

    Raises
    ------
    UnreadableInput
        What lies there is not a record.
    """
    record = _with(*_state(store, night, exposure))
    return None if record.says_nothing else record


def listed_record(store: Store, night: str, exposure: str, listed: Iterable[str]) -> RawExposure | None:
    """Return what is recorded of an exposure, as `read_record`, where its keys were listed just now."""
    found = [key for key in listed if is_of_record(key)]
    if not found:
        return None
    if found != [_key(night, exposure)]:
        return read_record(store, night, exposure)
    record = _first(store, night, exposure)
    return None if record.says_nothing else record


def raw_exposures(store: Store, night: str) -> list[RawExposure]:
    """Return the recorded exposures of a night, by time, without those whose files were all taken out again."""
    records = (listed_record(store, night, *one) for one in raw_folders(store, night).items())
    found = [one for one in records if one is not None and (one.sensors or not one.forgotten)]
    return sorted(found, key=lambda one: (one.mjd, one.exposure))


def raw_folders(store: Store, night: str) -> dict[str, list[str]]:
    """Return the keys of a night's raw data, records and other objects beside them, by exposure."""
    folders: dict[str, list[str]] = {}
    for key in store.list(f"raw/{night}"):
        folders.setdefault(key.split("/")[2], []).append(key)
    return folders


def is_recorded(store: Store, night: str, exposure: str) -> bool:
    """Tell whether there is a record of an exposure."""
    return store.exists(_key(night, exposure))


def is_of_record(key: str) -> bool:
    """Tell whether a key is that of a record or of a change to it."""
    parts = key.split("/")
    return parts[3:] == ["exposure.json"] or (len(parts) == 5 and parts[3] == "record")


def _state(store: Store, night: str, exposure: str, known: _Notes = MappingProxyType({})) -> tuple[RawExposure, _Notes]:
    """Return the record without what is noted, and the notes that were there before it was read.

    Parameters
    ----------
    known
        Notes that need not be read.
    """
    while True:
        # The list before the record: a note that goes in between is in the record that is then read.
        listed = store.list(_folder(night, exposure))
        first = _first(store, night, exposure)
        with contextlib.suppress(MissingObject):  # taken over into the record since: it is read again
            return first, {key: known.get(key) or _note(store, key) for key in listed}


def _first(store: Store, night: str, exposure: str) -> RawExposure:
    key = _key(night, exposure)
    try:
        return parse_record(store.read(key))
    except MissingObject:
        return RawExposure(night, exposure, "", "", 0.0)
    except ValueError as error:
        raise UnreadableInput(
            f"{store.url_of(key)} is not a record of an exposure: {error}; move it away, and `gozen reduce` with the "
            "night alone makes it again from the raw files"
        ) from error


def _note(store: Store, key: str) -> Note:
    try:
        return parse_note(store.read(key))
    except ValueError as error:
        raise UnreadableInput(
            f"{store.url_of(key)} is not a change to the record of an exposure: {error}; move it away, and take the "
            "raw files of this exposure in again"
        ) from error


def _with(first: RawExposure, notes: _Notes) -> RawExposure:
    # By what the notes say, not by when they were found: all who join them write the same bytes.
    ordered = sorted(notes.items(), key=lambda one: (one[1].since, one[0]))
    return reduce(applied, (note.change for _, note in ordered), first)


def _same(one: RawExposure, other: RawExposure) -> bool:
    return one.to_json() == other.to_json()


def _are_at_work(notes: _Notes, own: str) -> bool:
    """Tell whether others than the one with this note may still write the record."""
    now = datetime.now(UTC)
    others = [(key, one) for key, one in notes.items() if key != own and one.is_active(now)]
    return any(key in _HERE or not one.is_of_this_process for key, one in others)


def _write(store: Store, record: RawExposure) -> None:
    key = _key(record.night, record.exposure)
    if record.says_nothing:
        store.delete(key)
    else:
        store.write(key, record.to_json())


def _remove(store: Store, notes: _Notes) -> None:
    with contextlib.suppress(GozenError):  # roles in a bucket may record and not delete: the next one who may does
        for key in notes:
            store.delete(key)


def _key(night: str, exposure: str) -> str:
    return f"{keys.raw_folder(night, exposure)}/exposure.json"


def _new_key(night: str, exposure: str) -> str:
    return f"{_folder(night, exposure)}/{uuid.uuid4().hex}.json"


def _folder(night: str, exposure: str) -> str:
    return f"{keys.raw_folder(night, exposure)}/record"
