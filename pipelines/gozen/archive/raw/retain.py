"""Retain the raw files of an exposure, or end the retention, and count the files that are left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gozen.archive import keys
from gozen.archive.raw.exposure_record import read_record
from gozen.archive.raw.reduced_tags import refresh, untag
from gozen.archive.raw.removal_notes import removing_since
from gozen.archive.stores.open_store import Store
from gozen.errors import StorageUnavailable, UnreadableInput

_LOOK_S = 0.2


@dataclass(frozen=True)
class Retained:
    """The result of retaining an exposure.

    Parameters
    ----------
    kept
        Number of raw files that exist and are retained.
    gone
        Keys of recorded raw files that do not exist any more, mostly because they have expired.
    """

    kept: int
    gone: tuple[str, ...] = ()


def retain(
    store: Store,
    night: str,
    exposure: str,
    *,
    patience_s: float = 10.0,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> Retained:
    """Retain the raw files of an exposure; wait for deletions that have begun, then return the files that are left.

    Parameters
    ----------
    patience_s
        Longest time to wait for a deletion that has begun, seconds.

    Raises
    ------
    StorageUnavailable
        The deletion has not ended by then. The exposure is retained, but more of its files may still be deleted.
    """
    # Before deletions are looked up: a later one sees the marker, and an earlier one is found and waited for.
    store.create(keys.retain_marker(night, exposure), b"")
    if store.has_tags:
        untag(store, raw_files(store, night, exposure))
    waited = 0.0
    while (since := removing_since(store, night, exposure, clock())) is not None:
        if waited >= patience_s:
            count = len(raw_files(store, night, exposure))
            raise StorageUnavailable(
                f"the exposure {exposure} of {night} is retained, but `gozen archive expire` began to delete its "
                f"raw files at {since:%Y-%m-%d %H:%M:%S} UTC and may not have noticed the retention; {count} raw files "
                "exist now; run this command again to see how many remain"
            )
        sleep(_LOOK_S)
        # Counted, not measured, so that a change of the clock makes the wait neither short nor endless.
        waited += _LOOK_S
    # Listed after the last deletion: an earlier list would contain files that are deleted by now.
    here = raw_files(store, night, exposure)
    return Retained(len(here), tuple(sorted(_recorded(store, night, exposure) - set(here))))


def release(store: Store, night: str, exposure: str) -> int:
    """Let the raw files of an exposure expire again; return their number."""
    store.delete(keys.retain_marker(night, exposure))
    if store.has_tags:
        refresh(store, keys.raw_folder(night, exposure))
    return len(raw_files(store, night, exposure))


def raw_files(store: Store, night: str, exposure: str) -> list[str]:
    """Return the keys of the raw files of an exposure."""
    return [key for key in store.list(keys.raw_folder(night, exposure)) if keys.is_raw_file(key)]


def _recorded(store: Store, night: str, exposure: str) -> set[str]:
    try:
        record = read_record(store, night, exposure)
    except UnreadableInput:  # retention does not need the record: only the missing files are not reported
        return set()
    return set() if record is None else {key for files in record.sensors.values() for key in files}
