"""Notes that raw files of an exposure are being deleted: ``raw/{night}/{exposure}/removing/{run}.json``.

Whoever removes makes a note first and then looks at retention; whoever retains sets the marker first and then looks for
notes. So of two that meet, one always sees the other.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

from gozen.archive import keys
from gozen.archive.stores.open_store import Store
from gozen.errors import MissingObject

_ENDED = timedelta(days=1)
"""Age at which a note is one of a killed process: an exposure takes minutes."""


@contextlib.contextmanager
def removal_noted(store: Store, night: str, exposure: str, now: datetime) -> Iterator[None]:
    """Let those who retain an exposure know, as long as its raw files are being removed.

    Parameters
    ----------
    now
        The present moment, with a time zone.
    """
    # One for each run: under a shared name the first run to end would take away the note of the others.
    key = f"{_folder(night, exposure)}/{uuid.uuid4().hex}.json"
    for old in store.list(_folder(night, exposure)):
        since = _since(store, old)
        if since is None or now - since > _ENDED:
            store.delete(old)
    store.create(key, json.dumps({"since": now.isoformat()}).encode())
    try:
        yield
    finally:
        store.delete(key)


def removing_since(store: Store, night: str, exposure: str, now: datetime) -> datetime | None:
    """Return since when raw files of an exposure are being removed; None when nobody does."""
    found = (_since(store, key) for key in store.list(_folder(night, exposure)))
    return min((one for one in found if one is not None and now - one <= _ENDED), default=None)


def _since(store: Store, key: str) -> datetime | None:
    try:
        return datetime.fromisoformat(json.loads(store.read(key))["since"])
    except (MissingObject, ValueError, KeyError, TypeError):
        return None


def _folder(night: str, exposure: str) -> str:
    return f"{keys.raw_folder(night, exposure)}/removing"
