"""Notes that raw files of an exposure are being deleted: ``raw/{night}/{exposure}/removing/{run}.json``.

A process that deletes files writes a note first and then reads the retention. A process that retains an exposure sets
the retention marker first and then reads the notes. So if both run at the same time, at least one sees the other.
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
"""Age after which a note counts as left by a killed process: to delete the files of an exposure takes minutes."""


@contextlib.contextmanager
def removal_noted(store: Store, night: str, exposure: str, now: datetime) -> Iterator[None]:
    """Keep a note in the archive while the raw files of an exposure are being deleted; a context manager.

    Parameters
    ----------
    now
        The present moment, with a time zone.
    """
    # Each run has its own note: with one shared note the first run to end would delete that of the others.
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
    """Return the time since which raw files of an exposure are being deleted; None if they are not."""
    found = (_since(store, key) for key in store.list(_folder(night, exposure)))
    return min((one for one in found if one is not None and now - one <= _ENDED), default=None)


def _since(store: Store, key: str) -> datetime | None:
    try:
        return datetime.fromisoformat(json.loads(store.read(key))["since"])
    except (MissingObject, ValueError, KeyError, TypeError):
        return None


def _folder(night: str, exposure: str) -> str:
    return f"{keys.raw_folder(night, exposure)}/removing"
