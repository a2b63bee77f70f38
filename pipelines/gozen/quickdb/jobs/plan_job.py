"""Plan a job: choose its patches, blocks and columns, and decide whether results are cached."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest, FunctionFailed
from gozen.instrument.read_header import mjd_of_utc
from gozen.lightcurves.barycentric_times import say_uncertainty
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.jobs import sampling
from gozen.quickdb.jobs.rerun_tables import Family
from gozen.quickdb.jobs.reruns import Reruns
from gozen.quickdb.jobs.result_cache import key_of
from gozen.quickdb.patches.column_definitions import BARYCENTRIC, Names
from gozen.quickdb.patches.patch_extents import PatchExtent, overlapping
from gozen.quickdb.patches.region import SkyRegion, as_region
from gozen.quickdb.user_code.user_function import UserCode
from gozen.quickdb.work.program import Mode, Program
from gozen.quickdb.work.tasks import Block, Job, blocks_of
from gozen.settings import StorageSettings

_REMEMBERED = 1000
"""Number of functions whose columns are remembered."""


@dataclass(frozen=True)
class JobRequest:
    """A user's request for a job.

    Parameters
    ----------
    map, reduce, finalize, shared, rerun, table, region, sample, cache
        As in `Api.map` and `Api.mapreduce`.
    mode
        Mode of `Program.block`: which values its result contains.
    """

    map: Callable[..., Any]
    reduce: Callable[[Any, Any], Any] | None = None
    finalize: Callable[[Any], Any] | None = None
    shared: Any = None
    rerun: str | None = None
    table: str | None = None
    region: Any = None
    sample: float | None = None
    cache: bool = True
    mode: Mode = "map"


@dataclass(frozen=True)
class JobPlan:
    """A job, and its patches in blocks.

    Parameters
    ----------
    job
        The job that is sent to workers.
    program
        The program that workers run.
    family
        The tables.
    patches
        The patches that are read.
    every
        The patches that would be read without `sample`.
    blocks
        `patches`, grouped into blocks.
    keys
        The cache key of each block's result; empty if results are not cached.
    rerun
        The name of the release, for messages that explain how to open a patch; None for the live tables.
    why_not_kept
        Why results are not cached; empty if they are, or if caching was not requested.
    learned
        Filled with the columns that the functions read.
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


class Planner:
    """Plans the jobs of one archive, and remembers which columns functions read.

    Parameters
    ----------
    store, storage
        The archive, and the settings with which workers open it.
    reruns
        The archive's tables.
    limits
        Limits of functions that run isolated; None runs them in the workers.
    """

    def __init__(self, store: Store, storage: StorageSettings, reruns: Reruns, limits: Limits | None) -> None:
        self._where = store.url, storage
        self._reruns = reruns
        self._limits = limits
        self._learned: dict[str, dict[str, list[str]]] = {}

    def plan(self, asked: JobRequest) -> JobPlan:
        """Plan a job: its patches, blocks, columns and cache keys.

        Raises
        ------
        BadRequest
            The region does not overlap the tables, or an argument is invalid.
        FunctionFailed
            The function cannot be pickled.
        RerunNotFound, TableNotFound, MissingObject
            There is no such release or table.
        """
        code = UserCode.of(asked.map, asked.reduce, shared=asked.shared)
        family = self._reruns.family(asked.rerun, asked.table, code)
        _say_uncertainty(code, family)
        region = None if asked.region is None else as_region(asked.region)
        every = _patches_in(region, family)
        patches = every if asked.sample is None else sampling.chosen(every, asked.sample)
        blocks = blocks_of(patches)
        may_keep = asked.cache and asked.sample is None
        place = _place(region, code, family)
        digest = code.digest if may_keep else None
        keys = [] if digest is None else [key_of(digest, asked.mode, place, one, family.files) for one in blocks]
        learned = self._learned_of(code)
        expected = _present(learned, family) or _expected(code, family.names)
        program = Program(
            asked.map, asked.reduce, asked.finalize, asked.shared, family.names, region, expected, code.sources()
        )
        job = Job(
            uuid.uuid4().hex,
            _pickled(program, code),
            *self._where,
            tables=family.files,
            mode=asked.mode,
            leaves=0 if asked.mode == "map" else len(blocks),
            limits=self._limits,
            expected=expected,
            kept=bool(keys),
        )
        why = code.why_not_kept if may_keep else ""
        return JobPlan(
            job, program, family, patches, every, blocks, keys, asked.rerun or self._reruns.usual, why, learned
        )

    def _learned_of(self, code: UserCode) -> dict[str, list[str]]:
        """Return the dict, by table, of the columns that these functions read; workers' results fill it."""
        if len(self._learned) > _REMEMBERED:
            self._learned.clear()
        return self._learned.setdefault(code.identity, {})


def _patches_in(region: SkyRegion | None, family: Family) -> list[PatchExtent]:
    if region is None:
        return list(family.patches)
    found = overlapping(family.patches, region.ranges())
    if not found:
        raise BadRequest(f"the region {region!r} contains no part of {', '.join(family.files)}; give another region")
    return found


def _place(region: SkyRegion | None, code: UserCode, family: Family) -> str:
    """Return text for the cache key, with everything that affects a block's result except functions and rows."""
    place = "" if region is None else hashlib.sha256(region.ranges().tobytes()).hexdigest() + repr(region)
    place += repr(family.names.tables)  # derived columns depend on units, bands and the camera's position
    if "margin" in code.names:  # the result then depends on patches of other blocks
        place += hashlib.sha256(repr(family.patches).encode()).hexdigest()
    return place


def _present(learned: Mapping[str, Sequence[str]], family: Family) -> dict[str, list[str]]:
    """Return the columns that exist in the tables; an isolated function may have reported any names."""
    known = {table: set(files.schema.names) for table, files in family.files.items()}
    return {table: [one for one in names if one in known[table]] for table, names in learned.items() if table in known}


def _expected(code: UserCode, names: Names) -> dict[str, list[str]]:
    """Return the columns, by table, whose full names occur in the functions; the first patch reads them together."""
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
            f"the function cannot be sent to the workers ({type(error).__name__}: {error}): it refers to an object "
            "that cannot be pickled, such as an open file or a connection; open that inside the function"
        ) from error


def _say_uncertainty(code: UserCode, family: Family) -> None:
    # Warn once here, instead of in each worker that computes times.
    asked = any(text.rpartition(".")[2] == BARYCENTRIC for text in code.strings)
    place_m = next((one.place_m for one in family.names.tables.values()), None)
    if asked and place_m is not None:
        say_uncertainty(mjd_of_utc(datetime.now(UTC)), place_m)
