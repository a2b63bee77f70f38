"""Read and change the records of exposures, even while other processes change them.

    raw/{night}/{exposure}/exposure.json        the record
    raw/{night}/{exposure}/record/{note}.json   a change in progress; it counts as part of the record

The stores have no compare-and-swap: a process that overwrites an object may undo a change by another process. So a
process first writes its change as a note. Then it reads the record and all notes, and writes the record with all
changes. It repeats this until the record that it reads has all changes. Notes are deleted when the record has all of
them and no other process is changing it.
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
"""Keys of the notes that this process is working on; its other notes are from attempts that ended with an error."""


def record_exposure(store: Store, fresh: RawExposure) -> RawExposure:
    """Add files to the record of an exposure; return the complete record.

    Raises
    ------
    UnreadableInput
        The object under the record's key is not a valid record.
    StorageUnavailable
        The archive cannot be read or written.
    """
    store.create(_key(fresh.night, fresh.exposure), fresh.to_json())  # usually there is no record yet: this is enough
    return change_record(store, fresh.night, fresh.exposure, RecordChange(add=fresh))


def change_record(store: Store, night: str, exposure: str, change: RecordChange) -> RawExposure:
    """Change the record of an exposure, even if other processes change it at the same time; return the result."""
    first, notes = _state(store, night, exposure)
    # If there are notes, another process may still overwrite the record with an older state, without this change.
    if not notes and _same(first, applied(first, change)):
        return first
    note = new_note(change)
    while (whole := _settled(store, _new_key(night, exposure), note)) is None:
        pass  # with a new name each time: another process may be about to delete the previous note
    return whole


def _settled(store: Store, own: str, note: Note) -> RawExposure | None:
    """Write the note of a change and add the change to the record; return None if the caller must call this again."""
    _HERE.add(own)
    try:
        # Before the record is read, so that every process that reads it from now on includes this change.
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
        # Another writer that read the same record may overwrite this one, so the record is read again.
        _write(store, whole)
    if _are_at_work(notes, own):
        store.write(own, note.ended().to_json())  # the last process that is still working deletes the notes
        # If two processes end together, each may have left the notes to the other: both read once more after this mark.
        first, notes = _state(store, night, exposure, {own: note})
        whole = _with(first, notes)
        if _are_at_work(notes, own):
            return whole
        # A process that has just ended may have written a record without this change, and will not write again.
        if not _same(first, whole):
            return None
    # Only notes whose changes the record has: a note that came later belongs to a process that is still working.
    _remove(store, notes)
    if set(store.list(_folder(night, exposure))) <= set(notes):
        return whole
    # If no other process is working, one has left its note for this process to delete: the change is noted again.
    return whole if _are_at_work(_state(store, night, exposure)[1], own) else None


def read_record(store: Store, night: str, exposure: str) -> RawExposure | None:
    """Return the record of an exposure with all changes in progress; None if there is no record.

    Raises
    ------
    UnreadableInput
        The object under the record's key is not a valid record.
    """
    record = _with(*_state(store, night, exposure))
    return None if record.says_nothing else record


def listed_record(store: Store, night: str, exposure: str, listed: Iterable[str]) -> RawExposure | None:
    """Return what `read_record` returns: the record of an exposure, or None.

    The caller gives the keys of the exposure's objects, so fewer requests are needed.
    """
    found = [key for key in listed if is_of_record(key)]
    if not found:
        return None
    if found != [_key(night, exposure)]:
        return read_record(store, night, exposure)
    record = _first(store, night, exposure)
    return None if record.says_nothing else record


def raw_exposures(store: Store, night: str) -> list[RawExposure]:
    """Return the recorded exposures of a night, by time, without those from which all files were removed."""
    records = (listed_record(store, night, *one) for one in raw_folders(store, night).items())
    found = [one for one in records if one is not None and (one.sensors or not one.forgotten)]
    return sorted(found, key=lambda one: (one.mjd, one.exposure))


def raw_folders(store: Store, night: str) -> dict[str, list[str]]:
    """Return, for each exposure of a night, the keys of its raw files, its record and the objects next to them."""
    folders: dict[str, list[str]] = {}
    for key in store.list(f"raw/{night}"):
        folders.setdefault(key.split("/")[2], []).append(key)
    return folders


def is_recorded(store: Store, night: str, exposure: str) -> bool:
    """Tell whether an exposure has a record."""
    return store.exists(_key(night, exposure))


def is_of_record(key: str) -> bool:
    """Tell whether a key belongs to a record or to a change of a record."""
    parts = key.split("/")
    return parts[3:] == ["exposure.json"] or (len(parts) == 5 and parts[3] == "record")


def _state(store: Store, night: str, exposure: str, known: _Notes = MappingProxyType({})) -> tuple[RawExposure, _Notes]:
    """Return the stored record, without the changes in notes, and the notes that existed before it was read.

    Parameters
    ----------
    known
        Notes that need not be read, by key.
    """
    while True:
        # The notes are listed first: if one is deleted in between, the record that is then read has its change.
        listed = store.list(_folder(night, exposure))
        first = _first(store, night, exposure)
        with contextlib.suppress(MissingObject):  # the note is in the record now: the record is read again
            return first, {key: known.get(key) or _note(store, key) for key in listed}


def _first(store: Store, night: str, exposure: str) -> RawExposure:
    key = _key(night, exposure)
    try:
        return parse_record(store.read(key))
    except MissingObject:
        return RawExposure(night, exposure, "", "", 0.0)
    except ValueError as error:
        raise UnreadableInput(
            f"{store.url_of(key)} is not a valid record of an exposure: {error}; move it away and run `gozen reduce "
            f"{night}`, which makes the record again from the raw files"
        ) from error


def _note(store: Store, key: str) -> Note:
    try:
        return parse_note(store.read(key))
    except ValueError as error:
        raise UnreadableInput(
            f"{store.url_of(key)} is not a valid change to the record of an exposure: {error}; move it away, and give "
            "the raw files of this exposure to `gozen run` again"
        ) from error


def _with(first: RawExposure, notes: _Notes) -> RawExposure:
    # Sorted by the content of the notes, so that all processes that merge them write the same bytes.
    ordered = sorted(notes.items(), key=lambda one: (one[1].since, one[0]))
    return reduce(applied, (note.change for _, note in ordered), first)


def _same(one: RawExposure, other: RawExposure) -> bool:
    return one.to_json() == other.to_json()


def _are_at_work(notes: _Notes, own: str) -> bool:
    """Tell whether any process or thread, except the one with the note ``own``, may still write the record."""
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
    # Some roles in a bucket may not delete objects: then a later process with this right deletes the notes.
    with contextlib.suppress(GozenError):
        for key in notes:
            store.delete(key)


def _key(night: str, exposure: str) -> str:
    return f"{keys.raw_folder(night, exposure)}/exposure.json"


def _new_key(night: str, exposure: str) -> str:
    return f"{_folder(night, exposure)}/{uuid.uuid4().hex}.json"


def _folder(night: str, exposure: str) -> str:
    return f"{keys.raw_folder(night, exposure)}/record"
