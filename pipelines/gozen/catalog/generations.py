"""Generations that no reader starts from any more: since when, and how they go. Which is current, manifests say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gozen.archive import keys
from gozen.archive.store import Store
from gozen.catalog import layout, manifest
from gozen.catalog.release import released
from gozen.errors import BadRequest


@dataclass(frozen=True)
class Removal:
    """What became of a generation that is older than the current one, and in no release.

    Parameters
    ----------
    generation
        Its number.
    since
        When it was first seen not to be current.
    files
        How many objects went; 0 where its time is not up.
    """

    generation: int
    since: datetime
    files: int = 0


def retire(store: Store, name: str, now: datetime) -> dict[int, datetime]:
    """Note for each generation before the current one that no release holds since when it is old; return all of them.

    Parameters
    ----------
    store
        The archive.
    name
        The table.
    now
        With a time zone.
    """
    newest = manifest.current_or_raise(store, name).generation
    used = {version.generation for version in released(store, name).values()}
    # One above the current may be a writer's that has not finished; below it none ever becomes current.
    past = {number for number in _generations(name, store.list(keys.catalog(name))) if number < newest}
    found = {}
    for number in sorted(past - used):
        key = layout.retired(name, number)
        store.create(key, json.dumps({"since": now.isoformat()}).encode())
        found[number] = datetime.fromisoformat(json.loads(store.read(key))["since"])
    return found


def remove_older(store: Store, name: str, now: datetime, days: float) -> list[Removal]:
    """Remove generations that have been out of use for so many days.

    A reader or writer that began while one was current has these days to finish. What a killed writer left in a
    generation of its own goes in the same way.

    Parameters
    ----------
    store
        The archive.
    name
        The table.
    now
        With a time zone.
    days
        Since the generation was first seen not to be current. 0 is for a table that nobody reads or writes.

    Returns
    -------
    list[Removal]
        Each generation that is older than the current one, and in no release.
    """
    if not days >= 0:
        raise BadRequest(f"generations cannot be removed {days} days after their end: give 0 or more")
    retired = retire(store, name, now)
    gone = {number for number, since in retired.items() if now - since >= timedelta(days=days)}
    held = store.list(keys.catalog(name)) if gone else []
    margin = {version.margin for version in [manifest.current_or_raise(store, name), *released(store, name).values()]}
    files = dict.fromkeys(retired, 0)
    for key in held:
        number = layout.generation_of(name, key)
        if number in gone and key.split("/")[2] not in margin:
            store.delete(key)
            files[number] += 1
    return [Removal(number, since, files[number]) for number, since in retired.items()]


def _generations(name: str, held: Iterable[str]) -> set[int]:
    found = {layout.generation_of(name, key) for key in held}
    return {number for number in found if number is not None}
