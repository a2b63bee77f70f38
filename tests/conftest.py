"""Settings of all tests: no time limit for Hypothesis examples, Ctrl-C works, a failed test names its repetition."""

from __future__ import annotations

import gc
import os
import signal

import pytest
from hypothesis import Phase, settings

from .effort import reached

settings.register_profile("gozen", deadline=None)
# Of a seeded bug it is enough to know that it was found: the smallest example would take minutes.
settings.register_profile("seeded bugs", deadline=None, phases=(Phase.explicit, Phase.generate))
settings.load_profile("seeded bugs" if "GOZEN_SEEDED_BUG" in os.environ else "gozen")

# A shell that starts `make test` in the background lets all below it ignore Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [f"tests.suite.{name}" for name in ("costs", "progress", "passed", "selection")]


def pytest_collection_finish() -> None:
    """Take what is imported out of the work of the garbage collector: it stays until the process ends."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Add to what a failed test says at which of its repetitions it failed."""
    report = yield
    if call.when == "call" and (said := reached()) and report.failed:
        report.sections.append(("repetitions", said))
    return report
