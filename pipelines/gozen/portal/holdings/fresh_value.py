"""Cache a value that is slow to compute: kept for a minute, shared by all requests, with a limit on waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

FRESH_S = 60.0
"""Seconds for which a value is used before the archive is read again."""
STALE_S = 600.0
"""Seconds for which an older value is still shown while a new one is computed."""
PATIENCE_S = 10.0
"""Seconds that a request waits for a value."""
DEADLINE_S = 60.0
"""Seconds of a computation after which no request waits for it any more."""

_Value = TypeVar("_Value")


class NotYet(Exception):
    """There is no value yet; it has been computed for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no value for {seconds:.0f} s")
        self.seconds = seconds


class FreshValue(Generic[_Value]):
    """Caches the last result of a function.

    However many requests come, at most one call of the function runs at a time. A request immediately gets the kept
    value, even if it is a little old. It waits only if no value exists yet.

    Parameters
    ----------
    compute
        The function.
    patience_s
        Seconds after which a waiting request gives up. The function continues, for the next request.
    deadline_s
        Seconds after which the function is late: requests do not wait for it.
    clock
        Monotonic time, s.
    """

    def __init__(
        self,
        compute: Callable[[], Awaitable[_Value]],
        *,
        patience_s: float = PATIENCE_S,
        deadline_s: float = DEADLINE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compute, self._clock = compute, clock
        self._patience_s, self._deadline_s = patience_s, deadline_s
        self._kept: tuple[_Value, float] | None = None
        self._running: asyncio.Task[_Value] | None = None
        self._since = 0.0

    @property
    def last(self) -> _Value | None:
        """The last value, however old; None if there is none."""
        return self._kept[0] if self._kept else None

    @property
    def running(self) -> bool:
        """Whether the function runs now."""
        return self._running is not None

    async def get(self) -> _Value:
        """Return the value.

        Raises
        ------
        NotYet
            The function has not returned in time.
        Exception
            Any error of the function. The next request calls the function again.
        """
        age = self._clock() - self._kept[1] if self._kept else float("inf")
        if self._kept and age < FRESH_S:
            return self._kept[0]
        if self._running is None:
            self._since = self._clock()
            self._running = asyncio.create_task(self._renew())
            self._running.add_done_callback(_heard)
        if self._overdue():
            raise NotYet(self._clock() - self._since)
        if self._kept and age < STALE_S:
            return self._kept[0]
        return await self._wait(self._running)

    def _overdue(self) -> bool:
        return self._clock() - self._since >= self._deadline_s

    async def _wait(self, running: asyncio.Task[_Value]) -> _Value:
        # Not asyncio.timeout: the function may raise TimeoutError itself, for example about a connection.
        done, _ = await asyncio.wait({running}, timeout=self._patience_s)
        if not done:
            raise NotYet(self._clock() - self._since)
        return running.result()

    async def _renew(self) -> _Value:
        try:
            found = await self._compute()
            self._kept = found, self._clock()
            return found
        finally:
            self._running = None


def _heard(task: asyncio.Task[_Value]) -> None:
    """Retrieve the error of a task for which no request waits any more; otherwise asyncio logs a warning."""
    if not task.cancelled():
        task.exception()
