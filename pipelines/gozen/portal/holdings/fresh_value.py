"""A value that is slow to compute: computed in a thread, kept for a minute, shared by all who ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

FRESH_S = 60.0
"""Seconds for which a value is used before the archive is read again."""
STALE_S = 600.0
"""Seconds for which an older value is still shown while a new one is computed."""
PATIENCE_S = 10.0
"""Seconds that a request waits for a value."""

_Value = TypeVar("_Value")


class FreshValue(Generic[_Value]):
    """Keeps what a function returned.

    However many requests come, the function runs once at a time. A request gets a value that is a little old at once.
    It waits only if no value exists yet.

    Parameters
    ----------
    compute
        The function; it runs in a thread.
    patience_s
        Seconds after which a waiting request gives up. The function continues, for the next request.
    clock
        Monotonic time, s.
    """

    def __init__(
        self,
        compute: Callable[[], _Value],
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compute, self._patience_s, self._clock = compute, patience_s, clock
        self._kept: tuple[_Value, float] | None = None
        self._running: asyncio.Task[_Value] | None = None

    async def get(self) -> _Value:
        """Return the value.

        Raises
        ------
        TimeoutError
            It took too long.
        Exception
            Any error of the function. The next request calls the function again.
        """
        age = self._clock() - self._kept[1] if self._kept else float("inf")
        if self._kept and age < FRESH_S:
            return self._kept[0]
        if self._running is None:
            self._running = asyncio.create_task(self._renew())
            self._running.add_done_callback(_heard)
        if self._kept and age < STALE_S:
            return self._kept[0]
        async with asyncio.timeout(self._patience_s):
            return await asyncio.shield(self._running)

    async def _renew(self) -> _Value:
        try:
            found = await asyncio.to_thread(self._compute)
            self._kept = found, self._clock()
            return found
        finally:
            self._running = None


def _heard(task: asyncio.Task[_Value]) -> None:
    """Take note of an error for which no request waits any more."""
    if not task.cancelled():
        task.exception()
