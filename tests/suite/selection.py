"""A pytest plugin that chooses and orders the tests of a run.

Left out of ``make test`` is what bears the mark ``test_all``, with its reason, and what bears ``proved_for`` while the
files that it names are as they were when it passed. Groups that mostly wait begin first, then what costs most.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.effort import BUDGET_S, EVERYTHING

from . import cache
from .clock import BEGAN, say
from .times import module_of

ROOT = Path(__file__).parents[2]
WAITING = ("node", "api")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out and sort."""
    gone = [item for item in items if not EVERYTHING and _is_left_out(item)]
    if gone:
        items[:] = [item for item in items if item not in set(gone)]
        config.hook.pytest_deselected(items=gone)
    if BEGAN in os.environ:
        items.sort(key=_turn)
    if gone and "PYTEST_XDIST_WORKER" not in os.environ:
        say(f"{len(gone)} tests are left to make test-all, as docs/contribute/tests.md says")


@contextmanager
def proof(request: pytest.FixtureRequest, *paths: str) -> Iterator[None]:
    """Write down that the tests of a module pass for some files, if none of them fails."""
    before = request.session.testsfailed
    yield
    if request.session.testsfailed == before:
        cache.kept(_proof_of(paths), lambda path: path.write_text("passed"))


def _is_left_out(item: pytest.Item) -> bool:
    if item.get_closest_marker("test_all"):
        return True
    proved = item.get_closest_marker("proved_for")
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
