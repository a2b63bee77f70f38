"""Health and metrics: ``/healthz`` for the kubelet's probes, ``/metrics`` for Prometheus.

They show whether events arrive, how old the oldest reconcile is, how many reconciles fail, and who has the Lease.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Total

from gozen_operator.index.index_entries import ExposureEntry, JobEntry
from gozen_operator.index.object_index import Index
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.process.work_queue import WorkQueue
from gozen_operator.reconcile.object_fields import MODELS

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """Health and metrics of the operator itself.

    Parameters
    ----------
    clock
        Monotonic time, s.
    """

    def __init__(self, settings: OperatorSettings, clock: Callable[[], float] = time.monotonic) -> None:
        # Monotonic: a wall clock set forward would look like silence, and the kubelet would restart the operator.
        self._settings, self._clock = settings, clock
        self._heard = clock()
        self.registry = registry = CollectorRegistry()
        self.reconcile_s = Histogram(
            "gozen_reconcile_seconds", "Duration of one reconcile", ["kind"], registry=registry, buckets=_SECONDS
        )
        self.errors = Total(
            "gozen_reconcile_errors", "Reconciles that failed and are repeated", ["kind"], registry=registry
        )
        self.queue = Gauge("gozen_queue_depth", "Resources that wait for a reconcile", registry=registry)
        self.silence = Gauge("gozen_event_age_seconds", "Age of the last event or resync", registry=registry)
        self.look = Gauge(
            "gozen_oldest_look_seconds", "Age of the oldest reconcile that has not ended", registry=registry
        )
        self.writes = Gauge("gozen_api_writes", "Requests so far that changed something", registry=registry)
        self.leads = Gauge("gozen_leader", "1 while this process has the Lease", registry=registry)
        self.resources = Gauge("gozen_resources", "Resources by kind and reason", ["kind", "reason"], registry=registry)
        self.at_risk = Gauge(
            "gozen_raw_waiting_seconds",
            "How long the oldest raw data have waited for their reduction",
            registry=registry,
        )

    def hear(self) -> None:
        """Record that an event or a listing has arrived."""
        self._heard = self._clock()

    def silent_s(self) -> float:
        """Return the age of the last event or resync."""
        return self._clock() - self._heard

    def count(self, index: Index) -> None:
        """Count the resources and find the oldest raw data that wait."""
        self.resources.clear()
        oldest = now = time.time()
        for kind in MODELS:
            reasons: Counter[str] = Counter()
            for _, entry in index.entries(kind):
                if entry is None or isinstance(entry, JobEntry):
                    reasons["InvalidSpec"] += 1
                    continue
                reasons[entry.reason or "New"] += 1
                if isinstance(entry, ExposureEntry) and entry.raw_since is not None and not entry.complete:
                    oldest = min(oldest, entry.raw_since)
            for reason, count in reasons.items():
                self.resources.labels(kind, reason).set(count)
        self.at_risk.set(now - oldest)

    def troubles(self, queue: WorkQueue) -> list[str]:
        """Return why the operator is not healthy: no events arrive, or a reconcile hangs, as on storage that stalls."""
        silent, found = self.silent_s(), []
        if silent > self._settings.silence_s:
            found.append(f"silent for {silent:.0f} s, longer than silence_s, {self._settings.silence_s:g} s")
        oldest = queue.oldest()
        if oldest is not None and oldest[1] > self._settings.stuck_s:
            key, age_s = oldest
            limit = f"longer than stuck_s, {self._settings.stuck_s:g} s"
            found.append(f"{key.kind} {key.namespace}/{key.name} has been reconciled for {age_s:.0f} s, {limit}")
        return found

    async def serve(self, writes: Callable[[], int], queue: WorkQueue) -> web.AppRunner:
        """Serve both pages; the caller cleans the runner up."""

        async def healthz(_: web.Request) -> web.Response:
            troubles = self.troubles(queue)
            said = troubles or [f"silent for {self.silent_s():.0f} s"]
            return web.Response(text="\n".join([*said, ""]), status=503 if troubles else 200)

        async def metrics(_: web.Request) -> web.Response:
            self.silence.set(self.silent_s())
            self.writes.set(writes())
            self.queue.set(len(queue))
            oldest = queue.oldest()
            self.look.set(oldest[1] if oldest else 0.0)
            return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE})

        app = web.Application()
        app.add_routes([web.get("/healthz", healthz), web.get("/metrics", metrics)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", self._settings.port).start()  # noqa: S104 - the kubelet and Prometheus come from outside
        return runner
