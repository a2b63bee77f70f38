"""Leader election in the process: wait for the Lease, renew it, release it.

The race: a process that was stalled renews late, when another one is already the leader. So a process that has lost the
Lease ends at once, and no process releases the Lease while its work still runs. `api_server.lease` decides whether a
process can acquire it.
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
    """Leadership of one process by the Lease of a namespace.

    Parameters
    ----------
    identity
        Name of the process in the Lease.
    """

    def __init__(self, api: lease.Leases, namespace: str, identity: str) -> None:
        self._tenure = lease.Tenure(api, namespace, identity)

    @contextlib.asynccontextmanager
    async def held(self, stop: asyncio.Event, waits: Callable[[], None]) -> AsyncIterator[asyncio.Task[None]]:
        """Return a context in which the Lease is held; without the Lease if `stop` is set before it is acquired.

        It yields the task that renews the Lease. The caller waits for that task together with its own tasks, and leaves
        the context only after all of its work has ended: the Lease is released then.

        Parameters
        ----------
        waits
            Called after each attempt that does not acquire the Lease.
        """
        while not stop.is_set() and not await self._hold():
            waits()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), lease.RENEW_S)
        if not stop.is_set():
            log.info(
                "this process has the Lease %s/%s as %s", self._tenure.namespace, lease.NAME, self._tenure.identity
            )
        renewing = asyncio.create_task(self._renew())
        try:
            yield renewing
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
            await self._give_back()

    def left_s(self) -> float:
        """Return how long this process may act without a renewal."""
        return max(self._tenure.left_s(time.monotonic()), 0.0)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(lease.RENEW_S)
            # A request that hangs must not keep this process acting after its Lease has run out.
            with contextlib.suppress(TimeoutError):
                if await asyncio.wait_for(self._hold(), self.left_s()):
                    continue
            if not self.left_s():
                log.error("the Lease is lost; this process ends, so that two processes never act at the same time")
                # Not sys.exit: it joins the workers, which would write on while another operator begins.
                os._exit(int(ExitCode.STORAGE))

    async def _hold(self) -> bool:
        return await asyncio.to_thread(self._tenure.hold, time.monotonic(), time.time())

    async def _give_back(self) -> None:
        try:
            await asyncio.to_thread(self._tenure.give_back, time.time())
        except Exception as error:  # it runs out by itself
            known = as_gozen_error(error)
            log.warning(
                "the Lease cannot be released: %s: %s; another process can take it when it has expired",
                known.name,
                known,
            )
