"""Engines run tasks: worker processes of this machine, Dask, or this process for debugging."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from gozen.archive.stores import s3_environment
from gozen.archive.stores.s3_environment import S3Variables
from gozen.quickdb.work.tasks import Block, Job, TaskResult

if TYPE_CHECKING:
    import pandas as pd

KEPT_BYTES = 128 * 2**20
"""Bytes of freed memory that a worker keeps for the columns of the next patch, and does not return to the system."""


class Engine(Protocol):
    """Runs tasks. The results are the same on every engine and with any number of workers."""

    least: int
    """Minimum number of patches that a task should have, so that sending it costs little compared with its work."""

    @property
    def workers(self) -> int:
        """Number of tasks that run at a time."""

    def run(self, job: Job, tasks: Sequence[Sequence[Block]]) -> Iterator[TaskResult]:
        """Yield the result of each task as it finishes; only a few tasks per worker are submitted at a time.

        Raises
        ------
        WorkerLost
            If a worker was killed.
        KeyboardInterrupt
            On Ctrl-C, after the tasks are cancelled or their workers stopped.
        """

    def call(self, job: Job, name: str, *arguments: Any) -> dict[str, Any]:
        """Call a method of the open job (such as `combine`) in a worker."""

    def close(self) -> None:
        """Stop the workers."""


@runtime_checkable
class Scalable(Protocol):
    """An engine whose number of workers can be changed, and that knows what they use."""

    def scale(self, number: int) -> None:
        """Set the number of workers."""

    def table(self) -> pd.DataFrame:
        """Return one row for each worker."""


class Here:
    """Runs tasks in this process, for example to step through a function with a debugger.

    Results are encoded and decoded here too. So this engine refuses the same values as the engines that send results.
    """

    workers = 1
    least = 1

    def run(self, job: Job, tasks: Sequence[Sequence[Block]]) -> Iterator[TaskResult]:
        """Yield the result of each task."""
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
        """Do nothing: there are no workers."""


def environment_for(job: Job) -> S3Variables | None:
    """Return the present S3 variables of this process if the job needs them, else None.

    A worker has only the environment from its start, so these variables are sent to it. They contain keys: send them
    only to workers on this machine.
    """
    return s3_environment.s3_variables() if job.archive.startswith("s3://") else None


def adopt_environment(ours: S3Variables | None) -> None:
    """Set the S3 environment variables in a worker, if any are given."""
    if ours is not None:
        s3_environment.set_s3_variables(ours)
