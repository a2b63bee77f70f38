"""The pool of workers: results as they come, named errors, workers that die.

The processes and signals are real. Not covered: the reduction of sensors in the workers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from gozen.archive.stores.open_store import open_store
from gozen.errors import Bug, CorruptFile, GozenError, StorageUnavailable, WorkerLost
from gozen.instrument.profile import load_profile
from gozen.reduction.process_pool import run_all
from gozen.reduction.sensor_work import SharedInputs
from gozen.settings import Settings


def open_shared_inputs(folder: Path) -> SharedInputs:
    return SharedInputs(open_store(folder), load_profile("tomoe"), Settings())


def open_nothing(folder: Path) -> SharedInputs:
    """Find the storage away, but for the third time."""
    tries = len(list(folder.iterdir()))
    (folder / f"{tries}").touch()
    if tries < 2:
        raise StorageUnavailable("the storage is away")
    return open_shared_inputs(folder)


def work(task: int, shared: SharedInputs) -> int:
    """Square a number; some numbers are trouble."""
    if task == 13:
        raise ZeroDivisionError("thirteen")
    if task == 4:
        raise CorruptFile("four is no good")
    if task == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    if task == 6 and shared.store.create("seen", b""):
        os.kill(os.getpid(), signal.SIGKILL)
    return task**2


def done(tasks: list[int], folder: Path, workers: int = 2) -> dict[int, int | GozenError]:
    return dict(run_all(tasks, work, partial(open_shared_inputs, folder), workers))


def test_every_task_has_its_result(tmp_path: Path) -> None:
    assert done([1, 2, 3, 5], tmp_path) == {1: 1, 2: 4, 3: 9, 5: 25}


def test_nothing_to_do_starts_nothing(tmp_path: Path) -> None:
    assert done([], tmp_path) == {}


def test_an_error_is_the_task_s_result_under_its_name(tmp_path: Path) -> None:
    found = done([1, 4, 13], tmp_path)
    assert found[1] == 1
    assert isinstance(found[4], CorruptFile)
    assert str(found[4]) == "four is no good"
    assert isinstance(found[13], Bug)
    assert "ZeroDivisionError: thirteen" in str(found[13])


def test_only_the_task_that_kills_its_worker_is_lost(tmp_path: Path) -> None:
    found = done([1, 2, 9, 3, 5], tmp_path)
    assert {task: result for task, result in found.items() if task != 9} == {1: 1, 2: 4, 3: 9, 5: 25}
    assert isinstance(found[9], WorkerLost)
    assert found[9].exit_code == 75
    assert "--workers" in str(found[9])


def test_a_worker_that_dies_once_is_made_good(tmp_path: Path) -> None:
    assert done([6, 1], tmp_path, workers=1) == {6: 36, 1: 1}


def test_a_worker_that_cannot_begin_says_why_and_tries_again(tmp_path: Path) -> None:
    found = dict(run_all([1, 2, 3], work, partial(open_nothing, tmp_path), workers=1))
    assert isinstance(found.pop(1), StorageUnavailable)
    assert found == {2: 4, 3: 9}


def meet(task: int, shared: SharedInputs) -> bool:
    """Kill the worker (0) while the other is at work (1), return at once (2 and 3), or wait for another like this."""
    if task == 1 and shared.store.create("at work", b""):
        time.sleep(60)
    while task == 0:
        if shared.store.exists("at work"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
    until = time.monotonic() + 15
    shared.store.create(f"waiting/{task}", b"")
    while task > 3 and time.monotonic() < until:
        if len(shared.store.list("waiting")) >= 5:  # 1 to 3, this one and another
            return True
        time.sleep(0.05)
    if task > 3:
        shared.store.delete(f"waiting/{task}")
    return False


def test_only_what_was_under_way_is_tried_alone_after_a_death(tmp_path: Path) -> None:
    found = dict(run_all(range(6), meet, partial(open_shared_inputs, tmp_path), 2))
    assert isinstance(found.pop(0), WorkerLost)
    assert found == {1: False, 2: False, 3: False, 4: True, 5: True}


@pytest.mark.timeout(60)
def test_a_worker_that_does_not_answer_at_the_end_is_not_waited_for(tmp_path: Path) -> None:
    results = run_all([1, 2, 3], work, partial(open_shared_inputs, tmp_path), 2)
    found = dict(next(results) for _ in range(3))
    idle = multiprocessing.active_children()[0]
    os.kill(idle.pid, signal.SIGSTOP)  # it may hold the lock of the queue, as one does that was killed
    assert list(results) == []
    assert found == {1: 1, 2: 4, 3: 9}
    assert multiprocessing.active_children() == []
