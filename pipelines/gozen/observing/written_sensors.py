"""Read which sensors of an exposure have written their raw data, from the camera's record."""

from __future__ import annotations

from gozen.archive.raw.exposure_record import read_record
from gozen.archive.stores.open_store import Store
from gozen.errors import UnreadableInput


def sensors_taken(store: Store, night: str, exposure: str) -> frozenset[str] | None:
    """Return the sensors that an exposure's record names; None while there is no readable record."""
    try:
        record = read_record(store, night, exposure)
    except UnreadableInput:
        return None
    return None if record is None else frozenset(record.sensors)
