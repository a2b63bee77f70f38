"""Find raw files that are recorded but were deleted by something other than Gozen."""

from __future__ import annotations

from gozen.archive import keys
from gozen.archive.raw.expiry import committed_frames
from gozen.archive.raw.exposure_record import listed_record, raw_folders
from gozen.archive.stores.open_store import Store
from gozen.errors import UnreadableInput


def nights_of_raw(store: Store) -> list[str]:
    """Return the nights of which there are raw files or records of them, in order."""
    return sorted({key.split("/")[1] for key in store.list("raw")})


def missing_raw_files(store: Store, night: str) -> tuple[list[str], list[str]]:
    """Return the keys of raw files of a night that are gone and no commit stands for, and why records cannot be read.

    Files for which a commit stands may have expired; those that were taken out are not recorded any more.
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
    """Tell whether a file is gone still: it may have come after its folder was listed."""
    return not store.exists(key)
