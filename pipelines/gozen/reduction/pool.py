"""A pool of worker processes that each open the bench once: results as they come, and nothing lost with a worker."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from gozen.errors import GozenError, WorkerLost, as_gozen_error
from gozen.reduction.work import Bench

log = logging.getLogger(__name__)
OpenBench = Callable[[], Bench]
Task = TypeVar("Task")
Result = TypeVar("Result")

_bench: Bench | None = None


def run_all(
    tasks: Sequence[Task], do: Callable[[Task, Bench], Result], open_bench: OpenBench, workers: int
) -> Iterator[tuple[Task, Result | GozenError]]:
    """Do tasks in worker processes, those first that come first.

    When a worker dies, the tasks that were under way are tried once more, each in a process of its own, so that only
    the one that kills its worker is lost.

    Parameters
    ----------
    tasks
        Picklable.
    do
        A function of a module, called with a task and the process's bench.
    open_bench
        Opens archive, profile and reference catalogue; called once in each process.
    workers
        Number of processes.

    Yields
    ------
    Each task with its result, or with the named error that it ended in.

    Raises
    ------
    KeyboardInterrupt
        After the workers are stopped; what they committed stays.
    """
    lost: list[Task] = []
    yield from _in_pool(tasks, do, open_bench, min(workers, len(tasks)), lost)
    for task in lost:
        log.warning("a worker was lost; what it did is tried once more")
        again: list[Task] = []
        yield from _in_pool([task], do, open_bench, 1, again)
        if again:
            yield (
                task,
                WorkerLost(
                    "the worker process was killed by a signal, twice; it may need more memory: "
                    "use fewer --workers and run again"
                ),
            )


def _in_pool(
    tasks: Sequence[Task],
    do: Callable[[Task, Bench], Result],
    open_bench: OpenBench,
    workers: int,
    lost: list[Task],
) -> Iterator[tuple[Task, Result | GozenError]]:
    if not tasks:
        return
    # A fresh interpreter in each worker: threads of the parent (progress bar, storage) do not survive a fork.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (open_bench,))
    try:
        pending: dict[Future[Result | GozenError], Task] = {pool.submit(_call, do, task): task for task in tasks}
        while pending:
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                task = pending.pop(future)
                try:
                    yield task, future.result()
                except BrokenProcessPool:
                    lost.append(task)
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(open_bench: OpenBench) -> None:
    global _bench
    # Ctrl-C reaches the whole group; the parent decides and stops its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The pool is the parallelism; threads inside a worker would only fight over its core.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    _bench = open_bench()


def _call(do: Callable[[Task, Bench], Result], task: Task) -> Result | GozenError:
    assert _bench is not None
    try:
        return do(task, _bench)
    except Exception as error:
        named = as_gozen_error(error)
        log.debug("a task failed", exc_info=error)
        return type(named)(str(named))
