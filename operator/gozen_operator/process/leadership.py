"""Leader election in the process: wait for the Lease, renew it, give it back.

The race: a process that was stalled renews late, and another one leads already. So a process that has lost the Lease
ends at once, and nothing of it acts while the Lease is given back. `api_server.lease` says who may take it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable

from gozen.errors import ExitCode, as_gozen_error
from gozen_operator.api_server import lease

log = logging.getLogger(__name__)


class Leadership:
    """One process's share in the Lease of a namespace.

    Parameters
    ----------
    identity
        Under which it holds it.
    """

    def __init__(self, api: lease.Leases, namespace: str, identity: str) -> None:
        self._tenure = lease.Tenure(api, namespace, identity)

    @contextlib.asynccontextmanager
    async def held(self, stop: asyncio.Event, waits: Callable[[], None]) -> AsyncIterator[asyncio.Task[None]]:
        """Hold the Lease within this context, which begins when it is free, or without it when `stop` is set.

        The context is given the task that renews it. Whoever acts awaits that task with its own, and leaves the context
        only when nothing of it acts any more: the Lease is given back then.

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
            log.info("holding the Lease %s/%s as %s", self._tenure.namespace, lease.NAME, self._tenure.identity)
        renewing = asyncio.create_task(self._renew())
        try:
            yield renewing
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
            await self._give_back()

    def left_s(self) -> float:
        """Return how long this process may act on without renewing."""
        return max(self._tenure.left_s(time.monotonic()), 0.0)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(lease.RENEW_S)
            # A request that hangs must not keep this process acting after its Lease has run out.
            with contextlib.suppress(TimeoutError):
                if await asyncio.wait_for(self._hold(), self.left_s()):
                    continue
            if not self.left_s():
                log.error("the Lease is lost; this process ends so that no two act")
                # Not sys.exit: it joins the workers, which would write on while another operator begins.
                os._exit(int(ExitCode.STORAGE))

    async def _hold(self) -> bool:
        return await asyncio.to_thread(self._tenure.hold, time.monotonic(), time.time())

    async def _give_back(self) -> None:
        try:
            await asyncio.to_thread(self._tenure.give_back, time.time())
        except Exception as error:  # it runs out by itself
            known = as_gozen_error(error)
            log.warning("the Lease is not given back: %s: %s", known.name, known)
