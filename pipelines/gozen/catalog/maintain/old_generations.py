"""Garbage collection of generations: record since when each is unused, and delete it after a delay."""

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
    """The result for a generation that is neither the current one nor in a release.

    Parameters
    ----------
    generation
        Number of the generation.
    since
        When it was first seen to be unused.
    files
        Number of objects that were deleted; 0 if it has not been unused for long enough, or is used again.
    """

    generation: int
    since: datetime
    files: int = 0


def retire(store: Store, name: str, now: datetime) -> dict[int, datetime]:
    """Record since when each generation is neither current nor in a release; return these times.

    A generation above the current one may belong to a writer that has not finished. It gets a different note, so that
    its time as an old generation starts only after a newer one has replaced it.

    Parameters
    ----------
    store
        The archive.
    name
        The table.
    now
        The present time, with a time zone.

    Returns
    -------
    dict[int, datetime]
        For each such generation, when it was first seen to be unused.
    """
    newest = manifest.current_or_raise(store, name).generation
    used = {version.generation for version in released(store, name).values()}
    lying = _generations(name, store.list(keys.catalog(name)))
    found = {}
    for number in sorted(lying - used - {newest}):
        key = layout.retired(name, number) if number < newest else layout.unfinished(name, number)
        # `create` keeps the first time. With `write`, every run would restart the delay.
        store.create(key, json.dumps({"since": now.isoformat()}).encode())
        found[number] = datetime.fromisoformat(json.loads(store.read(key))["since"])
    return found


def remove_older(store: Store, name: str, now: datetime, days: float) -> list[Removal]:
    """Delete generations that have been unused for a number of days.

    Readers that opened a generation while it was current have these days to finish. So have writers of an unfinished
    generation, because it looks like the leftover of a killed compaction or release, which is deleted in the same way.

    Parameters
    ----------
    store
        The archive.
    name
        The table.
    now
        The present time, with a time zone.
    days
        Days since the generation was first seen to be unused. Use 0 only while no process reads or writes the table.

    Returns
    -------
    list[Removal]
        One for each generation that is neither the current one nor in a release.

    Raises
    ------
    BadRequest
        `days` is negative.
    """
    if not days >= 0:
        raise BadRequest(f"the number of days is {days}, but must be 0 or more")
    retired = retire(store, name, now)
    gone = {number for number, since in retired.items() if now - since >= timedelta(days=days)}
    files = dict.fromkeys(retired, 0)
    use = _Use(store, name)
    held = store.list(keys.catalog(name)) if gone else []
    for number in sorted(gone - use.now()[0]):
        # A writer that takes longer than these days checks for this note before its manifest names the generation.
        store.create(layout.removed(name, number), json.dumps({"since": now.isoformat()}).encode())
        for key in held:
            if layout.generation_of(name, key) != number:
                continue
            used, margins = use.now()  # deletion takes minutes, and a writer may have finished meanwhile
            if number not in used and key.split("/")[2] not in margins:
                store.delete(key)
                files[number] += 1
    # A writer has named the generation meanwhile. If the note remained, its later versions could not be committed.
    for number in gone & use.now()[0]:
        store.delete(layout.removed(name, number))
    return [Removal(number, since, files[number]) for number, since in retired.items()]


class _Use:
    """The generations and margins that the current version and the releases name; reread when manifests are added."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._listed: list[str] | None = None
        self._versions: list[manifest.Manifest] = []

    def now(self) -> tuple[set[int], set[str]]:
        """Return the numbers of the generations and the names of the margins in use at present."""
        # List again until nothing is new: a version may be committed while manifests are read. Manifests never change.
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
