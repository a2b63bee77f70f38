"""Garbage collection of generations: note since when they are unused, and delete them after a delay."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gozen.archive import keys
from gozen.archive.stores.open_store import Store
from gozen.catalog.format import layout, manifest
from gozen.catalog.maintain.release import released
from gozen.errors import BadRequest


@dataclass(frozen=True)
class Removal:
    """What became of a generation that is neither the current one nor in a release.

    Parameters
    ----------
    generation
        Its number.
    since
        When it was first seen so.
    files
        How many objects went; 0 where its time is not up.
    """

    generation: int
    since: datetime
    files: int = 0


def retire(store: Store, name: str, now: datetime) -> dict[int, datetime]:
    """Note for each generation that is neither current nor in a release since when it is so; return all of them.

    One above the current may be of a writer that has not finished; its note is another, so that its time as an old one
    begins when it has been current.

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
    lying = _generations(name, store.list(keys.catalog(name)))
    found = {}
    for number in sorted(lying - used - {newest}):
        key = layout.retired(name, number) if number < newest else layout.unfinished(name, number)
        # `create` keeps the time of the first look: with each `write` the delay would begin anew.
        store.create(key, json.dumps({"since": now.isoformat()}).encode())
        found[number] = datetime.fromisoformat(json.loads(store.read(key))["since"])
    return found


def remove_older(store: Store, name: str, now: datetime, days: float) -> list[Removal]:
    """Remove generations that have been out of use for so many days.

    A reader that began while one was current has these days to finish, and so has a writer whose generation was seen:
    what a killed compaction or release left goes in the same way.

    Parameters
    ----------
    store
        The archive.
    name
        The table.
    now
        With a time zone.
    days
        Since the generation was first seen to be out of use. 0 is for a table that nobody reads or writes.

    Returns
    -------
    list[Removal]
        Each generation that is neither the current one nor in a release.
    """
    if not days >= 0:
        raise BadRequest(f"generations cannot be removed {days} days after their end: give 0 or more")
    retired = retire(store, name, now)
    gone = {number for number, since in retired.items() if now - since >= timedelta(days=days)}
    files = dict.fromkeys(retired, 0)
    use = _Use(store, name)
    held = store.list(keys.catalog(name)) if gone else []
    for number in sorted(gone - use.now()[0]):
        # A writer that is slower than those days looks for this note before it names the generation.
        store.create(layout.removed(name, number), json.dumps({"since": now.isoformat()}).encode())
        for key in held:
            if layout.generation_of(name, key) != number:
                continue
            used, margins = use.now()  # removing takes minutes, and a writer may have finished since
            if number not in used and key.split("/")[2] not in margins:
                store.delete(key)
                files[number] += 1
    # A writer has named it since: with the note in place no later version of it could be committed.
    for number in gone & use.now()[0]:
        store.delete(layout.removed(name, number))
    return [Removal(number, since, files[number]) for number, since in retired.items()]


class _Use:
    """Generations and margins that the current version or a release names, looked up again and again."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._listed: list[str] | None = None
        self._versions: list[manifest.Manifest] = []

    def now(self) -> tuple[set[int], set[str]]:
        """Return the numbers of the generations and the names of the margins; manifests never change."""
        # Until two looks agree: a version that is committed while manifests are read counts too.
        while self._listed != (listed := self._list()):
            self._listed = listed
            current = manifest.current_or_raise(self._store, self._name)
            self._versions = [current, *released(self._store, self._name).values()]
        return {one.generation for one in self._versions}, {one.margin for one in self._versions}

    def _list(self) -> list[str]:
        folders = (layout.manifests(self._name), f"{keys.catalog(self._name)}/release")
        return [key for folder in folders for key in self._store.list(folder)]


def _generations(name: str, held: Iterable[str]) -> set[int]:
    found = {layout.generation_of(name, key) for key in held}
    return {number for number in found if number is not None}
