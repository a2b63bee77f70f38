"""What all tests share: properties are not held against the clock, and tests that take long say so when they end."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import settings

settings.register_profile("gozen", deadline=None)
settings.load_profile("gozen")

LONG_S = 45.0


def pytest_configure(config: pytest.Config) -> None:
    """Report long tests once: by the process that the workers report to."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(_LongTests(), "long-tests")


class _LongTests:
    """Where a run of minutes spends them; a run that is cut off has said it by then."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.duration > LONG_S:
            at = (time.monotonic() - self._began) / 60
            print(f"\n{report.duration:.0f} s: {report.nodeid} ({report.when}), at {at:.0f} min")  # noqa: T201 - for who watches
