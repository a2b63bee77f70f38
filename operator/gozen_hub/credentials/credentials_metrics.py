"""Health and metrics of the service: ``/healthz`` for the kubelet's probes, ``/metrics`` for Prometheus."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus

from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client import Counter as Total

from gozen.archive.access_levels import LEVELS
from gozen_hub.credentials.due import Failed, Given, overdue_s

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class CredentialMetrics:
    """Numbers of the service.

    Parameters
    ----------
    silence_s
        The service is not healthy if no check of all namespaces has ended for this many seconds.
    clock
        Monotonic time, s.
    """

    def __init__(self, silence_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._silence_s, self._clock, self._round = silence_s, clock, clock()
        self.registry = registry = CollectorRegistry()
        self.renewals = Total("gozen_credentials_renewals", "Secrets written", ["level"], registry=registry)
        self.failures = Total("gozen_credentials_failures", "Secrets that could not be written", registry=registry)
        self._users = Gauge("gozen_credentials_users", "Users with credentials", ["level"], registry=registry)
        self._overdue = Gauge(
            "gozen_credentials_overdue_seconds", "How long the oldest renewal has been due", registry=registry
        )

    def end_of_round(self, given: Mapping[str, Given], failed: Mapping[str, Failed], now: float) -> None:
        """Count who has credentials, by uid; `now` is the time of day, s since the epoch."""
        self._round = self._clock()
        users = Counter(one.wanted.level for one in given.values())
        for level in LEVELS:
            self._users.labels(level).set(users[level])
        self._overdue.set(overdue_s(given, failed, now))

    def app(self) -> FastAPI:
        """Return the application that serves ``/healthz`` and ``/metrics``."""
        app = FastAPI(title="Credentials of users", docs_url=None, redoc_url=None, openapi_url=None)

        @app.get("/healthz")
        def healthz() -> Response:
            silent_s = self._clock() - self._round
            status = HTTPStatus.OK if silent_s < self._silence_s else HTTPStatus.SERVICE_UNAVAILABLE
            return Response(f"the last round ended {silent_s:.0f} s ago\n", status, media_type="text/plain")

        @app.get("/metrics")
        def metrics() -> Response:
            return Response(generate_latest(self.registry), media_type=CONTENT_TYPE)

        return app
