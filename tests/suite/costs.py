"""A pytest plugin that records the seconds and processor seconds of each test, fixture and build as JSON lines.

The lines are written to the folder in ``GOZEN_COSTS``, one file for each process; without this variable nothing is
recorded. `times` evaluates them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .processor_time import processor_s

FOLDER = "GOZEN_COSTS"


@dataclass(frozen=True)
class Spent:
    """Seconds, and processor seconds of this process with all that it started."""

    seconds: float = 0.0
    processor_s: float = 0.0

    @classmethod
    def now(cls) -> Spent:
        """Return both clocks."""
        return cls(time.monotonic(), processor_s())

    def less(self, other: Spent) -> Spent:
        """Return the difference."""
        return Spent(self.seconds - other.seconds, self.processor_s - other.processor_s)

    def more(self, other: Spent) -> Spent:
        """Return the sum."""
        return Spent(self.seconds + other.seconds, self.processor_s + other.processor_s)


@contextmanager
def measured(kind: str, name: str, **words: Any) -> Iterator[None]:
    """Write down what something costs this process and those that it starts.

    Parameters
    ----------
    kind
        As ``build``.
    """
    before = Spent.now()
    try:
        yield
    finally:
        spent = Spent.now().less(before)
        write(kind, name, spent.seconds, spent.processor_s, **words)


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
    """What a test costs includes its own fixtures; those of the session are lines of their own.

    Which test asks first for what the session shares is chance.
    """

    def __init__(self) -> None:
        self._shared = Spent()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        before, self._shared = Spent.now(), Spent()
        try:
            return (yield)
        finally:
            own = Spent.now().less(before).less(self._shared)
            write("test", item.nodeid, own.seconds, own.processor_s)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        before, inner = Spent.now(), self._shared
        try:
            return (yield)
        finally:
            spent = Spent.now().less(before)
            if fixturedef.scope == "session":  # one that another one asks for is a line of its own, too
                own = spent.less(self._shared.less(inner))
                self._shared = inner.more(spent)
                write("fixture", f"{fixturedef.baseid}::{fixturedef.argname}", own.seconds, own.processor_s)
            else:
                name = f"{fixturedef.baseid}::{fixturedef.argname}"
                write("fixture of a test", name, spent.seconds, spent.processor_s, scope=fixturedef.scope)
