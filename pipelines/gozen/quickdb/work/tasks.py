"""Jobs, tasks and blocks as sent to workers, and how patches are grouped into them. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.patches.patch_extents import PatchExtent, runs_of
from gozen.quickdb.work.program import Mode
from gozen.quickdb.work.tree_reduce import Node
from gozen.settings import StorageSettings

MOST_BLOCKS = 512
"""Number of blocks that a job aims at, so that few values are transferred even for a large table."""

LARGEST_BLOCK = 16
TASKS_PER_WORKER = 8
FAR_PATCHES = 32
"""Minimum number of patches of a task if each task first waits for columns from remote storage or for its worker."""

_CUTS = 4
"""Least number of places at which a task of average size may end; with 4, tasks differ in size by at most a quarter."""


@dataclass(frozen=True)
class TableFiles:
    """Location of the files of one version of a table, and its columns.

    Parameters
    ----------
    folder
        Prefix of the keys of its data files.
    index
        Key of its row-group index.
    schema
        Schema of its columns.
    """

    folder: str
    index: str
    schema: pa.Schema


@dataclass(frozen=True)
class Job:
    """The data that all tasks of a job share.

    Parameters
    ----------
    key
        Identifier of the job.
    program
        The pickled `gozen.quickdb.work.program.Program`.
    archive, storage
        Location of the archive with the tables, and settings of its storage.
    tables
        Files of the tables that a patch spans, by table.
    mode
        Mode of `Program.block`: which values its result contains.
    leaves
        Number of blocks, if workers reduce the values of their blocks; 0 if the value of each block is returned.
    limits
        Limits of the isolated process of the program; None if the program runs in the worker's process.
    expected
        Columns of files that a worker's first patch will probably request, by table.
    kept
        Whether results are cached. Workers then report whether the functions have changed their own state.
    """

    key: str
    program: bytes
    archive: str
    storage: StorageSettings
    tables: Mapping[str, TableFiles]
    mode: Mode
    leaves: int = 0
    limits: Limits | None = None
    expected: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kept: bool = False


@dataclass(frozen=True)
class TaskResult:
    """Result of a task.

    Parameters
    ----------
    blocks
        Number of each block and the result of `Program.block`; the list ends with the first block that failed.
    nodes
        Reduced values of neighbouring blocks: nodes of the tree.
    version
        Version of the worker's code; empty from older workers.
    software
        Versions of the worker's Python and libraries; on a cluster they may differ from the versions on this machine.
    changed
        Whether the functions have changed their own state in this task or an earlier one of this worker, so that
        results may depend on earlier calls. Always False if results are not cached.
    """

    blocks: list[tuple[int, dict[str, Any]]]
    nodes: list[Node]
    version: str = ""
    software: str = ""
    changed: bool = False


@dataclass(frozen=True)
class Block:
    """Patches that are reduced to one value.

    Parameters
    ----------
    number
        Number of the block in its job, from 0.
    runs
        Patches of the block, grouped by `patch_extents.runs_of`; each patch has its number in the job.
    """

    number: int
    runs: tuple[tuple[tuple[int, PatchExtent], ...], ...]

    @property
    def patches(self) -> list[tuple[int, PatchExtent]]:
        """All patches of the block, each with its number in the job."""
        return [one for run in self.runs for one in run]

    @property
    def rows(self) -> int:
        """Approximate number of rows of all patches of the block."""
        return sum(patch.rows for _, patch in self.patches)


def blocks_of(patches: Sequence[PatchExtent]) -> list[Block]:
    """Group patches into blocks: one or more runs (`patch_extents.runs_of`) of one partition, more in a large table.

    The grouping depends only on the table, not on engine or workers; so every sum is the same on all engines.
    """
    runs = runs_of(patches)
    together = 1
    while len(runs) > MOST_BLOCKS * together and together < LARGEST_BLOCK:
        together *= 2
    groups: list[list[tuple[int, int]]] = []
    for run in runs:
        last = groups[-1] if groups else []
        same = bool(last) and _partition(patches[last[-1][0]]) == _partition(patches[run[0]])
        if same and len(last) < together:
            last.append(run)
        else:
            groups.append([run])
    return [
        Block(number, tuple(tuple((at, patches[at]) for at in range(*run)) for run in group))
        for number, group in enumerate(groups)
    ]


def tasks_of(blocks: Sequence[Block], workers: int, least: int = 1) -> list[list[Block]]:
    """Group blocks into tasks of similar numbers of rows: many small patches do not become many small tasks.

    Tasks begin at blocks for which the worker can combine most values (`tree_reduce`), so that it sends few back.

    Parameters
    ----------
    least
        Minimum number of patches of a task, unless a worker would then have no task.
    """
    patches, rows = sum(len(block.patches) for block in blocks), sum(block.rows for block in blocks)
    most = workers * (TASKS_PER_WORKER if least == 1 else min(max(patches // (workers * least), 1), TASKS_PER_WORKER))
    cut = 1
    while 2 * cut * _CUTS * most <= len(blocks):
        cut *= 2
    tasks: list[list[Block]] = []
    before = 0
    for block in blocks:
        is_due = (before + block.rows / 2) * most >= rows * len(tasks)
        if not tasks or (is_due and block.number % cut == 0):
            tasks.append([])
        tasks[-1].append(block)
        before += block.rows
    return tasks


def _partition(patch: PatchExtent) -> str:
    return patch.id.rpartition("/")[0]
