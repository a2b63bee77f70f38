"""One job from its plan to its result: which blocks come from the cache, which from workers, and in which order."""

from __future__ import annotations

import copy
import hashlib
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gozen import errors
from gozen.errors import BadRequest, FunctionFailed
from gozen.quickdb.engines import Engine
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.jobs import sampling
from gozen.quickdb.jobs.progress_bar import ProgressBar
from gozen.quickdb.jobs.rerun_tables import Family
from gozen.quickdb.jobs.result_cache import Cache, key_of
from gozen.quickdb.jobs.sampling import Estimate
from gozen.quickdb.patches.column_definitions import Names
from gozen.quickdb.patches.patch_extents import PatchExtent, overlapping
from gozen.quickdb.patches.region import SkyRegion
from gozen.quickdb.user_code.pure import software
from gozen.quickdb.user_code.user_function import UserCode
from gozen.quickdb.work.program import Mode, Program
from gozen.quickdb.work.tasks import FAR_PATCHES, Block, Job, TaskResult, blocks_of, tasks_of
from gozen.quickdb.work.tree_reduce import Tree, Trial
from gozen.settings import StorageSettings
from gozen.version import code_version, is_this_code


@dataclass(frozen=True)
class JobPlan:
    """A job, and its patches in blocks.

    Parameters
    ----------
    job
        What workers get.
    program
        What they call.
    family
        The tables.
    patches
        Those that are looked at.
    every
        Those that would be without `sample`.
    blocks
        The same in groups.
    keys
        Of each block's result in the cache; none where results are not kept.
    rerun
        The release that was named, for whoever opens a patch by hand.
    why_not_kept
        Why results are not kept; empty where they are, or where nobody asked for it.
    learned
        Where the columns are noted that the functions read.
    """

    job: Job
    program: Program
    family: Family
    patches: Sequence[PatchExtent]
    every: Sequence[PatchExtent]
    blocks: Sequence[Block]
    keys: Sequence[str]
    rerun: str | None = None
    why_not_kept: str = ""
    learned: dict[str, list[str]] = field(default_factory=dict)


def planned(
    program: Program,
    code: UserCode,
    family: Family,
    where: tuple[str, StorageSettings],
    *,
    rerun: str | None,
    mode: Mode,
    region: SkyRegion | None,
    sample: float | None,
    limits: Limits | None,
    keep: bool,
    learned: dict[str, list[str]] | None = None,
) -> JobPlan:
    """Decide what a job does.

    Parameters
    ----------
    learned
        Columns of files by table that the functions read the last time; the job adds to it.

    Raises
    ------
    BadRequest
        The region has no part of the tables.
    FunctionFailed
        The function cannot be pickled.
    """
    every = list(family.patches) if region is None else overlapping(family.patches, region.ranges())
    if not every and region is not None:
        raise BadRequest(f"region {region!r}: no part of {', '.join(family.files)} lies in it")
    patches = every if sample is None else sampling.chosen(every, sample)
    learned = {} if learned is None else learned
    expected = _present(learned, family) or _expected(code, family.names)
    program = replace(program, names=family.names, region=region, expected=expected, sources=code.sources())
    blocks = blocks_of(patches)
    digest = code.digest if keep and sample is None else None
    program = replace(program, kept=digest is not None)
    together = len(blocks) if digest is None and mode != "map" else 0
    job = Job(uuid.uuid4().hex, _pickled(program, code), *where, family.files, mode, together, limits, expected)
    place = "" if region is None else hashlib.sha256(region.ranges().tobytes()).hexdigest() + repr(region)
    place += repr(family.names.tables)  # units, bands and the site of the camera, on which derived columns depend
    if "margin" in code.names:  # a block's result then depends on patches of other blocks
        place += hashlib.sha256(repr(family.patches).encode()).hexdigest()
    keys = [] if digest is None else [key_of(digest, mode, place, block, family.files) for block in blocks]
    why = code.why_not_kept if keep and sample is None else ""
    return JobPlan(job, program, family, patches, every, blocks, keys, rerun, why, learned)


