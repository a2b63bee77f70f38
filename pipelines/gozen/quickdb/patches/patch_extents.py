"""The patches of a table: row groups of objects, ranges of stars in light-curve files. No I/O."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.catalog.format import partition_parquet
from gozen.catalog.format.layout import Partition, partition_of

TARGET_ROWS = 65_536
"""Intended rows of a patch of light curves. A patch of objects is a row group, which is written with as many rows."""

RUN = 16
"""Patches of one partition that every engine reduces together, in order: the rounding of sums depends on it."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """Row groups of one file.

    Parameters
    ----------
    path
        The file's path below the generation's ``dataset/``.
    groups
        The numbers of the row groups.
    rows
        The total number of rows.
    footer, size
        The Parquet footer is in the file's bytes [footer, size).
    """

    path: str
    groups: tuple[int, ...]
    rows: int
    footer: int
    size: int


@dataclass(frozen=True)
class PatchExtent:
    """The place of a patch on the sky and of its rows in files.

    Parameters
    ----------
    id
        Order, pixel and number in the partition: ``5/8131/3``.
    rows
        The number of rows; approximate if `picked`.
    start, stop
        The range of ``_healpix_29`` that it covers.
    picked
        Whether the row groups also contain rows of other patches; these are left out by their ``_healpix_29``.
    pieces
        Its row groups, by table.
    """

    id: str
    rows: int
    start: int
    stop: int
    picked: bool
    pieces: Mapping[str, tuple[Piece, ...]]


def patches_of(indexes: Mapping[str, pa.Table], kind: str, target: int = TARGET_ROWS) -> list[PatchExtent]:
    """Return the patches of tables that have the same row groups, sorted by partition and ``_healpix_29``.

    Parameters
    ----------
    indexes
        The row-group index of each table; the first defines the edges of the patches.
    kind
        ``object``: a patch is a row group if the partition has one file, else a range of ``_healpix_29``.
        ``source``: it is a range of stars.
    target
        Intended rows of a range of stars.
    """
    first = next(iter(indexes))
    parts = {name: dict(_partitions(table)) for name, table in indexes.items()}
    found: list[PatchExtent] = []
    for partition, groups in parts[first].items():
        same = {name: of[partition] for name, of in parts.items()}
        whole = kind == "object" and len(np.unique(groups.file)) == 1
        found += _row_groups(partition, same) if whole else _ranges(partition, same, target)
    return found


def same_cuts(one: pa.Table, other: pa.Table) -> bool:
    """Return whether two tables have the same row groups, so that row N of one belongs to row N of the other."""
    if len(one) != len(other):
        return False
    keys = ("row_group", "rows", "healpix_min", "healpix_max", "source_id_min", "source_id_max")
    equal = all(
        np.array_equal(partition_parquet.numbers(one, key), partition_parquet.numbers(other, key)) for key in keys
    )
    return equal and [partition_of(p) for p in one["file"].unique().to_pylist()] == [
        partition_of(p) for p in other["file"].unique().to_pylist()
    ]


def runs_of(patches: Sequence[PatchExtent]) -> list[tuple[int, int]]:
    """Return the runs of patches: indices [first, last) of at most 16 consecutive patches of one partition.

    A run never spans two partitions: rows appended to one partition do not change the runs of others.
    """
    partition = [patch.id.rpartition("/")[0] for patch in patches]
    runs: list[tuple[int, int]] = []
    first = 0
    for at in range(1, len(patches) + 1):
        if at == len(patches) or partition[at] != partition[first] or at - first == RUN:
            runs.append((first, at))
            first = at
    return runs


def overlapping(patches: Sequence[PatchExtent], ranges: Numbers) -> list[PatchExtent]:
    """Return the patches that overlap sorted ranges [start, stop) of ``_healpix_29``, shape (M, 2)."""
    if not len(patches) or not len(ranges):
        return []
    start, stop = (np.array([getattr(patch, name) for patch in patches], np.int64) for name in ("start", "stop"))
    after = np.searchsorted(ranges[:, 1], start, side="right")  # the first range that ends after the patch's start
    inside = (after < len(ranges)) & (ranges[np.minimum(after, len(ranges) - 1), 0] < stop)
    return [patches[at] for at in np.flatnonzero(inside).tolist()]


@dataclass(frozen=True)
class Groups:
    """Row groups from an index, as arrays of equal length. Each number in `file` is a position in the list `files`."""

    files: list[str]
    file: Numbers
    number: Numbers
    rows: Numbers
    healpix_min: Numbers
    healpix_max: Numbers
    footer: Numbers
    size: Numbers

    @classmethod
    def of_index(cls, table: pa.Table) -> Groups:
        """Build a `Groups` from all rows of an index."""
        column = table.column("file").combine_chunks().dictionary_encode()
        names = ("row_group", "rows", "healpix_min", "healpix_max", "footer", "size")
        arrays = [partition_parquet.numbers(table, name) for name in names]
        return cls(column.dictionary.to_pylist(), column.indices.to_numpy().astype(np.int64), *arrays)

    def part(self, at: NDArray[np.intp] | slice) -> Groups:
        """Return the row groups at these positions."""
        arrays = (self.file, self.number, self.rows, self.healpix_min, self.healpix_max, self.footer, self.size)
        return Groups(self.files, *(array[at] for array in arrays))

    def overlapping(self, ranges: Numbers) -> Groups:
        """Return the row groups that overlap sorted ranges [start, stop) of ``_healpix_29``, shape (M, 2)."""
        after = np.searchsorted(ranges[:, 1], self.healpix_min, side="right")
        begins = ranges[np.minimum(after, len(ranges) - 1), 0]
        return self.part(np.flatnonzero((after < len(ranges)) & (begins <= self.healpix_max)))

    def pieces(self) -> tuple[Piece, ...]:
        """Return one `Piece` for each file."""
        file, number, rows, footer, size = self.file, self.number, self.rows, self.footer, self.size
        edges = [*np.flatnonzero(np.diff(file, prepend=-1)).tolist(), len(file)]
        return tuple(
            Piece(self.files[file[a]], tuple(number[a:b].tolist()), int(rows[a:b].sum()), int(footer[a]), int(size[a]))
            for a, b in itertools.pairwise(edges)
        )


def _partitions(table: pa.Table) -> Iterable[tuple[Partition, Groups]]:
    """Yield the partitions of an index, which is sorted by partition, file and row group."""
    every = Groups.of_index(table)
    of_path = [partition_of(path) for path in every.files]
    changes = np.flatnonzero(np.diff(every.file, prepend=-1)).tolist()
    of_change = [of_path[every.file[at]] for at in changes]
    first = [at for i, at in enumerate(changes) if not i or of_change[i] != of_change[i - 1]]
    for a, b in itertools.pairwise([*first, len(every.file)]):
        yield of_path[every.file[a]], every.part(slice(a, b))


def _row_groups(partition: Partition, tables: Mapping[str, Groups]) -> list[PatchExtent]:
    groups = next(iter(tables.values()))
    starts = [partition.start, *groups.healpix_min[1:].tolist(), partition.stop]
    return [
        PatchExtent(
            f"{partition.order}/{partition.pixel}/{at}",
            int(groups.rows[at]),
            starts[at],
            starts[at + 1],
            picked=False,
            pieces={name: one.part(slice(at, at + 1)).pieces() for name, one in tables.items()},
        )
        for at in range(len(groups.rows))
    ]


def _ranges(partition: Partition, tables: Mapping[str, Groups], target: int) -> list[PatchExtent]:
    groups = next(iter(tables.values()))
    cuts = _cuts(groups, target)
    edges = [partition.start, *cuts.tolist(), partition.stop]
    found = []
    for at, (start, stop) in enumerate(itertools.pairwise(edges)):
        begins = (groups.healpix_min >= start) & (groups.healpix_min < stop)
        found.append(
            PatchExtent(
                f"{partition.order}/{partition.pixel}/{at}",
                int(groups.rows[begins].sum()),
                start,
                stop,
                picked=True,
                pieces={name: one.overlapping(np.array([[start, stop]])).pieces() for name, one in tables.items()},
            )
        )
    return found


def _cuts(groups: Groups, target: int) -> Numbers:
    """Return the ``_healpix_29`` at which new patches begin: starts of row groups, about every `target` rows."""
    order = np.argsort(groups.healpix_min, kind="stable")
    before = np.cumsum(groups.rows[order]) - groups.rows[order]
    opens = np.flatnonzero(np.diff(before // target, prepend=0) > 0)
    return np.unique(groups.healpix_min[order][opens])
