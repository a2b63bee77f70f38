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
"""Blocks that a job aims at, so that the values which travel stay few however large the table is."""

LARGEST_BLOCK = 16
TASKS_PER_WORKER = 8
FAR_PATCHES = 32
"""Patches that a task has at least where each begins with a wait, for columns from elsewhere or for its worker."""

_CUTS = 4
"""Places at which a task may end, for each task: tasks differ by a quarter of one at most."""


@dataclass(frozen=True)
class TableFiles:
    """Where one version of a table stands.

    Parameters
    ----------
    folder
        The prefix of its data files' keys.
    index
        The key of its row-group index.
    schema
        Its columns.
    """

    folder: str
    index: str
    schema: pa.Schema


@dataclass(frozen=True)
class Job:
    """What all tasks of a job share.

    Parameters
    ----------
    key
        Tells jobs apart.
    program
        The pickled `gozen.quickdb.work.program.Program`.
    archive, storage
        Where the tables are.
    tables
        Those that a patch spans.
    mode
        What `Program.block` returns.
    leaves
        The number of blocks, where a worker reduces what its blocks give; 0 where each comes back by itself.
    limits
        Of the process in which the program runs apart; None lets it run in the worker.
    expected
        Columns of files that the first patch of a worker will ask for, as far as is known, by table.
    kept
        Whether results are kept for another run, so that it matters whether a call changes what the next one meets.
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
    """What came of a task.

    Parameters
    ----------
    blocks
        The number of each block, and what `Program.block` gave; it ends with the first that failed.
    nodes
        What the blocks make together, as far as they are neighbours.
    version
        Of the worker's code; an older worker says none.
    software
        The versions of the worker's Python and libraries, which on a cluster may not be those of this machine.
    changed
        Whether the functions have held other than they came with after this task, or after an earlier one of this
        worker, so that what they give may depend on earlier calls; told of a job whose results are kept.
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
        Counts the blocks of a job, from 0.
    runs
        Its patches, each with its number in the job, by runs.
    """

    number: int
    runs: tuple[tuple[tuple[int, PatchExtent], ...], ...]

    @property
    def patches(self) -> list[tuple[int, PatchExtent]]:
        """All its patches."""
        return [one for run in self.runs for one in run]

    @property
    def rows(self) -> int:
        """About how many rows it has."""
        return sum(patch.rows for _, patch in self.patches)


def blocks_of(patches: Sequence[PatchExtent]) -> list[Block]:
    """Group patches: runs of one partition, and of those as many to a block as keep the blocks of a large table few.

    The grouping depends on the table alone, not on engine or workers, and so does every sum.
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
    """Group blocks into tasks of about as many rows: many small patches never become many small tasks.

    They are cut where a task is few nodes of the tree, so that few values come back.

    Parameters
    ----------
    least
        Patches that a task has at least, as long as each worker has a task.
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
