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
"""The open job of each thread: a Dask worker may have several threads, and a child process belongs to one."""


@dataclass
class OpenJob:
    """An open job: its files, and its program or the isolated process that runs the program.

    Parameters
    ----------
    job
        The job.
    source
        The open files.
    program
        The program; None if it runs in an isolated process.
    child
        The isolated process; None if the program runs in this process.
    trial
        Trial of the job's `reduce` on values of this worker's blocks.
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
        """Open a job; raise `FunctionFailed` if the functions of the job cannot be loaded in this process."""
        source = FileSource(open_store(job.archive, job.storage), job.tables, job.expected)
        if job.limits is None:
            return cls(job, source, loaded(job.program), None)
        return cls(job, source, None, Child(job.limits))

    def begin(self, task: Sequence[Block]) -> None:
        """Set the patches of a task; from remote storage, columns of the next patches are fetched ahead."""
        self.source.begin([one for block in task for one in block.patches])
        if self.job.kept and self._came_with is None:
            self._came_with = self._state()

    def ended(self) -> bool:
        """Tell, after a task, whether the functions have changed their own state; False if results are not cached.

        A state that cannot be computed counts as changed. A change that was seen once is reported for all later tasks,
        even if one of them reverts it.
        """
        if self.job.kept and not self._has_changed:
            self._has_changed = self._came_with is None or self._state() != self._came_with
        return self._has_changed

    def block(self, block: Block) -> dict[str, Any]:
        """Process a block; `Program.block` describes the result."""
        runs = [[_line(*one) for one in run] for run in block.runs]
        check = self.job.mode != "map" and not self.trial.is_over
        if self.program is not None:
            return self.program.block(self.job.mode, runs, self.source, check)
        return self._apart("isolated_block", {"mode": self.job.mode, "runs": runs, "check": check})

    def combine(self, one: Any, other: Any) -> dict[str, Any]:
        """Reduce the values of two blocks."""
        return self.program.combine(one, other) if self.program else self._apart("isolated_combine", (one, other))

    def tried(self, values: Sequence[Any]) -> dict[str, Any]:
        """Test `reduce` on values in the program's process; an exceeded limit or a crash also ends the test."""
        if self.program is not None:
            return self.program.tried(values)
        try:
            found = self._called("isolated_trial", values)
        except BadRequest:
            return {"total": True}
        return found if "failed" in found else {"total": bool(found["total"] is True)}

    def finish(self, total: Any) -> dict[str, Any]:
        """Call the user's `finalize` on the total."""
        return self.program.finish(total) if self.program else self._apart("isolated_finish", total)

    def close(self) -> None:
        """End the isolated process, if there is one."""
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
        If the program cannot be loaded, for example because a module that it uses is missing here.
    """
    try:
        found: Program = cloudpickle.loads(program)
    except BaseException as error:  # loading runs code of the user's objects
        if is_interrupt(error):
            raise
        raise FunctionFailed(
            f"the function cannot be loaded by a worker: {kind_and_text(error)}; install the packages that it imports "
            "for the workers, or import them inside the function"
        ) from error
    return found


def do_task(job: Job, task: Sequence[Block]) -> TaskResult:
    """Process the blocks of a task in this worker; the job remains open for the next task."""
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
    """Process a block; values for the trial of `reduce` are left out of the result once the trial is over."""
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
    """Call a method of the open job; return its result in the form of a single block's result."""
    return TaskResult([(0, getattr(open_job_of(job), name)(*arguments))], [])


def open_job_of(job: Job) -> OpenJob:
    """Return the open job of this thread; if another job was open, it is closed first."""
    held: OpenJob | None = getattr(_held, "open_job", None)
    if held is None or held.job.key != job.key:
        if held is not None:
            held.close()
            # Before the next job is opened: if that fails, the closed one must not be found here.
            _held.open_job = None
        held = _held.open_job = OpenJob.of(job)
    return held


def _line(number: int, patch: PatchExtent) -> PatchLine:
    return number, patch.id, patch.start, patch.stop
