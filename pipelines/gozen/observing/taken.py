"""Which sensors of an exposure have written their raw data, by the camera's own record."""

from __future__ import annotations

from gozen.archive import keys
from gozen.archive.raw import RECORD, read_record
from gozen.archive.store import Store
from gozen.errors import CorruptFile, MissingObject


def sensors_taken(store: Store, night: str, exposure: str) -> frozenset[str] | None:
    """Return the sensors that an exposure's record names; None while there is no record that can be read."""
    try:
        return frozenset(read_record(store, f"{keys.raw_folder(night, exposure)}/{RECORD}").sensors)
    except (MissingObject, CorruptFile):
        return None
