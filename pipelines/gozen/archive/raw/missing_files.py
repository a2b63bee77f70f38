"""Find raw files that an exposure's record names and that were deleted by something other than Gozen."""

from __future__ import annotations

from gozen.archive import keys
from gozen.archive.raw.expiry import committed_frames
from gozen.archive.raw.exposure_record import listed_record, raw_folders
from gozen.archive.stores.open_store import Store
from gozen.errors import UnreadableInput


def nights_of_raw(store: Store) -> list[str]:
    """Return the nights that have raw files or records of exposures, in order."""
    return sorted({key.split("/")[1] for key in store.list("raw")})


def missing_raw_files(store: Store, night: str) -> tuple[list[str], list[str]]:
    """Return the keys of a night's missing raw files that no commit names, and messages about unreadable records.

    Missing files that a commit names may have expired. Files that were removed by `gozen.archive.raw.forget` are not
    missing, because the record does not name them.
    """
    gone, unreadable = [], []
    for exposure, held in raw_folders(store, night).items():
        try:
            record = listed_record(store, night, exposure, held)
        except UnreadableInput as error:
            unreadable.append(str(error))
            continue
        recorded = {key for files in record.sensors.values() for key in files} if record else set()
        lost = sorted(recorded - set(held))
        if lost:
            committed = committed_frames(store, store.list(f"{keys.commits(night)}/{exposure}"))
            gone += [key for key in lost if keys.frame_id_of(key) not in committed and _is_gone(store, key)]
    return gone, unreadable


def _is_gone(store: Store, key: str) -> bool:
    """Tell whether a file is still missing: it may have been written after its folder was listed."""
    return not store.exists(key)
