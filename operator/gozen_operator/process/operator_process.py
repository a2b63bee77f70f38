"""The operator process: kopf watches, workers on the work queue, periodic resync.

kopf only watches: no timers, no daemons, no finalizers. A reconcile that fails is retried after 1 s, then after twice
as long each time up to 60 s, and not before a ``Retry-After`` of the API server. Nothing is decided here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import kopf

from gozen.archive.stores.open_store import open_archive
from gozen.errors import ExitCode, GozenError, as_gozen_error
from gozen.settings import Settings
from gozen_operator.api_server.api_request import PAGE
from gozen_operator.api_server.client import KubeApi
from gozen_operator.api_server.connection import connect
from gozen_operator.api_server.responses import retry_after_s
from gozen_operator.crds import GROUP, KINDS, VERSION
from gozen_operator.index.dependents import affected
from gozen_operator.index.index_entries import is_over
from gozen_operator.index.object_index import Index, ObjectChange
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.process.controller import Controller
from gozen_operator.process.health_and_metrics import Health
from gozen_operator.process.leadership import Leadership
from gozen_operator.process.work_queue import WorkQueue
from gozen_operator.reconcile.object_fields import MODELS, Key

log = logging.getLogger(__name__)
WORKERS = 4
RETRY_S = (1.0, 60.0)
JOIN_S = 20.0
"""Time limit for running reconciles to end, s; the kubelet kills the process after 30 s."""
_IDLE_S = 0.5
"""After this many seconds without an event kopf ends the task of an object."""


class Process:
    """One operator process.

    Parameters
    ----------
    stop
        Set by the caller to end it.
    """

    def __init__(self, site: Settings, settings: OperatorSettings, api: KubeApi) -> None:
        self.settings, self.api = settings, api
        self.index, self.health = Index(), Health(settings)
        self.queue = WorkQueue(time.monotonic)
        self.stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="look")
        self._failures: dict[Key, int] = {}
        namespace = settings.lease_namespace or settings.namespaces[0]
        self._leadership = Leadership(api, namespace, settings.identity)
        self._controller = Controller(api, self.index, partial(open_archive, site), site, settings, self._wrote)

    async def run(self) -> None:
        """Wait for the Lease, then reconcile all resources until `stop`."""
        runner = await self.health.serve(lambda: self.api.writes, self.queue)
        try:
            async with self._leadership.held(self.stop, self.health.hear) as renewing:
                if not self.stop.is_set():
                    self.health.leads.set(1)
                    await self._act(renewing)
        finally:
            await runner.cleanup()

    async def _act(self, renewing: asyncio.Task[None]) -> None:
        """Reconcile all resources until `stop`, or until a task ends; when it returns, nothing writes any more."""
        tasks = [asyncio.create_task(self._begin())]
        try:
            stopped = asyncio.create_task(self.stop.wait())
            await asyncio.wait([stopped, renewing, *tasks], return_when="FIRST_COMPLETED")
            # Workers start after the first listing: a Job that the index lacks would not count as active.
            if tasks[0].done() and not tasks[0].exception():
                tasks += [asyncio.create_task(self._work()) for _ in range(WORKERS)]
                tasks += [asyncio.create_task(self._resync_loop()), asyncio.create_task(self._watch())]
                await asyncio.wait([stopped, renewing, *tasks[1:]], return_when="FIRST_COMPLETED")
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            # If the renewal died, nobody renews the Lease any more: end before another operator may begin.
            await self._join(JOIN_S if not renewing.done() else self._leadership.left_s())
        if renewing.done():
            renewing.result()
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _begin(self) -> None:
        while True:
            try:
                await self.resync()
                break
            except GozenError as error:
                wait_s = retry_after_s(error)
                if not wait_s:
                    raise
                log.warning("%s: %s; tried again in %g s", error.name, error, wait_s)
                await asyncio.sleep(wait_s)
        for kind in MODELS:
            # Complete ones too: the timers of their TTLs died with the previous process, and a resync leaves them out.
            self.queue.add_round(self.index.keys(kind))

    async def _join(self, limit_s: float) -> None:
        """Wait for running reconciles: once the Lease is released, another operator may write."""
        ended = asyncio.create_task(asyncio.to_thread(self._threads.shutdown, cancel_futures=True))
        await asyncio.wait([ended], timeout=limit_s)
        if not ended.done():
            log.error(
                (
                    "the reconciliation of a resource has not ended within %g s; this process ends and lets its Lease "
                    "expire"
                ),
                limit_s,
            )
            os._exit(int(ExitCode.STORAGE))

    def take(self, how: str | None, manifest: dict[str, Any]) -> None:
        """Put an event of kopf into the index, and queue the resources that it affects."""
        self.health.hear()
        change = (self.index.remove if how == "DELETED" else self.index.put)(manifest)
        if change is not None:
            self._mark(change)

    async def resync(self) -> None:
        """List all objects in case an event was lost, and queue incomplete resources; complete ones have timers."""
        for namespace in self.settings.namespaces:
            for kind in (*MODELS, "Job"):
                for change in await asyncio.to_thread(self._listed, kind, namespace):
                    self._mark(change)
        for kind in MODELS:
            self.queue.add_round(key for key, entry in self.index.entries(kind) if not is_over(entry))
        self.health.hear()
        self.health.count(self.index)

    def _listed(self, kind: str, namespace: str) -> list[ObjectChange]:
        """Bring the index up to date by a list request; return the changes."""
        # Read before the listing: an object created during it is missing from its pages, and must not be forgotten.
        before = {key: uid for key, uid in self.index.uids(kind).items() if key.namespace == namespace}
        changes: list[ObjectChange | None] = []
        for page in self.api.pages_of(kind, namespace):
            changes += [self.index.put(manifest) for manifest in page]
            for manifest in page:
                before.pop(Key(kind, namespace, manifest["metadata"]["name"]), None)
        changes += [self.index.forget(key, uid) for key, uid in before.items()]
        return [one for one in changes if one is not None]

    def _mark(self, change: ObjectChange) -> None:
        self.queue.add(affected(self.index, change, self.settings.max_active_jobs))

    def _wrote(self, change: ObjectChange) -> None:
        # Called by workers; the queue belongs to the event loop, and an add from another thread may wake nobody.
        self._loop.call_soon_threadsafe(self._mark, change)

    async def _work(self) -> None:
        while True:
            key = await self.queue.take()
            try:
                with self.health.reconcile_s.labels(key.kind).time():
                    again_s = await self._loop.run_in_executor(self._threads, self._controller.handle, key)
                self._failures.pop(key, None)
            except Exception as error:
                again_s = max(self._failed(key, as_gozen_error(error)), retry_after_s(error))
            finally:
                self.queue.done(key)
            if again_s is not None:
                self.queue.add_later(key, again_s)

    def _failed(self, key: Key, error: GozenError) -> float:
        """Count a failure; return the seconds until the retry."""
        self.health.errors.labels(key.kind).inc()
        count = self._failures[key] = self._failures.get(key, 0) + 1
        log.warning(
            "%s %s: %s: %s; tried again", key.kind, key.name, error.name, error, exc_info=error if count == 1 else None
        )
        first, last = RETRY_S
        # The inner bound: 2.0 ** 1024 raises OverflowError, which would end the worker during a long outage.
        return min(first * 2.0 ** min(count - 1, 10), last)

    async def _resync_loop(self) -> None:
        again_s = self.settings.resync_s
        while True:
            await asyncio.sleep(again_s)
            again_s = self.settings.resync_s
            try:
                await self.resync()
            except Exception as error:
                known = as_gozen_error(error)
                log.warning("not all resources were read again: %s: %s; the operator tries again", known.name, known)
                again_s = min(again_s, max(RETRY_S[1], retry_after_s(error)))

    async def _watch(self) -> None:
        """Watch all kinds and Jobs with kopf until `stop`."""
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(kopf.login_via_client)
        for kind in KINDS:
            kopf.on.event(GROUP, VERSION, kind.plural, registry=registry)(self._event)
        part = {"app.kubernetes.io/part-of": "gozen"}
        kopf.on.event("batch", "v1", "jobs", labels=part, registry=registry)(self._event)
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.watching.chunk_size = PAGE
        settings.queueing.idle_timeout = _IDLE_S
        await kopf.operator(
            registry=registry,
            settings=settings,
            namespaces=list(self.settings.namespaces),
            standalone=True,
            stop_flag=self.stop,
        )

    def _event(self, event: Any, **_: Any) -> None:
        self._loop.call_soon_threadsafe(self.take, event["type"], dict(event["object"]))


async def serve(site: Settings, settings: OperatorSettings) -> None:
    """Run an operator until SIGTERM or SIGINT."""
    import signal

    process = Process(site, settings, KubeApi(connect()))
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, process.stop.set)
    await process.run()