def results(plan: JobPlan, engine: Engine, cache: Cache, progress: bool | None) -> Iterator[TaskResult]:
    """Yield what blocks gave, as they come.

    Raises
    ------
    FunctionFailed
        The user's function raised.
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
        for task in engine.run(plan.job, tasks) if missing else ():
            same = _has_this_software(task)
            for number, result in task.blocks:
                _raise_failed(result, plan)
                plan.learned.update(result["touched"])
                if plan.keys and same and not result["changed"]:
                    cache.put(plan.keys[number], {part: result[part] for part in ("values", "total", "first")})
                bar.add(plan.blocks[number].rows)
            yield task if plan.job.leaves else _apart(task)


def _has_this_software(task: TaskResult) -> bool:
    """Tell whether a worker has the software of this process, under which results are kept; warn where not."""
    if not is_this_code(task.version):
        theirs, ours = f"gozen {task.version or 'of an older version'}", code_version()
    elif task.software != software():
        theirs, ours = task.software or "unknown libraries", software()
    else:
        return True
    warnings.warn(
        f"a worker has {theirs}, this process {ours}: its results may differ and are not kept; install the same "
        "versions in both, or start both again after an edit",
        stacklevel=2,
    )
    return False


def _apart(task: TaskResult) -> TaskResult:
    return TaskResult(task.blocks, [(0, number, result["total"]) for number, result in task.blocks])


def mapped(found: Iterator[TaskResult], *, in_order: bool) -> Iterator[Any]:
    """Yield the values of patches, in the order of the patches or as they come."""
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
    """Return what all blocks make together, finished, and scaled where the plan is for a sample."""
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
            # What workers have not tried it on: one of them may never meet three values.
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
            f"what the functions give for a sample cannot be scaled to all patches ({type(error).__name__}): return "
            "numbers, arrays of numbers, or tuples, lists and dicts of these that are alike for all patches"
        ) from error


def _present(learned: Mapping[str, Sequence[str]], family: Family) -> dict[str, list[str]]:
    """Return those of the columns that the tables have; what a function that runs apart said may be anything."""
    known = {table: set(files.schema.names) for table, files in family.files.items()}
    return {table: [one for one in names if one in known[table]] for table, names in learned.items() if table in known}


def _expected(code: UserCode, names: Names) -> dict[str, list[str]]:
    """Return the columns of files that the functions name in full, by table: the first patch reads them together."""
    found: dict[str, list[str]] = {}
    for text in sorted(code.strings):
        if text.partition(".")[0] in names.tables and " " not in text:
            column = names.tables[text.partition(".")[0]].find(text.partition(".")[2])
            for need in column.needs if column is not None else ():
                known = found.setdefault(text.partition(".")[0], [])
                known += [] if need in known else [need]
    return found


def _pickled(program: Program, code: UserCode) -> bytes:
    try:
        return code.pickled(program)
    except Exception as error:  # whatever the user's objects raise
        raise FunctionFailed(
            f"the function cannot be sent to the workers: {type(error).__name__}: {error}; it holds something that "
            "cannot be pickled, such as an open file or a connection: open it inside the function"
        ) from error


def _raise_failed(result: dict[str, Any], plan: JobPlan) -> dict[str, Any]:
    if "failed" not in result:
        return result
    kind: Callable[[str], Exception] = getattr(errors, str(result["kind"]), FunctionFailed)
    text = str(result["failed"])
    if result["patch"]:
        of = f"table={next(iter(plan.family.files))!r}" + (f", rerun={plan.rerun!r}" if plan.rerun else "")
        text += f"\n\nin patch {result['patch']}; to try it here: map(api.patch({result['patch']!r}, {of}))"
    raise kind(text)
