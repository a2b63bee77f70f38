"""A pool of worker processes that each open the bench once: results as they come, and nothing lost with a worker."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TypeVar

from gozen.errors import GozenError, WorkerLost, as_gozen_error
from gozen.reduction.buffers import keep_freed_memory
from gozen.reduction.sensor_work import SharedInputs

log = logging.getLogger(__name__)
OpenBench = Callable[[], SharedInputs]
Task = TypeVar("Task")
Result = TypeVar("Result")

_bench: SharedInputs | None = None
_open_bench: OpenBench | None = None


def run_all(
    tasks: Sequence[Task], do: Callable[[Task, SharedInputs], Result], open_bench: OpenBench, workers: int
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
    do: Callable[[Task, SharedInputs], Result],
    open_bench: OpenBench,
    workers: int,
    lost: list[Task],
) -> Iterator[tuple[Task, Result | GozenError]]:
    if not tasks:
        return
    # A fresh interpreter in each worker: threads of the parent (progress bar, storage) do not survive a fork.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), start_worker, (open_bench,))
    try:
        pending: dict[Future[Result | GozenError], Task] = {pool.submit(call_task, do, task): task for task in tasks}
        while pending:
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in [one for one in pending if one in finished]:  # a set has no order that a person expects
                task = pending.pop(future)
                try:
                    yield task, future.result()
                except BrokenProcessPool:
                    lost.append(task)
    finally:
        end_pool(pool)


def end_pool(pool: ProcessPoolExecutor) -> None:
    """End the workers of a pool at once; what they committed stays.

    They are not asked to end by themselves: one that is killed at that moment keeps the lock of the queue, the others
    never hear of the end, and Python would wait for them for ever.
    """
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)


def start_worker(open_bench: OpenBench) -> None:
    """Make a new process a worker: it opens the bench, leaves Ctrl-C to its parent, and ends with it."""
    global _bench, _open_bench
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Ctrl-C reaches the whole group; the parent decides and stops its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The pool is the parallelism; threads inside a worker would only fight over its core.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    keep_freed_memory()
    _open_bench = open_bench
    # A worker that cannot begin would count as killed; the first task tries again and says what is wrong.
    with contextlib.suppress(Exception):
        _bench = open_bench()


def _end_with_parent() -> None:
    # A parent that was killed tells nobody, and its workers would wait for work for ever.
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def call_task(do: Callable[[Task, SharedInputs], Result], task: Task) -> Result | GozenError:
    """Do a task in a worker, with its bench; an exception comes back under its name."""
    global _bench
    assert _open_bench is not None
    try:
        _bench = _bench or _open_bench()
        return do(task, _bench)
    except Exception as error:
        named = as_gozen_error(error)
        log.debug("a task failed", exc_info=error)
        return type(named)(str(named))
