"""The Lease as a process holds it: waited for, renewed, given back; whoever loses it ends at once, as another one acts.

What a Lease is and who may take it stands in `gozen_operator.lease`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable

from gozen.errors import ExitCode, GozenError
from gozen_operator import lease

log = logging.getLogger(__name__)


class Leadership:
    """One process's share in the Lease of a namespace.

    Parameters
    ----------
    identity
        Under which it holds it.
    """

    def __init__(self, api: lease.Leases, namespace: str, identity: str) -> None:
        self._api, self._namespace, self._identity = api, namespace, identity
        self._seen = lease.Seen()
        self._held_at = 0.0

    @contextlib.asynccontextmanager
    async def held(self, stop: asyncio.Event, waits: Callable[[], None]) -> AsyncIterator[None]:
        """Hold the Lease within this context, which begins when it is free, or without it when `stop` is set.

        Parameters
        ----------
        waits
            Told each time that another one holds it.
        """
        while not stop.is_set() and not await self._hold():
            waits()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), lease.RENEW_S)
        if not stop.is_set():
            log.info("holding the Lease %s/%s as %s", self._namespace, lease.NAME, self._identity)
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            with contextlib.suppress(GozenError):
                await asyncio.to_thread(lease.give_back, self._api, self._namespace, self._identity, time.time())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(lease.RENEW_S)
            # An API server that does not answer must not make us believe that the Lease is still ours.
            with contextlib.suppress(TimeoutError):
                if await asyncio.wait_for(self._hold(), max(self._held_at + lease.DURATION_S - time.monotonic(), 0.0)):
                    continue
            if time.monotonic() - self._held_at > lease.DURATION_S - lease.RENEW_S:
                log.error("the Lease is lost; this process ends so that no two act")
                os._exit(int(ExitCode.STORAGE))

    async def _hold(self) -> bool:
        """Take or renew it; False when another one has it, or nobody can tell."""
        asked_at = time.monotonic()
        asked = (self._api, self._namespace, self._identity, self._seen, asked_at, time.time())
        try:
            holds = await asyncio.to_thread(lease.try_to_hold, *asked)
        except GozenError as error:
            log.warning("lease: %s: %s", error.name, error)
            return False
        if holds:
            self._held_at = asked_at  # others count from the request, not from its answer
        return holds
