"""Retain the raw files of an exposure, end the retention, and count the files that remain."""

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
    """What is retained of an exposure.

    Parameters
    ----------
    kept
        Raw files that are there and stay.
    gone
        Keys of those that are recorded and not there any more, most of them expired.
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
    """Keep the raw files of an exposure from expiring; return what is there once nobody can remove them any more.

    Parameters
    ----------
    patience_s
        Seconds to wait for a removal that has begun.

    Raises
    ------
    StorageUnavailable
        The removal has not ended by then. The exposure is retained, but what is left of it is not known yet.
    """
    # Before the look for removals: one that begins after this line sees the marker, an earlier one is waited for.
    store.create(keys.retain_marker(night, exposure), b"")
    if store.has_tags:
        untag(store, raw_files(store, night, exposure))
    waited = 0.0
    while (since := removing_since(store, night, exposure, clock())) is not None:
        if waited >= patience_s:
            count = len(raw_files(store, night, exposure))
            raise StorageUnavailable(
                f"the exposure {exposure} of {night} is retained, but `gozen archive expire` has been removing its raw "
                f"files since {since:%Y-%m-%d %H:%M:%S} UTC and may not have seen that yet; {count} are there now: "
                "run this again to see what stays"
            )
        sleep(_LOOK_S)
        # Counted, not measured: a clock that is set meanwhile makes the wait neither short nor endless.
        waited += _LOOK_S
    # Counted after the last removal: a list from before it would promise files that are gone.
    here = raw_files(store, night, exposure)
    return Retained(len(here), tuple(sorted(_recorded(store, night, exposure) - set(here))))


def release(store: Store, night: str, exposure: str) -> int:
    """Let the raw files of an exposure expire again; return how many there are."""
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
    except UnreadableInput:  # it says nothing, and nothing is retained by it
        return set()
    return set() if record is None else {key for files in record.sensors.values() for key in files}
