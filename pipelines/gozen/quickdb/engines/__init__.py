"""Where tasks run: worker processes of this machine, Dask, or, to debug, this process. One interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from gozen.quickdb.jobs import Block, Job, TaskResult


class Engine(Protocol):
    """Runs tasks; what a block gives does not depend on which engine it was, nor on its workers."""

    least: int
    """Patches that a task should have, so that what it takes to send it is little beside the work."""

    @property
    def workers(self) -> int:
        """How many tasks run at a time."""

    def run(self, job: Job, tasks: Sequence[Sequence[Block]]) -> Iterator[TaskResult]:
        """Yield the results of each task as it finishes; few more are under way than there are workers.

        Raises
        ------
        WorkerLost
            A worker was killed.
        KeyboardInterrupt
            After the workers are stopped.
        """

    def call(self, job: Job, name: str, *arguments: Any) -> dict[str, Any]:
        """Call a method of the job's bench in a worker."""

    def close(self) -> None:
        """Stop the workers."""


class Here:
    """Runs tasks in this process: to step through a function with a debugger."""

    workers = 1
    least = 1

    def run(self, job: Job, tasks: Sequence[Sequence[Block]]) -> Iterator[TaskResult]:
        """Yield the results of each task."""
        from gozen.quickdb.work import do_task

        for task in tasks:
            yield do_task(job, task)

    def call(self, job: Job, name: str, *arguments: Any) -> dict[str, Any]:
        """Call a method of the job's bench."""
        from gozen.quickdb.work import bench_of

        found: dict[str, Any] = getattr(bench_of(job), name)(*arguments)
        return found

    def close(self) -> None:
        """Nothing runs elsewhere."""
