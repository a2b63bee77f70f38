"""Requests by page, status and duration, in the text format of Prometheus."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Count and time the requests to one portal."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "gozen_portal_requests", "Requests by page and status", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "gozen_portal_request_seconds",
            "Time from a request to the end of its answer",
            ["route"],
            registry=self._registry,
            buckets=_SECONDS,
        )

    def count(self, route: str, status: int, began: float) -> None:
        """Count a request that has been answered.

        Parameters
        ----------
        route
            The pattern of the address. With the address itself, strangers could create any number of metrics.
        began
            When it arrived, by `time.perf_counter`.
        """
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(time.perf_counter() - began)

    def text(self) -> bytes:
        """Return all numbers as Prometheus reads them."""
        return generate_latest(self._registry)
