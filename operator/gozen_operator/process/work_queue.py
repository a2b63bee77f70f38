"""The work queue of keys to reconcile; each key is in it once, now or later.

The race: two workers must not reconcile one key at a time, and a change during a reconcile must not be lost. A key that
changes while a worker has it enters the queue again when that worker is done. The queue has two lanes: the first is for
changes, the second for the slow resync of all resources.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable

from gozen_operator.reconcile.object_fields import Key


class WorkQueue:
    """A queue of keys for one event loop.

    Parameters
    ----------
    clock
        Monotonic time, s.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ready: dict[Key, None] = {}
        self._round: dict[Key, None] = {}
        self._later: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        self._busy: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready) + len(self._round) + len(self._busy)

    def add(self, keys: Iterable[Key]) -> None:
        """Queue keys; one that a worker has is queued again when that worker is done."""
        for key in keys:
            if key in self._busy:
                self._again.add(key)
            else:
                self._round.pop(key, None)
                self._ready[key] = None
        self._changed.set()

    def add_round(self, keys: Iterable[Key]) -> None:
        """Queue the keys of a resync, behind all changes."""
        for key in keys:
            if key not in self._busy and key not in self._ready:
                self._round[key] = None
        self._changed.set()

    def add_later(self, key: Key, delay_s: float) -> None:
        """Queue a key after a delay. If a key is added several times, the earliest time is used."""
        due = self._clock() + delay_s
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._later, (due, key))
            self._changed.set()

    async def take(self) -> Key:
        """Wait for the next key and return it; the worker calls `done` when it is finished with the key."""
        while True:
            self._move_due()
            lane = self._ready or self._round
            if lane:
                key = next(iter(lane))
                del lane[key]
                self._busy[key] = self._clock()
                return key
            # No await since the lanes were empty: an add in between would be cleared and wake nobody.
            self._changed.clear()
            wait_s = self._later[0][0] - self._clock() if self._later else None
            try:
                await asyncio.wait_for(self._changed.wait(), wait_s)
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """Release a key that a worker has finished."""
        self._busy.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self.add([key])

    def oldest(self) -> tuple[Key, float] | None:
        """Return the key that a worker has had for the longest time, and this time (seconds); None if there is none."""
        if not self._busy:
            return None
        key, since = min(self._busy.items(), key=lambda one: one[1])
        return key, self._clock() - since

    def _move_due(self) -> None:
        while self._later and self._later[0][0] <= self._clock():
            due, key = heapq.heappop(self._later)
            # An entry that an earlier time has replaced is stale: it must not reconcile the key a second time.
            if self._due.get(key) == due:
                del self._due[key]
                self.add([key])
