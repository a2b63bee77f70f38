"""Run tasks as futures on a Dask cluster, local or remote."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gozen.archive.stores.s3_environment import S3Variables
from gozen.errors import BadRequest, StorageUnavailable, WorkerLost
from gozen.quickdb.engines import KEPT_BYTES, adopt_environment, environment_for
from gozen.quickdb.work.result_bytes import Sent, received, sent
from gozen.quickdb.work.tasks import FAR_PATCHES, Block, Job, TaskResult
from gozen.worker_process import keep_freed_memory

AHEAD = 2
_SENT_BYTES = 256 * 1024
"""Bytes of the largest pickled program that is sent with each task; a larger one is sent once (Dask's `scatter`)."""

_CONNECT_S = 20
_COUNT_S = 1.0
"""Seconds for which the number of workers is cached."""
_ATTEMPTS = 5
_START_S = 120
_END_S = 3
_LESS = "read fewer columns, or return less from map, or use workers with more memory"
_MEMORY = f"the memory of the workers was used up: one task has ended each worker that ran it; {_LESS}"


class DaskEngine:
    """Runs tasks on a Dask cluster.

    Parameters
    ----------
    where
        A scheduler's address, a ``distributed.Client``, or None to start workers on this machine.
    workers
        Number of worker processes to start if `where` is None.

    Raises
    ------
    BadRequest
        If Dask is not installed.
    StorageUnavailable
        If no scheduler answers at the address.
    """

    least = FAR_PATCHES

    def __init__(self, where: Any, workers: int) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise BadRequest(f"the engine dask needs another package ({error}): pip install 'gozen[dask]'") from error
        self._own: list[Any] = []
        self._on_this_machine = where is None
        self._sent: tuple[str, Any] | None = None
        self._running: list[Any] = []
        if isinstance(where, Client):
            self._client = where
            return
        if where is None:
            from gozen.quickdb.engines.dask_cluster import cluster_of

            where = cluster_of(workers)
            self._own.append(where)
        try:
            self._client = _connected(Client, where)
        except OSError as error:
            raise StorageUnavailable(f"no Dask scheduler answers at {where!r}: {error}; check the address") from error
        self._own.insert(0, self._client)
        atexit.register(self.close)

    @property
    def workers(self) -> int:
        """Number of tasks that run at a time."""
        threads: dict[str, int] = self._client.nthreads()
        return max(sum(threads.values()), 1)

    def run(self, job: Job, tasks: Sequence[Sequence[Block]]) -> Iterator[TaskResult]:
        """Yield the result of each task as it finishes; see `gozen.quickdb.engines.Engine`."""
        from distributed import as_completed

        shared = self._shared(job)
        # Remote workers have credentials of their own; those of the caller must not reach them.
        ours = environment_for(job) if self._on_this_machine else None
        waiting = iter(tasks)
        pending = as_completed(loop=self._client.loop, with_results=True, raise_errors=False)
        self._running.append(pending)
        room = _Room(lambda: self.workers)
        try:
            # Not pure: two equal tasks would share a key, and cancelling one would cancel the other.
            for task in itertools.islice(waiting, room.take()):
                pending.add(self._client.submit(_do_task, shared, task, ours, pure=False))
            for future, result in pending:
                yield received(result if future.status == "finished" else self._result(future))
                room.give()
                for task in itertools.islice(waiting, room.take()):
                    pending.add(self._client.submit(_do_task, shared, task, ours, pure=False))
        finally:
            self._running.remove(pending)
            self._client.cancel(list(pending.futures), force=True)

    def call(self, job: Job, name: str, *arguments: Any) -> dict[str, Any]:
        """Call a method of the open job (such as `combine`) in a worker."""
        shared = self._shared(job)
        given = self._result(self._client.submit(_call, shared, name, arguments, pure=False))
        return received(given).blocks[0][1]

    def used(self) -> dict[str, dict[str, Any]]:
        """Return what each worker uses now, by its name: tasks, processor in per cent, memory in MB."""
        info = self._client.scheduler_info(n_workers=-1)["workers"]
        running = self._client.processing()
        return {
            str(one["name"]): {
                "tasks": len(running.get(address, ())),
                "processor_percent": round(one["metrics"]["cpu"]),
                "memory_mb": round(one["metrics"]["memory"] / 1e6),
            }
            for address, one in info.items()
        }

    def is_connected(self) -> bool:
        """Whether the client is still connected; without an answer of the scheduler, the client closes itself."""
        return bool(self._client.status == "running")

    def is_busy(self) -> bool:
        """Whether a worker has a task, of this or another client."""
        return any(self._client.processing().values())

    def give_up(self) -> None:
        """End the running jobs with the error `WorkerLost`; called from another thread."""
        for pending in list(self._running):
            self._client.cancel(list(pending.futures), force=True)

    def close(self) -> None:
        """Close the client, and stop the workers that this engine started, even if busy; other workers continue."""
        atexit.unregister(self.close)
        own, self._own = self._own, []
        for one in own:
            with contextlib.suppress(TimeoutError):
                one.close(timeout=_END_S)

    def _shared(self, job: Job) -> Any:
        """Wait for a first worker; return the job to send with each task, or a reference if the job is large."""
        try:
            if self._sent is None:
                self._client.wait_for_workers(1, _START_S)
            if len(job.program) <= _SENT_BYTES:
                self._sent = job.key, job
            elif self._sent is None or self._sent[0] != job.key:
                self._sent = job.key, self._client.scatter(job, broadcast=True, hash=False)
        except TimeoutError as error:
            raise WorkerLost(
                f"the Dask scheduler {self._client.scheduler.address} has no worker ({error}); start at least one"
            ) from error
        return self._sent[1]

    def _result(self, future: Any) -> Sent:
        from distributed import CancelledError, KilledWorker

        try:
            found: Sent = future.result()
        except KilledWorker as error:
            raise WorkerLost(
                _MEMORY if self._is_short_of_memory(error.last_worker.address) else _lost(error)
            ) from error
        except CancelledError as error:
            raise WorkerLost(_lost(error)) from error
        except Exception as error:  # errors of the task itself are in its result
            raise BadRequest(
                f"a Dask worker cannot run the task ({type(error).__name__}: {error}); install the same gozen and the "
                "same Python in the worker as in this process"
            ) from error
        return found

    def _is_short_of_memory(self, worker: str) -> bool:
        """Return whether Dask has ended a worker that used up its memory; False if the scheduler cannot be asked."""
        with contextlib.suppress(OSError, TimeoutError):
            ended = self._client.get_events("worker-restart-memory")
            return any(event["worker"] == worker for _, event in ended)
        return False


class _Room:
    """The number of tasks that may still be submitted; it grows when workers start while a job runs.

    Parameters
    ----------
    workers
        Returns the number of workers; it asks the scheduler, so it is not called for each task.
    """

    def __init__(self, workers: Callable[[], int]) -> None:
        self._workers = workers
        self._taken = 0
        self._known = 0
        self._known_at = 0.0

    def take(self) -> int:
        """Return the number of tasks to submit now."""
        now = time.monotonic()
        if not self._known or now - self._known_at > _COUNT_S:
            self._known, self._known_at = self._workers(), now
        free = max(AHEAD * self._known - self._taken, 0)
        self._taken += free
        return free

    def give(self) -> None:
        """Note that a task has finished."""
        self._taken -= 1


def _lost(error: Exception) -> str:
    return (
        f"a Dask worker was lost ({error}). Perhaps its memory was used up: {_LESS}. Or the function has ended the "
        "process of the worker, for example with os._exit"
    )


def _connected(client: Callable[..., Any], where: Any) -> Any:
    """Return a client of a scheduler.

    Dask expects one message at the start, and fails by an assertion if the scheduler sends another one in the same
    packet, such as the news of a worker that joins at this moment. The next attempt connects.
    """
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(AssertionError):
            return client(where, timeout=_CONNECT_S, set_as_default=False)
    return client(where, timeout=_CONNECT_S, set_as_default=False)


def _do_task(job: Job, task: Sequence[Block], ours: S3Variables | None) -> Sent:
    from gozen.quickdb.work.worker import do_task

    keep_freed_memory(KEPT_BYTES)
    adopt_environment(ours)
    return sent(lambda: do_task(job, task), task)


def _call(job: Job, name: str, arguments: tuple[Any, ...]) -> Sent:
    from gozen.quickdb.work.worker import called

    return sent(lambda: called(job, name, arguments))
