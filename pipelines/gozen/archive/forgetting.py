"""Raw files are taken out of the archive again: those alone that no commit names, and with a record of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gozen.archive import keys
from gozen.archive.commit import load_commit
from gozen.archive.raw import Forgotten, RawExposure, by_sensor, read_record, record_key
from gozen.archive.ring import frame_ids
from gozen.archive.store import Store
from gozen.errors import BadRequest


def forget(
    store: Store, night: str, exposure: str, names: Sequence[str], *, now: datetime, why: str = ""
) -> list[Forgotten]:
    """Take raw files of an exposure out of the archive; its record keeps which they were.

    Parameters
    ----------
    names
        Of the files, with or without folder and ending; none for all files of the exposure.
    now
        The present moment, with a time zone.
    why
        For the record.

    Raises
    ------
    BadRequest
        There is no such file, or a commit names it: what is reduced must be traceable to its raw files.
    """
    record = _record(store, night, exposure)
    files = [key for key in store.list(keys.raw_folder(night, exposure)) if key.lower().endswith((".fits", ".fits.fz"))]
    chosen = [_chosen(store, name, files, exposure) for name in names] or files
    if not chosen:
        raise BadRequest(f"{store.url} has no raw files of the exposure {exposure} of {night}; see `gozen exposures`")
    _refuse_committed(store, night, exposure, chosen)
    when = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    gone = [Forgotten(key, hashlib.sha256(store.read(key)).hexdigest(), when, why) for key in chosen]
    # The record first: a file that it no longer names counts as taken out, whenever this process is killed.
    store.write(record_key(night, exposure), _without(record, gone).to_json())
    for key in chosen:
        store.delete(key)
    return gone


def _record(store: Store, night: str, exposure: str) -> RawExposure:
    key = record_key(night, exposure)
    if store.exists(key):
        return read_record(store, key)
    return RawExposure(night, exposure, "", "", 0.0)


def _chosen(store: Store, name: str, files: Iterable[str], exposure: str) -> str:
    wanted = keys.frame_id_of(name)
    found = [key for key in files if keys.frame_id_of(key) == wanted]
    if not found:
        have = ", ".join(sorted(keys.frame_id_of(key) for key in files)[:10]) or "none"
        raise BadRequest(f"{store.url}: the exposure {exposure} has no raw file {name!r}; it has {have}")
    return found[0]


def _refuse_committed(store: Store, night: str, exposure: str, chosen: Iterable[str]) -> None:
    named: dict[str, str] = {}
    for key in store.list(f"{keys.commits(night)}/{exposure}"):
        commit = load_commit(store, key) if keys.parse_commit(key) else None
        for name in () if commit is None else frame_ids(commit):
            named.setdefault(name, key)
    for key in chosen:
        if keys.frame_id_of(key) in named:
            raise BadRequest(
                f"{key} stays: the commit {named[keys.frame_id_of(key)]} names it, and what is reduced must be "
                "traceable to its raw files; nothing was taken out"
            )


def _without(record: RawExposure, gone: Sequence[Forgotten]) -> RawExposure:
    out = {one.key for one in gone}
    sensors = {name: [key for key in files if key not in out] for name, files in record.sensors.items()}
    return replace(
        record,
        sensors=by_sensor({name: files for name, files in sensors.items() if files}),
        taken={key: one for key, one in record.taken.items() if key not in out},
        forgotten=(*record.forgotten, *gone),
    )
