"""A pool that gets tasks one by one, as in a watch: results as they come, named errors, workers that die.

The processes and signals are real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gozen.errors import Bug, GozenError, WorkerLost
from gozen.reduction.process_pool import WorkerPool

from .test_pool import open_shared_inputs, work


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[WorkerPool]:
    made = WorkerPool(partial(open_shared_inputs, tmp_path), 2)
    yield made
    made.stop()


def drain(pool: WorkerPool, after: Callable[[], None] = lambda: None) -> dict[Any, int | GozenError]:
    found: dict[Any, int | GozenError] = {}
    while len(pool):
        found |= dict(pool.finished(1.0))
        after()
    return found


def test_tasks_come_one_by_one_and_results_when_they_are_ready(pool: WorkerPool) -> None:
    more = [20, 21, 22]

    def add() -> None:
        if more:
            pool.submit(more[0], work, more.pop(0))

    for task in (1, 2, 13):
        pool.submit(task, work, task)
    found = drain(pool, add)
    assert isinstance(found.pop(13), Bug)
    assert found == {1: 1, 2: 4, 20: 400, 21: 441, 22: 484}


def test_only_the_task_that_kills_its_worker_is_lost(pool: WorkerPool) -> None:
    for task in (1, 2, 9, 3, 5):
        pool.submit(task, work, task)
    found = drain(pool)
    assert {task: result for task, result in found.items() if task != 9} == {1: 1, 2: 4, 3: 9, 5: 25}
    assert isinstance(found[9], WorkerLost)
    pool.submit(7, work, 7)
    assert drain(pool) == {7: 49}


def test_a_worker_that_dies_once_is_made_good(pool: WorkerPool) -> None:
    pool.submit(6, work, 6)
    assert drain(pool) == {6: 36}


def test_nothing_to_do_is_waited_for_by_the_given_sleep(pool: WorkerPool) -> None:
    slept: list[float] = []
    assert pool.finished(3.0, slept.append) == []
    assert slept == [3.0]
