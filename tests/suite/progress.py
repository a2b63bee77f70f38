"""A pytest plugin that prints the progress of a run as lines instead of dots, also if the output is a file."""

from __future__ import annotations

import os
import threading
import time

import pytest

from .clock import BEGAN, say

SECONDS_BETWEEN_LINES = 30.0
LONG_S = 45.0
NAMED = 4


def pytest_configure(config: pytest.Config) -> None:
    """Speak once: in the process that the workers report to, and only in a run of the whole suite."""
    if BEGAN in os.environ and "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(_Progress(), "gozen-progress")


class _Progress:
    def __init__(self) -> None:
        self._all = self._ended = self._failed = 0
        self._running: dict[str, float] = {}
        self._over = threading.Event()

    def pytest_sessionstart(self) -> None:
        threading.Thread(target=self._speak, daemon=True).start()

    def pytest_sessionfinish(self) -> None:
        self._over.set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count a test that passed without a dot for it."""
        if report.passed:
            return ("passed" if report.when == "call" else ""), "", ""
        return None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._all = len(ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._ended += 1
        took = time.monotonic() - self._running.pop(nodeid, time.monotonic())
        if took > LONG_S:
            say(f"{nodeid} took {took:.0f} s")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed += 1
            say(f"FAILED {report.nodeid} ({report.when})\n{report.longreprtext}")

    def _speak(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LINES):
            now = time.monotonic()
            longest = sorted((began, name) for name, began in list(self._running.items()))[:NAMED]
            names = ", ".join(f"{name.removeprefix('tests/')} ({now - began:.0f} s)" for began, name in longest)
            say(f"tests: {self._ended} of {self._all or '...'}, {self._failed} failed; now {names or 'collecting'}")
