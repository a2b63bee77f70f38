"""Run tasks in worker processes on this machine that are reused for later jobs."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from loky import ProcessPoolExecutor
from loky.process_executor import BrokenProcessPool

from gozen.archive.stores.s3_environment import S3Variables
from gozen.errors import WorkerLost
from gozen.quickdb.engines import KEPT_BYTES, adopt_environment, environment_for
from gozen.quickdb.work.result_bytes import Sent, received
from gozen.quickdb.work.tasks import Block, Job, TaskResult
from gozen.worker_process import begin_worker

AHEAD = 2
"""Tasks per worker that run or wait: more would fill the memory with results that are not read yet."""

_PATIENCE_S = 1.0

_job: tuple[str, Job] | None = None


class LocalEngine:
    """Runs tasks in a pool of processes; scripts need no ``if __name__ == "__main__"``.

    Parameters
    ----------
    workers
        Number of processes.
    """

    least = 1

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._unawaited: set[Future[Sent]] = set()

    def start(self) -> None:
        """Start the workers without waiting for them, so that they are ready for the first job."""
        for _ in range(self.workers):
            self._opened().submit(_ready)

    def run(self, job: Job, tasks: Sequence[Sequence[Block]]) -> Iterator[TaskResult]:
        """Yield the result of each task as it finishes; see `gozen.quickdb.engines.Engine`."""
        self._end_what_nobody_awaits()
        path, ours = str(self._file_of(job)), environment_for(job)
        waiting = iter(tasks)
        pending: set[Future[Sent]] = set()
        try:
            while True:
                for task in itertools.islice(waiting, AHEAD * self.workers - len(pending)):
                    pending.add(self._opened().submit(_do_task, job.key, path, task, ours))
                if not pending:
                    return
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield received(future.result())
        except BrokenProcessPool as error:
            self.close()
            raise WorkerLost(_LOST) from error
        except KeyboardInterrupt:
            self.close()  # otherwise tasks would run on without a caller
            raise
        finally:
            # A caller that stops early leaves tasks running: the next job must not wait for them.
            self._unawaited = {future for future in pending if not future.cancel()}

    def call(self, job: Job, name: str, *arguments: Any) -> dict[str, Any]:
        """Call a method of the open job (such as `combine`) in a worker."""
        try:
            future = self._opened().submit(_call, job.key, str(self._file_of(job)), name, arguments)
            return received(future.result()).blocks[0][1]
        except BrokenProcessPool as error:
            self.close()
            raise WorkerLost(_LOST) from error

    def close(self) -> None:
        """Stop the workers immediately, without waiting for their tasks."""
        pool, self._pool, self._unawaited = self._pool, None, set()
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=True)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _opened(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # No timeout of loky: it would end idle workers, and the next job would have to start new ones.
            self._pool = ProcessPoolExecutor(
                self.workers, timeout=None, initializer=begin_worker, initargs=(os.getpid(), KEPT_BYTES)
            )
            self._pool.submit(_ready)
            # The pool's exit hook waits for all running tasks. The hook that was added last is called first: this one.
            threading._register_atexit(self.close)  # type: ignore[attr-defined]
        return self._pool

    def _end_what_nobody_awaits(self) -> None:
        """Wait a moment for the tasks of an abandoned job; then stop the workers, because the tasks may never end."""
        if wait(self._unawaited, timeout=_PATIENCE_S).not_done:
            self.close()
        self._unawaited = set()

    def _file_of(self, job: Job) -> Path:
        """Return the file with the pickled job, which each worker reads once, even if its shared data are large."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="gozen-quickdb-")
        path = Path(self._folder.name) / job.key
        if not path.exists():
            path.write_bytes(pickle.dumps(job, protocol=5))
            weakref.finalize(job, path.unlink, missing_ok=True)  # not sooner: two jobs may alternate
        return path


_LOST = (
    "a worker process ended before its task was done. Perhaps it was killed because its memory was used up: return "
    "less from map, or use fewer workers with connect(workers=...). Or the function ended the process, for example "
    "with os._exit"
)


def _ready() -> None:
    """Import the modules that a task needs."""
    with contextlib.suppress(ImportError):
        import gozen.quickdb.work.worker  # noqa: F401 only to have it


def _opened_job(key: str, path: str) -> Job:
    global _job
    if _job is None or _job[0] != key:
        _job = key, pickle.loads(Path(path).read_bytes())  # noqa: S301 the user's own process wrote it
    return _job[1]


def _do_task(key: str, path: str, task: Sequence[Block], ours: S3Variables | None) -> Sent:
    from gozen.quickdb.work.result_bytes import sent
    from gozen.quickdb.work.worker import do_task

    adopt_environment(ours)
    return sent(lambda: do_task(_opened_job(key, path), task), task)


def _call(key: str, path: str, name: str, arguments: tuple[Any, ...]) -> Sent:
    from gozen.quickdb.work.result_bytes import sent
    from gozen.quickdb.work.worker import called

    return sent(lambda: called(_opened_job(key, path), name, arguments))
