"""Engines run tasks: worker processes of this machine, Dask, or this process for debugging."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from gozen.archive.stores import s3_environment
from gozen.archive.stores.s3_environment import S3Variables
from gozen.quickdb.work.tasks import Block, Job, TaskResult

KEPT_BYTES = 128 * 2**20
"""Freed memory that a worker keeps: the columns of a patch come again with the next."""


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
        """Call a method of the open job in a worker."""

    def close(self) -> None:
        """Stop the workers."""


class Here:
    """Runs tasks in this process: to step through a function with a debugger.

    What they give is made bytes and read again, so that what cannot travel is refused here as elsewhere.
    """

    workers = 1
    least = 1

    def run(self, job: Job, tasks: Sequence[Sequence[Block]]) -> Iterator[TaskResult]:
        """Yield the results of each task."""
        from gozen.quickdb.work.result_bytes import packed, received
        from gozen.quickdb.work.worker import do_task

        for task in tasks:
            yield received(packed(do_task(job, task), task))

    def call(self, job: Job, name: str, *arguments: Any) -> dict[str, Any]:
        """Call a method of the open job."""
        from gozen.quickdb.work.result_bytes import packed, received
        from gozen.quickdb.work.worker import called

        return received(packed(called(job, name, arguments))).blocks[0][1]

    def close(self) -> None:
        """Nothing runs elsewhere."""


def environment_for(job: Job) -> S3Variables | None:
    """Return what this process's environment says about S3, where the job needs it: workers have that of their start.

    It holds keys, so that it is given to workers of this machine only.
    """
    return s3_environment.s3_variables() if job.archive.startswith("s3://") else None


def adopt_environment(ours: S3Variables | None) -> None:
    """Take it over, in a worker."""
    if ours is not None:
        s3_environment.set_s3_variables(ours)
