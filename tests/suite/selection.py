"""A pytest plugin that selects and orders the tests in a run of the suite; other calls of pytest are not affected.

``make test`` leaves out tests with ``@pytest.mark.test_all``, which states a reason. It also leaves out tests with the
mark ``proved_for`` if the files that the mark names have not changed since the tests passed. Groups that mostly wait
start first, then the modules that take longest.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections import defaultdict
from pathlib import Path

import pytest
from tests.effort import BUDGET_S, EVERYTHING

from . import cache
from .clock import BEGAN
from .passed import name_of
from .times import module_of

ROOT = Path(__file__).parents[2]
WAITING = ("node", "api")


def pytest_configure(config: pytest.Config) -> None:
    """Choose in each process that runs tests."""
    config.pluginmanager.register(_Selection(config), "gozen-selection")


class _Selection:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._to_prove: dict[tuple[str, ...], set[str]] = defaultdict(set)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out and sort."""
        for item in items:
            if (mark := item.get_closest_marker("proved_for")) is not None:
                self._to_prove[mark.args].add(item.nodeid)
        if BEGAN in os.environ:
            gone = set() if EVERYTHING else set(filter(_is_left_out, items))
            items[:] = sorted((item for item in items if item not in gone), key=_turn)
            if gone:
                self._config.hook.pytest_deselected(items=list(gone))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what passes; write down when all tests of some files have. One process runs all of them."""
        name = name_of(report.nodeid)
        for paths, names in self._to_prove.items():
            if report.when == "call" and report.passed and name in names:
                names.remove(name)
                if not names:
                    cache.kept(_proof_of(paths), lambda path: path.write_text("passed"))


def _is_left_out(item: pytest.Item) -> bool:
    proved = item.get_closest_marker("proved_for")
    if item.get_closest_marker("test_all") is not None:
        return True
    return proved is not None and cache.is_whole(_proof_of(proved.args))


@functools.cache
def _proof_of(paths: tuple[str, ...]) -> str:
    """Return the name under which the cache keeps that some files passed."""
    digest = hashlib.sha256()
    for path in paths:
        there = sorted((ROOT / path).rglob("*")) if (ROOT / path).is_dir() else [ROOT / path]
        for file in there:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return f"proved-{digest.hexdigest()[:16]}"


def _turn(item: pytest.Item) -> tuple[int, float, str]:
    """Return what sorts tests: groups that wait, then modules by their cost; within a module the order stays."""
    mark = item.get_closest_marker("xdist_group")
    group = str(mark.args[0]) if mark else ""
    module = module_of(item.nodeid)
    waits = WAITING.index(group) if group in WAITING else len(WAITING)
    return waits, 0.0 if group in WAITING else -BUDGET_S.get(module, 0.0), module
