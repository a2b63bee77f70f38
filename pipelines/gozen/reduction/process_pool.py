"""A pool of warm worker processes: results as they come; a lost worker loses no task.

What happens inside a worker is in `gozen.reduction.pool_worker`. QuickDB has workers of its own (decision 0039).
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any, TypeVar

from gozen.errors import GozenError, WorkerLost
from gozen.reduction.pool_worker import OpenInputs, call_task, start_worker
from gozen.reduction.sensor_work import SharedInputs

log = logging.getLogger(__name__)
Task = TypeVar("Task")
Result = TypeVar("Result")

_UNDER_WAY = 2
"""Tasks for each worker that its pool has: one at work, one that waits. All of them are suspects when a worker dies."""

_TRIES = 2
"""The first death may be due to a task beside it; at the second it was alone."""
_LOST = "the worker process was killed by a signal, twice; it may need more memory: use fewer --workers and run again"


@dataclass(frozen=True)
class _PoolTask:
    name: Hashable
    do: Callable[[Any, SharedInputs], Any]
    what: Any
    tries: int = 0


class WorkerPool:
    """Processes that open the shared once and then work until they are stopped.

    When one dies, what was under way is tried once more, each task alone, so that only the one that kills its worker
    ends as `WorkerLost`.

    Parameters
    ----------
    open_shared_inputs
        Opens archive, profile and reference catalogue; called once in each process.
    workers
        Number of processes.
    """

    def __init__(self, open_shared_inputs: OpenInputs, workers: int) -> None:
        self._open_shared_inputs, self.workers = open_shared_inputs, workers
        self._pool = self._new_pool()
        self._pending: dict[Future[Any], _PoolTask] = {}
        self._suspects: deque[_PoolTask] = deque()
        self._queued: deque[_PoolTask] = deque()

    def __len__(self) -> int:
        """Return the number of tasks that are not finished."""
        return len(self._pending) + len(self._suspects) + len(self._queued)

    def submit(self, name: Hashable, do: Callable[[Any, SharedInputs], Any], what: Any) -> None:
        """Hand over a task: a function of a module, called with ``what`` (picklable) and the process's shared."""
        self._queued.append(_PoolTask(name, do, what))
        self._feed()

    def finished(
        self, timeout_s: float | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> list[tuple[Any, Any]]:
        """Return names and results (or named errors) of what is finished; wait for the first, at most ``timeout_s``.

        Tasks that end at the same time come in the order in which they were started.
        """
        if not self._pending:
            sleep(timeout_s or 0.0)
            return []
        ready, _ = wait(self._pending, timeout=timeout_s, return_when=FIRST_COMPLETED)
        results, lost = [], []
        for future in [one for one in self._pending if one in ready]:  # a set has no order that a person expects
            task = self._pending.pop(future)
            try:
                results.append((task.name, future.result()))
            except BrokenProcessPool:
                lost.append(task)
        if lost:
            # A broken pool fails all that was under way, and does not say whose worker died.
            results += self._after_loss([*lost, *self._pending.values()])
        self._feed()
        return results

    def stop(self) -> None:
        """End the processes at once; what they committed stays.

        They are not asked to end by themselves: one that is killed at that moment keeps the lock of the queue, the
        others never hear of the end, and Python would wait for them for ever.
        """
        for process in list((self._pool._processes or {}).values()):
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        # A fresh interpreter in each worker: threads and locks of the parent do not survive a fork.
        begin = self._open_shared_inputs, os.getpid()
        return ProcessPoolExecutor(self.workers, get_context("spawn"), start_worker, begin)

    def _replace_pool(self) -> None:
        self.stop()
        self._pool = self._new_pool()

    def _after_loss(self, lost: list[_PoolTask]) -> list[tuple[Any, GozenError]]:
        log.warning("a worker was lost; what was under way is tried once more")
        self._pending.clear()
        self._replace_pool()
        again = [replace(one, tries=one.tries + 1) for one in lost]
        self._suspects += [one for one in again if one.tries < _TRIES]
        return [(one.name, WorkerLost(_LOST)) for one in again if one.tries >= _TRIES]

    def _feed(self) -> None:
        """Start what may be started: a suspect alone, else so many tasks that every worker has one and the next."""
        while self._suspects or self._queued:
            is_suspect_under_way = any(task.tries for task in self._pending.values())
            if self._pending and (self._suspects or is_suspect_under_way):
                return
            if len(self._pending) >= _UNDER_WAY * self.workers:
                return
            queue = self._suspects or self._queued
            task = queue[0]
            # A worker may die between two tasks: the pool is broken before anybody waits for a result of it.
            with contextlib.suppress(BrokenProcessPool):
                self._pending[self._pool.submit(call_task, task.do, task.what)] = task
                queue.popleft()
                continue
            self._replace_pool()


def run_all(
    tasks: Sequence[Task], do: Callable[[Task, SharedInputs], Result], open_shared_inputs: OpenInputs, workers: int
) -> Iterator[tuple[Task, Result | GozenError]]:
    """Do tasks in worker processes, those first that come first.

    Parameters
    ----------
    tasks
        Picklable.
    do
        A function of a module, called with a task and the process's shared.
    open_shared_inputs, workers
        As for `WorkerPool`.

    Yields
    ------
    Each task with its result, or with the named error that it ended in.

    Raises
    ------
    KeyboardInterrupt
        After the workers are stopped; what they committed stays.
    """
    if not tasks:
        return
    pool = WorkerPool(open_shared_inputs, min(workers, len(tasks)))
    try:
        for number, task in enumerate(tasks):
            pool.submit(number, do, task)
        while len(pool):
            for number, result in pool.finished():
                yield tasks[number], result
    finally:
        pool.stop()
