"""What is sent to workers: a job once, then tasks of many patches. Pure decisions about how patches are grouped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.patches import Patch, runs_of
from gozen.quickdb.program import Mode
from gozen.quickdb.reduction import Node
from gozen.settings import StorageSettings

MOST_BLOCKS = 512
"""Blocks that a job aims at, so that the values which travel stay few however large the table is."""

LARGEST_BLOCK = 16
TASKS_PER_WORKER = 8


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
        The pickled `gozen.quickdb.program.Program`.
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
    """

    key: str
    program: bytes
    archive: str
    storage: StorageSettings
    tables: Mapping[str, TableFiles]
    mode: Mode
    leaves: int = 0
    limits: Limits | None = None


@dataclass(frozen=True)
class TaskResult:
    """What came of a task.

    Parameters
    ----------
    blocks
        The number of each block, and what `Program.block` gave; it ends with the first that failed.
    nodes
        What the blocks make together, as far as they are neighbours.
    """

    blocks: list[tuple[int, dict[str, Any]]]
    nodes: list[Node]


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
    runs: tuple[tuple[tuple[int, Patch], ...], ...]

    @property
    def patches(self) -> list[tuple[int, Patch]]:
        """All its patches."""
        return [one for run in self.runs for one in run]

    @property
    def rows(self) -> int:
        """About how many rows it has."""
        return sum(patch.rows for _, patch in self.patches)


def blocks_of(patches: Sequence[Patch]) -> list[Block]:
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


def tasks_of(blocks: Sequence[Block], workers: int) -> list[list[Block]]:
    """Group blocks into tasks, about eight a worker: many small patches never become many small tasks.

    A task has as many neighbours as are one node of the tree, so that one value comes back.
    """
    shift = 0
    while len({block.number >> shift for block in blocks}) > workers * TASKS_PER_WORKER:
        shift += 1
    tasks: dict[int, list[Block]] = {}
    for block in blocks:
        tasks.setdefault(block.number >> shift, []).append(block)
    return list(tasks.values())


def _partition(patch: Patch) -> str:
    return patch.id.rpartition("/")[0]
