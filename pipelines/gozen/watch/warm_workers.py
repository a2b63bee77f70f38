"""Worker processes that stay warm: tasks are handed over one by one, results come when they are ready."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from gozen.errors import GozenError, WorkerLost
from gozen.reduction.process_pool import OpenBench, call_task, end_pool, start_worker
from gozen.reduction.sensor_work import SharedInputs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Task:
    name: Hashable
    do: Callable[[Any, SharedInputs], Any]
    what: Any
    tries: int = 0


class WarmPool:
    """Processes that open the bench once and then work until they are stopped.

    When one dies, what was under way is tried once more, each task alone, so that only the one that kills its worker
    ends as `WorkerLost`.

    Parameters
    ----------
    open_bench
        Opens archive, profile and reference catalogue in each process.
    workers
        Number of processes.
    """

    def __init__(self, open_bench: OpenBench, workers: int) -> None:
        self._open_bench, self._workers = open_bench, workers
        self._pool = self._new_pool()
        self._pending: dict[Future[Any], _Task] = {}
        self._suspects: deque[_Task] = deque()
        self._held_back: deque[_Task] = deque()

    def __len__(self) -> int:
        """Return the number of tasks that are not finished."""
        return len(self._pending) + len(self._suspects) + len(self._held_back)

    def submit(self, name: Hashable, do: Callable[[Any, SharedInputs], Any], what: Any) -> None:
        """Hand over a task: a function of a module, called with ``what`` and the process's bench."""
        self._held_back.append(_Task(name, do, what))
        self._feed()

    def finished(self, timeout_s: float, sleep: Callable[[float], None] = time.sleep) -> list[tuple[Any, Any]]:
        """Return names and results (or named errors) of what is finished; wait for the first, but not for ever."""
        if not self._pending:
            sleep(timeout_s)
            return []
        ready, _ = wait(self._pending, timeout=timeout_s, return_when=FIRST_COMPLETED)
        results, lost = [], []
        for future in ready:
            task = self._pending.pop(future)
            try:
                results.append((task.name, future.result()))
            except BrokenProcessPool:
                lost.append(task)
        if lost:
            results += self._after_loss([*lost, *self._pending.values()])
        self._feed()
        return results

    def stop(self) -> None:
        """End the processes at once; what they committed stays."""
        end_pool(self._pool)

    def _new_pool(self) -> ProcessPoolExecutor:
        # A fresh interpreter in each worker: locks that the parent holds do not survive a fork.
        return ProcessPoolExecutor(self._workers, get_context("spawn"), start_worker, (self._open_bench,))

    def _after_loss(self, lost: list[_Task]) -> list[tuple[Any, GozenError]]:
        log.warning("a worker was lost; what was under way is tried once more")
        self._pending.clear()
        end_pool(self._pool)
        self._pool = self._new_pool()
        again = [_Task(one.name, one.do, one.what, one.tries + 1) for one in lost]
        self._suspects += [one for one in again if one.tries < 2]
        gone = "the worker process was killed by a signal, twice; it may need more memory: use fewer --workers"
        return [(one.name, WorkerLost(gone)) for one in again if one.tries >= 2]

    def _feed(self) -> None:
        while self._suspects or self._held_back:
            if self._pending and (self._suspects or any(task.tries for task in self._pending.values())):
                return
            queue = self._suspects or self._held_back
            task = queue[0]
            with contextlib.suppress(BrokenProcessPool):
                self._pending[self._pool.submit(call_task, task.do, task.what)] = task
                queue.popleft()
                continue
            end_pool(self._pool)
            self._pool = self._new_pool()
