"""Run tasks in a pool of persistent worker processes; the tasks of a killed worker are tried again.

The worker's side is in `gozen.reduction.pool_worker`. QuickDB has separate workers (decision 0039).
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
"""Tasks that the pool gets per worker: one runs, one waits. If a worker dies, any of them may be the cause."""

_TRIES = 2
"""Attempts per task: at the first, another task may have killed the worker; at the second, the task runs alone."""
_LOST = (
    "the worker process was killed by a signal, twice, probably because the memory was used up: use fewer --workers "
    "and run again"
)


@dataclass(frozen=True)
class _PoolTask:
    name: Hashable
    do: Callable[[Any, SharedInputs], Any]
    what: Any
    tries: int = 0


class WorkerPool:
    """Processes that open the shared inputs once and then run tasks until they are stopped.

    If a process dies, the tasks in progress are tried once more, one at a time. Only a task whose worker dies again
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
        """Queue a task: ``do``, a module-level function, is called with ``what`` (picklable) and the shared inputs."""
        self._queued.append(_PoolTask(name, do, what))
        self._feed()

    def finished(
        self, timeout_s: float | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> list[tuple[Any, Any]]:
        """Return (name, result or named error) of each finished task; wait for the first one at most ``timeout_s``.

        Tasks that are finished at the same call are returned in the order in which they were started.
        """
        if not self._pending:
            sleep(timeout_s or 0.0)
            return []
        ready, _ = wait(self._pending, timeout=timeout_s, return_when=FIRST_COMPLETED)
        results, lost = [], []
        for future in [one for one in self._pending if one in ready]:  # `ready` is a set, without an order
            task = self._pending.pop(future)
            try:
                results.append((task.name, future.result()))
            except BrokenProcessPool:
                lost.append(task)
        if lost:
            # A broken pool fails all tasks under way, and does not report which one's worker died.
            results += self._after_loss([*lost, *self._pending.values()])
        self._feed()
        return results

    def stop(self) -> None:
        """Kill the processes immediately; their commits remain in the archive.

        A clean shutdown could block without end: if a process is killed during it, it keeps the lock of the task queue,
        and the others never receive the request to end.
        """
        for process in list((self._pool._processes or {}).values()):
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        # Spawned, not forked: the parent's threads do not exist after a fork, and locks that they held stay locked.
        begin = self._open_shared_inputs, os.getpid()
        return ProcessPoolExecutor(self.workers, get_context("spawn"), start_worker, begin)

    def _replace_pool(self) -> None:
        self.stop()
        self._pool = self._new_pool()

    def _after_loss(self, lost: list[_PoolTask]) -> list[tuple[Any, GozenError]]:
        log.warning("a worker process was lost, probably because the memory was used up; its tasks are tried once more")
        self._pending.clear()
        self._replace_pool()
        again = [replace(one, tries=one.tries + 1) for one in lost]
        self._suspects += [one for one in again if one.tries < _TRIES]
        return [(one.name, WorkerLost(_LOST)) for one in again if one.tries >= _TRIES]

    def _feed(self) -> None:
        """Submit tasks to the pool: as many as it may have, or one alone if that may have killed a worker.

        Tasks of a lost worker (`_suspects`) come first, one at a time; then queued tasks, `_UNDER_WAY` per worker.
        """
        while self._suspects or self._queued:
            is_suspect_under_way = any(task.tries for task in self._pending.values())
            if self._pending and (self._suspects or is_suspect_under_way):
                return
            if len(self._pending) >= _UNDER_WAY * self.workers:
                return
            queue = self._suspects or self._queued
            task = queue[0]
            # A worker may die between two tasks: then `submit` fails, because the pool is already broken.
            with contextlib.suppress(BrokenProcessPool):
                self._pending[self._pool.submit(call_task, task.do, task.what)] = task
                queue.popleft()
                continue
            self._replace_pool()


def run_all(
    tasks: Sequence[Task], do: Callable[[Task, SharedInputs], Result], open_shared_inputs: OpenInputs, workers: int
) -> Iterator[tuple[Task, Result | GozenError]]:
    """Run tasks in worker processes, in the order given.

    Parameters
    ----------
    tasks
        Values that can be pickled; a worker is called with each.
    do
        A module-level function, called with a task and the shared inputs of the process.
    open_shared_inputs, workers
        As for `WorkerPool`.

    Yields
    ------
    Each finished task with its result or its named error.

    Raises
    ------
    KeyboardInterrupt
        Raised after the workers are stopped; their commits remain in the archive.
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
