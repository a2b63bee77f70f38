"""Execute a task in a worker: open the job, run its program on the blocks, return the results."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import cloudpickle

from gozen.archive.stores.open_store import open_store
from gozen.errors import BadRequest, FunctionFailed
from gozen.quickdb.isolation.child_process import Child
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.patches.patch_extents import PatchExtent
from gozen.quickdb.user_code.pure import software
from gozen.quickdb.work.job_files import FileSource
from gozen.quickdb.work.kept_form import packed_for_keeping
from gozen.quickdb.work.program import PatchLine, Program
from gozen.quickdb.work.tasks import Block, Job, TaskResult
from gozen.quickdb.work.tree_reduce import Tree, Trial
from gozen.quickdb.work.user_errors import is_interrupt, kind_and_text
from gozen.quickdb.work.validate_child import checked_block, checked_state, checked_total
from gozen.version import code_version

_held = threading.local()
"""By thread: a Dask worker may have several, and a child process belongs to the thread that calls it."""


@dataclass
class OpenJob:
    """An open job: its files, and its program where it runs in this process.

    Parameters
    ----------
    job
        What is done.
    source
        The files.
    program
        None where it runs apart.
    child
        The process in which it then runs.
    trial
        Of the job's `reduce`, on values that this worker meets.
    """

    job: Job
    source: FileSource
    program: Program | None
    child: Child | None
    trial: Trial = field(init=False)
    _came_with: bytes | None = field(default=None, init=False)
    _has_changed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.trial = Trial(lambda values: _total(self.tried(values)))

    @classmethod
    def of(cls, job: Job) -> OpenJob:
        """Open a job; `FunctionFailed` where its function cannot be loaded here."""
        source = FileSource(open_store(job.archive, job.storage), job.tables, job.expected)
        if job.limits is None:
            return cls(job, source, loaded(job.program), None)
        return cls(job, source, None, Child(job.limits))

    def begin(self, task: Sequence[Block]) -> None:
        """Take the patches of a task: on storage elsewhere the next one's columns are then on their way."""
        self.source.begin([one for block in task for one in block.patches])
        if self.job.kept and self._came_with is None:
            self._came_with = self._state()

    def ended(self) -> bool:
        """Tell, after a task of a job whose results are kept, whether its functions have changed what they hold.

        What is seen once is said of all later tasks, also of one that changes it back.
        """
        if self.job.kept and not self._has_changed:
            self._has_changed = self._came_with is None or self._state() != self._came_with
        return self._has_changed

    def block(self, block: Block) -> dict[str, Any]:
        """Do a block; the result is as `Program.block` says."""
        runs = [[_line(*one) for one in run] for run in block.runs]
        check = self.job.mode != "map" and not self.trial.is_over
        if self.program is not None:
            return self.program.block(self.job.mode, runs, self.source, check)
        return self._apart("isolated_block", {"mode": self.job.mode, "runs": runs, "check": check})

    def combine(self, one: Any, other: Any) -> dict[str, Any]:
        """Reduce the values of two blocks."""
        return self.program.combine(one, other) if self.program else self._apart("isolated_combine", (one, other))

    def tried(self, values: Sequence[Any]) -> dict[str, Any]:
        """Try `reduce` on values, in whatever process it runs; what takes too much or ends that cannot be tried."""
        if self.program is not None:
            return self.program.tried(values)
        try:
            found = self._called("isolated_trial", values)
        except BadRequest:
            return {"total": True}
        return found if "failed" in found else {"total": bool(found["total"] is True)}

    def finish(self, total: Any) -> dict[str, Any]:
        """Call the user's `finalize`."""
        return self.program.finish(total) if self.program else self._apart("isolated_finish", total)

    def close(self) -> None:
        """End the process that belongs to it."""
        if self.child is not None:
            self.child.close()

    def _apart(self, name: str, argument: Any) -> dict[str, Any]:
        try:
            return self._called(name, argument)
        except BadRequest as error:
            return {"failed": str(error), "kind": error.name, "patch": ""}

    def _state(self) -> bytes | None:
        if self.program is not None:
            return self.program.state()
        try:
            return checked_state(self._asked("isolated_state", None), self._limits)
        except BadRequest:
            return None

    def _called(self, name: str, argument: Any) -> dict[str, Any]:
        found = self._asked(name, argument)
        if name == "isolated_block":
            return checked_block(found, self.source.patches, self.source.names, self._limits)
        return checked_total(found, self._limits)

    def _asked(self, name: str, argument: Any) -> Any:
        assert self.child is not None
        return self.child.call(self.job.program, name, argument, partial(self.source.answer, limits=self._limits))

    @property
    def _limits(self) -> Limits:
        assert self.child is not None
        return self.child.limits


def loaded(program: bytes) -> Program:
    """Load a program into this process.

    Raises
    ------
    FunctionFailed
        A module that it uses is not here.
    """
    try:
        found: Program = cloudpickle.loads(program)
    except BaseException as error:  # loading runs code of the user's objects
        if is_interrupt(error):
            raise
        raise FunctionFailed(
            f"the function cannot be loaded by a worker: {kind_and_text(error)}; install what it imports "
            "where the workers are, or import it inside the function"
        ) from error
    return found


def do_task(job: Job, task: Sequence[Block]) -> TaskResult:
    """Do the blocks of a task in this worker, which keeps the job open for the next one."""
    found = TaskResult([], [], version=code_version(), software=software())
    tree = Tree(lambda one, other: _total(open_job_of(job).combine(one, other)), job.leaves)
    for block in task:
        try:
            one = _done(job, block, task)
            if job.kept and "failed" not in one:
                one = packed_for_keeping(one, is_reduced=job.leaves > 0)
            if job.leaves and "failed" not in one:
                tree.add(block.number, one.pop("total"))
        except FunctionFailed as error:
            one = {"failed": str(error), "kind": error.name, "patch": ""}
        found.blocks.append((block.number, one))
        if "failed" in one:
            return found
    found.nodes.extend(tree.nodes())
    return replace(found, changed=open_job_of(job).ended())


def _done(job: Job, block: Block, task: Sequence[Block]) -> dict[str, Any]:
    """Do a block; values on which `reduce` has been tried here are left out."""
    open_job = open_job_of(job)
    if block is task[0]:
        open_job.begin(task)
    one = open_job.block(block)
    if "failed" not in one:
        open_job.trial.add(one["first"])
        one |= {"first": []} if open_job.trial.is_over else {}
    return one


def _total(result: dict[str, Any]) -> Any:
    if "failed" in result:
        raise FunctionFailed(result["failed"])
    return result["total"]


def called(job: Job, name: str, arguments: Sequence[Any]) -> TaskResult:
    """Call a method of the open job; what it gives is the result of the one block."""
    return TaskResult([(0, getattr(open_job_of(job), name)(*arguments))], [])


def open_job_of(job: Job) -> OpenJob:
    """Return the open job of this thread, another one than before after that is closed."""
    held: OpenJob | None = getattr(_held, "open_job", None)
    if held is None or held.job.key != job.key:
        if held is not None:
            held.close()
            # Before the next one is opened: where that fails, nobody finds the closed one here.
            _held.open_job = None
        held = _held.open_job = OpenJob.of(job)
    return held


def _line(number: int, patch: PatchExtent) -> PatchLine:
    return number, patch.id, patch.start, patch.stop
