"""What all tests share: properties not held against the clock, Ctrl-C that is heard, a word of tests that take long."""

from __future__ import annotations

import os
import signal
import time

import pytest
from hypothesis import settings

settings.register_profile("gozen", deadline=None)
settings.load_profile("gozen")

# A shell that starts `make test` in the background lets all below it ignore Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)

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
