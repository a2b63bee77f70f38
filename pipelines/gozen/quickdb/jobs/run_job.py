"""Run a planned job: take blocks from the cache, send the others to workers, combine in order."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gozen import errors
from gozen.errors import FunctionFailed
from gozen.quickdb.engines import Engine
from gozen.quickdb.jobs import sampling
from gozen.quickdb.jobs.plan_job import JobPlan
from gozen.quickdb.jobs.progress_bar import ProgressBar
from gozen.quickdb.jobs.result_cache import Cache
from gozen.quickdb.jobs.sampling import Estimate
from gozen.quickdb.user_code.pure import software
from gozen.quickdb.work.tasks import FAR_PATCHES, TaskResult, tasks_of
from gozen.quickdb.work.tree_reduce import Tree, Trial
from gozen.version import code_version, is_this_code

log = logging.getLogger(__name__)

_CHANGED = (
    "%s: results are not cached, because a call changed a value that the next call uses (a global, a default "
    "argument, an attribute or a shared object), so results can depend on the order of the calls; change a copy, or "
    "create the object inside the function"
)


def results(plan: JobPlan, engine: Engine, cache: Cache, progress: bool | None) -> Iterator[TaskResult]:
    """Yield the results of blocks as they arrive, cached ones first.

    Raises
    ------
    FunctionFailed
        The user's function raised an exception.
    """
    with ProgressBar(sum(block.rows for block in plan.blocks), progress, plan.why_not_kept) as bar:
        missing = []
        for block in plan.blocks:
            kept = cache.get(plan.keys[block.number]) if plan.keys else None
            if kept is None:
                missing.append(block)
            else:
                bar.add(block.rows)
                yield TaskResult([(block.number, kept[0])], [(0, block.number, kept[0]["total"])])
        least = max(engine.least, FAR_PATCHES if "://" in plan.job.archive else 1)
        tasks = tasks_of(missing, engine.workers, least)
        keeping = _Keeping(plan, cache)
        for task in engine.run(plan.job, tasks) if missing else ():
            may_keep = keeping.may_keep(task)
            for number, result in task.blocks:
                _raise_failed(result, plan)
                plan.learned.update(result["touched"])
                if may_keep:
                    cache.put(plan.keys[number], result.pop("kept", None))
                bar.add(plan.blocks[number].rows)
            yield task if plan.job.leaves else _apart(task)


class _Keeping:
    """Stops caching a job's results, and deletes the cached ones, if a function changes state that outlives a call.

    Parameters
    ----------
    plan
        The job.
    cache
        The cache of results.
    """

    def __init__(self, plan: JobPlan, cache: Cache) -> None:
        self._plan = plan
        self._cache = cache
        self._is_over = not plan.keys

    def may_keep(self, task: TaskResult) -> bool:
        """Return whether the results of a task may be cached; warn once if the functions change lasting state."""
        same = _has_this_software(task)
        if task.changed and not self._is_over:
            self._is_over = True
            self._cache.forget(self._plan.keys)
            log.warning(_CHANGED, self._plan.program.function_names)
        return same and not self._is_over


def _has_this_software(task: TaskResult) -> bool:
    """Return whether a worker has the same software versions as this process (part of cache keys); warn if not."""
    if not is_this_code(task.version):
        theirs, ours = f"gozen {task.version or 'of an older version'}", code_version()
    elif task.software != software():
        theirs, ours = task.software or "unknown libraries", software()
    else:
        return True
    warnings.warn(
        f"a worker has {theirs}, this process has {ours}: results can differ and are not cached; install the same "
        "versions in both, or restart both after an edit",
        stacklevel=2,
    )
    return False


def _apart(task: TaskResult) -> TaskResult:
    return TaskResult(task.blocks, [(0, number, result["total"]) for number, result in task.blocks])


def mapped(found: Iterator[TaskResult], *, in_order: bool) -> Iterator[Any]:
    """Yield the values of patches, in the order of the patches or as they arrive."""
    early: dict[int, list[Any]] = {}
    awaited = 0
    for number, result in (one for task in found for one in task.blocks):
        values = [value for _, value in result["values"]]
        if not in_order:
            yield from values
            continue
        early[number] = values
        while awaited in early:
            yield from early.pop(awaited)
            awaited += 1


def reduced(plan: JobPlan, found: Iterator[TaskResult], engine: Engine) -> Any:
    """Return the reduced value of all blocks after `finalize`, scaled if the plan is for a sample."""
    apart = plan.job.limits is not None

    def reduce(one: Any, other: Any) -> Any:
        together = engine.call(plan.job, "combine", one, other) if apart else plan.program.combine(one, other)
        return _raise_failed(together, plan)["total"]

    def tried(values: Sequence[Any]) -> bool:
        found = engine.call(plan.job, "tried", values) if apart else plan.program.tried(values)
        return bool(_raise_failed(found, plan)["total"])

    tree, trial = Tree(reduce, len(plan.blocks)), Trial(tried)
    values: dict[int, Any] = {}
    for task in found:
        for _, result in task.blocks:
            # `reduce` is tested here too: a worker may never have the three values that its test needs.
            trial.add(result.get("first") or [result.get("total")])
        for node in task.nodes:
            tree.take(node)
        for _, result in task.blocks:
            values |= dict(result["values"])
    total = tree.total
    if plan.job.mode == "both":
        alone = sum(value is not None for value in values.values()) == 1
        estimate = _estimate(plan, total, values, reduce(copy.deepcopy(total), total) if alone else None)
        return estimate if total is None else estimate._replace(value=_finished(plan, estimate.value, engine))
    return total if total is None else _finished(plan, total, engine)


def _finished(plan: JobPlan, total: Any, engine: Engine) -> Any:
    if plan.program.finalize is None:
        return total
    apart = plan.job.limits is not None
    found = engine.call(plan.job, "finish", total) if apart else plan.program.finish(total)
    return _raise_failed(found, plan)["total"]


def _estimate(plan: JobPlan, total: Any, values: dict[int, Any], doubled: Any) -> Estimate:
    rows = [patch.rows for patch in plan.patches]
    of_patch = [values.get(number) for number in range(len(plan.patches))]
    every = sum(patch.rows for patch in plan.every)
    try:
        return sampling.estimated(total, of_patch, rows, every, len(plan.every), doubled)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise FunctionFailed(
            f"the result for a sample cannot be scaled to all patches ({type(error).__name__}): return numbers, "
            "arrays of numbers, or tuples, lists and dicts of these, with the same structure for all patches"
        ) from error


def _raise_failed(result: dict[str, Any], plan: JobPlan) -> dict[str, Any]:
    if "failed" not in result:
        return result
    kind: Callable[[str], Exception] = getattr(errors, str(result["kind"]), FunctionFailed)
    text = str(result["failed"])
    if result["patch"]:
        of = f"table={next(iter(plan.family.files))!r}" + (f", rerun={plan.rerun!r}" if plan.rerun else "")
        text += f"\n\nin patch {result['patch']}; to run it in this process: map(api.patch({result['patch']!r}, {of}))"
    raise kind(text)
