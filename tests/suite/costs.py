"""What each test, fixture and build took: seconds and processor seconds, a JSON line each; a pytest plugin.

Lines go to the folder that ``GOZEN_COSTS`` names, a file for each process; without it nothing is measured. What is
made of them is in `times`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .processor_time import processor_s

FOLDER = "GOZEN_COSTS"


@contextmanager
def measured(kind: str, name: str, **words: Any) -> Iterator[None]:
    """Write down what something costs this process and those that it starts.

    Parameters
    ----------
    kind
        ``test``, ``fixture`` or ``build``.
    """
    began, used = time.monotonic(), processor_s()
    try:
        yield
    finally:
        write(kind, name, time.monotonic() - began, processor_s() - used, **words)


def write(kind: str, name: str, seconds: float, processor: float, **words: Any) -> None:
    """Write a line, where lines are wanted."""
    if FOLDER in os.environ:
        folder = Path(os.environ[FOLDER])
        folder.mkdir(parents=True, exist_ok=True)
        line = {"kind": kind, "name": name, "seconds": round(seconds, 3), "processor_s": round(processor, 3), **words}
        with (folder / f"{os.getpid()}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Measure where a folder is named, in each process that runs tests."""
    if FOLDER in os.environ:
        config.pluginmanager.register(_Costs(), "gozen-costs")


class _Costs:
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        with measured("test", item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        if fixturedef.scope == "function":
            return (yield)
        with measured("fixture", f"{fixturedef.baseid}::{fixturedef.argname}", scope=fixturedef.scope):
            return (yield)
