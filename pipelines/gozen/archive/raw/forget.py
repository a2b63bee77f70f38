"""Remove raw files from the archive, if no commit names them, and record the removal."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from gozen.archive import keys
from gozen.archive.commit import load_commit
from gozen.archive.raw.expiry import frame_ids
from gozen.archive.raw.exposure_record import change_record, read_record
from gozen.archive.raw.raw_exposure import Forgotten, RawExposure, without
from gozen.archive.raw.record_note import RecordChange
from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest, MissingObject, StorageUnavailable


def forget(
    store: Store, night: str, exposure: str, names: Sequence[str], *, now: datetime, why: str = ""
) -> list[Forgotten]:
    """Remove raw files of an exposure from the archive, and list them in the record of the exposure.

    Parameters
    ----------
    names
        Names of the files, with or without folder and ending; empty for all files of the exposure.
    now
        The present moment, with a time zone.
    why
        The reason, for the record.

    Raises
    ------
    BadRequest
        There is no such file, or a commit names it: reduced data must be traceable to their raw files.
    """
    record = read_record(store, night, exposure) or RawExposure(night, exposure, "", "", 0.0)
    files = [key for key in store.list(keys.raw_folder(night, exposure)) if keys.is_raw_file(key)]
    chosen = [_chosen(store, name, files, exposure) for name in names] or files
    if not chosen:
        raise BadRequest(f"{store.url} has no raw files of the exposure {exposure} of {night}; see `gozen exposures`")
    names_in = _CommittedNames(store, night, exposure)
    named = names_in.now()
    for key in chosen:
        if keys.frame_id_of(key) in named:
            raise _stays(key, named, "no file was removed")
    when = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    gone = [
        _as_before(record, Forgotten(key, hashlib.sha256(store.read(key)).hexdigest(), when, why)) for key in chosen
    ]
    # The record first: if this process is killed before a file is deleted, the file already counts as removed.
    change_record(store, night, exposure, RecordChange(forgotten=tuple(gone)))
    for number, one in enumerate(gone):
        named = _delete(store, one.key, names_in)
        if named:
            change_record(store, night, exposure, _put_back(record, gone[number:]))
            raise _stays(
                one.key,
                named,
                f"{number} of {len(gone)} files were removed before that commit was written; the others remain",
            )
    return gone


def _as_before(record: RawExposure, one: Forgotten) -> Forgotten:
    """Return the entry of an earlier process that recorded this removal but did not delete the file, else ``one``."""
    same = [old for old in record.forgotten if (old.key, old.sha256) == (one.key, one.sha256)]
    return same[-1] if same and one.key in record.gone else one


def check_not_forgotten(store: Store, night: str, exposure: str, raw: Collection[str]) -> None:
    """Check that raw files were not removed from the archive; called before a commit names them.

    Raises
    ------
    StorageUnavailable
        A file was removed.
    """
    record = read_record(store, night, exposure) if raw else None
    gone = sorted(record.gone & set(raw)) if record is not None else []
    if gone:
        raise StorageUnavailable(
            f"{store.url_of(gone[0])} was removed from the archive during its reduction, so nothing is committed; run "
            "the same reduction again: it uses the remaining files"
        )


def _delete(store: Store, key: str, names_in: _CommittedNames) -> Mapping[str, str]:
    """Delete a file and return {}; if a commit names it now, keep or restore it, and return the commits by FRAME_ID."""
    try:
        # Kept in memory: if a commit that names the file comes during the deletion, the file is restored.
        data = store.read(key)
    except MissingObject:  # another process has removed it
        return {}
    named = names_in.now()
    if keys.frame_id_of(key) in named:
        return named
    store.delete(key)
    named = names_in.now()
    if keys.frame_id_of(key) not in named:
        return {}
    store.create(key, data)
    return named


def _chosen(store: Store, name: str, files: Iterable[str], exposure: str) -> str:
    wanted = keys.frame_id_of(name)
    found = [key for key in files if keys.frame_id_of(key) == wanted]
    if not found:
        have = ", ".join(sorted(keys.frame_id_of(key) for key in files)[:10]) or "none"
        raise BadRequest(f"{store.url}: the exposure {exposure} has no raw file {name!r}; it has {have}")
    return found[0]


class _CommittedNames:
    """The FRAME_IDs that the commits of an exposure name; new commits are read at each call, each commit once."""

    def __init__(self, store: Store, night: str, exposure: str) -> None:
        self._store, self._prefix = store, f"{keys.commits(night)}/{exposure}"
        self._of: dict[str, set[str]] = {}

    def now(self) -> Mapping[str, str]:
        """Return for each FRAME_ID the key of the first commit, in order of keys, that names it."""
        listed = [key for key in self._store.list(self._prefix) if keys.parse_commit(key)]
        for key in listed:
            if key not in self._of:
                commit = load_commit(self._store, key)
                self._of[key] = set() if commit is None else frame_ids(commit)
        return {name: key for key in reversed(listed) for name in self._of[key]}


def _stays(key: str, named: Mapping[str, str], became: str) -> BadRequest:
    return BadRequest(
        f"{key} is not removed: the commit {named[keys.frame_id_of(key)]} names it, and the raw files of reduced data "
        f"must be kept; {became}"
    )


def _put_back(before: RawExposure, back: Sequence[Forgotten]) -> RecordChange:
    """Return the change that restores files in the record as they were before their removal."""
    here = {one.key for one in back}
    others = {key for files in before.sensors.values() for key in files if key not in here}
    return RecordChange(recalled=tuple(back), add=without(before, others))
