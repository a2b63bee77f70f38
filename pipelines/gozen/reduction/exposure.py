"""Many sensors at once: a pool of worker processes, each sensor's result as it comes, nothing lost with a worker."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from gozen.archive.commit import read_commit
from gozen.errors import WorkerLost, as_gozen_error
from gozen.reduction.work import Bench, SensorResult, SensorWork

log = logging.getLogger(__name__)
OpenBench = Callable[[], Bench]

_bench: Bench | None = None


def reduce_all(works: Sequence[SensorWork], open_bench: OpenBench, workers: int) -> Iterator[SensorResult]:
    """Reduce sensors in worker processes, those first that come first.

    A sensor that was committed before is passed on without work. When a worker dies, the sensors that were under way
    are tried once more, each in a process of its own, so that only the one that kills its worker is lost.

    Parameters
    ----------
    works
        What is to be reduced.
    open_bench
        Opens archive, profile and reference catalogue; called once in each process, and picklable.
    workers
        Number of processes.

    Yields
    ------
    Each sensor's result as it is finished.

    Raises
    ------
    KeyboardInterrupt
        After the workers are stopped; what they committed stays.
    """
    bench = open_bench()
    waiting = []
    for work in works:
        done = read_commit(bench.store, work.processing, work.sensor)
        if done is None:
            waiting.append(work)
        else:
            yield SensorResult(work, done, skipped=True)
    lost: list[SensorWork] = []
    yield from _in_pool(waiting, open_bench, min(workers, len(waiting)), lost)
    for work in lost:
        log.warning("a worker was lost; sensor %s of %s is tried once more", work.sensor, work.processing.folder)
        again: list[SensorWork] = []
        yield from _in_pool([work], open_bench, 1, again)
        if again:
            yield SensorResult(work, None, _lost(work))


def _in_pool(
    works: Sequence[SensorWork], open_bench: OpenBench, workers: int, lost: list[SensorWork]
) -> Iterator[SensorResult]:
    if not works:
        return
    # A fresh interpreter in each worker: threads of the parent (progress bar, storage) do not survive a fork.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (open_bench,))
    pending: dict[Future[SensorResult], SensorWork] = {}
    try:
        pending = {pool.submit(_reduce_here, work): work for work in works}
        while pending:
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                work = pending.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    lost.append(work)
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


def _reduce_here(work: SensorWork) -> SensorResult:
    from gozen.reduction.sensor import reduce_sensor  # the compiled code loads in the workers only

    assert _bench is not None
    try:
        return SensorResult(work, reduce_sensor(work, _bench))
    except Exception as error:
        named = as_gozen_error(error)
        log.debug("sensor %s of %s failed", work.sensor, work.processing.folder, exc_info=error)
        return SensorResult(work, None, type(named)(str(named)))


def _lost(work: SensorWork) -> WorkerLost:
    return WorkerLost(
        f"the worker that reduced sensor {work.sensor} of {work.processing.folder} was killed by a signal, twice; "
        "it may need more memory: use fewer --workers and run again"
    )
