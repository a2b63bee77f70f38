"""The row-group index: for each row group its byte range, and the ranges of its positions and ids. No I/O."""

from __future__ import annotations

import bisect
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gozen.catalog.format import partition_parquet
from gozen.catalog.format.layout import Partition, partition_of

SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("row_group", pa.int32()),
        ("rows", pa.int64()),
        ("healpix_min", pa.int64()),
        ("healpix_max", pa.int64()),
        ("source_id_min", pa.int64()),
        ("source_id_max", pa.int64()),
        ("start", pa.int64()),
        ("stop", pa.int64()),
        ("footer", pa.int64()),
        ("size", pa.int64()),
    ]
)


def rows_of_file(path: str, data: bytes, rows: pa.Table, cuts: list[int]) -> pa.Table:
    """Return the index rows of one file.

    Parameters
    ----------
    path
        Path of the file below ``dataset/``.
    data
        Bytes of the file.
    rows
        Sorted rows of the file.
    cuts
        The row numbers at which its row groups begin and, last, the number of rows.

    Returns
    -------
    pa.Table
        One row for each row group. Its bytes are [``start``, ``stop``); the footer's bytes are [``footer``, ``size``).
    """
    healpix, source = partition_parquet.numbers(rows, "_healpix_29"), partition_parquet.numbers(rows, "source_id")
    ranges = np.array(list(partition_parquet.byte_ranges(pq.read_metadata(io.BytesIO(data)))), np.int64).reshape(-1, 2)
    first, count = np.array(cuts[:-1]), np.diff(cuts)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    columns = [
        [path] * len(first), np.arange(len(first)), count,
        healpix[first], healpix[first + count - 1],
        np.minimum.reduceat(source, first), np.maximum.reduceat(source, first),
        ranges[:, 0], ranges[:, 1], np.full(len(first), footer), np.full(len(first), len(data)),
    ]  # fmt: skip
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def next_index(old: pa.Table, dropped: Iterable[str], added: Iterable[pa.Table]) -> pa.Table:
    """Return the index of the next version, sorted by partition, file and row group.

    Parameters
    ----------
    old
        The index of the version before.
    dropped
        Paths of files that the next version does not have.
    added
        Index rows of new files.
    """
    gone = pa.array(sorted(set(dropped)), pa.string())
    kept = old.filter(pa.compute.invert(pa.compute.is_in(old.column("file"), value_set=gone)))
    table = pa.concat_tables([kept, *added]).combine_chunks()
    paths, file = _files(table)
    order = sorted(range(len(paths)), key=lambda one: (partition_of(paths[one]).start, paths[one]))
    rank = np.empty(len(paths), np.int64)
    rank[order] = np.arange(len(paths))
    return table.take(pa.array(np.lexsort([partition_parquet.numbers(table, "row_group"), rank[file]])))


def cut_range(groups: pa.Table, start: int, stop: int, size: int) -> list[int]:
    """Divide a range of ``_healpix_29`` into ranges with about `size` rows each; return their edges.

    Parameters
    ----------
    groups
        Index rows of the files that contain the rows.
    start, stop
        The range to divide.
    size
        Target number of rows in a range.
    """
    least = partition_parquet.numbers(groups, "healpix_min")
    order = np.argsort(least, kind="stable")
    rows = np.cumsum(partition_parquet.numbers(groups, "rows")[order])
    edges = least[order][np.searchsorted(rows, np.arange(size, int(rows[-1]) if len(rows) else 0, size))]
    return [start, *np.unique(edges[(edges > start) & (edges < stop)]).tolist(), stop]


def _files(table: pa.Table) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct paths in an index, and for each row the number of its path."""
    column = table.column("file").combine_chunks().dictionary_encode()
    return column.dictionary.to_pylist(), column.indices.to_numpy().astype(np.int64)


@dataclass(frozen=True)
class RowGroup:
    """One row group: its number in its file, its bytes, and the bytes [footer, size) of the file's footer."""

    path: str
    number: int
    start: int
    stop: int
    footer: int
    size: int


class RowGroups:
    """The index of one version, prepared for fast look-ups by bisection over the partitions.

    Parameters
    ----------
    table
        The index, sorted as `next_index` returns it.
    """

    def __init__(self, table: pa.Table) -> None:
        self.paths, self._file = _files(table)
        self._array = {name: partition_parquet.numbers(table, name) for name in SCHEMA.names if name != "file"}
        changes = np.flatnonzero(np.diff(self._file, prepend=-1))
        of_file = [partition_of(self.paths[one]) for one in self._file[changes].tolist()]
        first = [i for i, p in enumerate(of_file) if i == 0 or p != of_file[i - 1]]
        self.partitions: list[Partition] = [of_file[i] for i in first]
        self._slices = [*changes[first].tolist(), len(self._file)]
        self._starts = [p.start for p in self.partitions]
        self._stops = [p.stop for p in self.partitions]

    def of_id(self, source_id: int, ranges: NDArray[np.int64]) -> list[RowGroup]:
        """Return the row groups that may contain a source, from its id and ranges of ``_healpix_29`` around it."""
        at = self._of(ranges)
        least, most = self._array["source_id_min"][at], self._array["source_id_max"][at]
        return self._groups(at[(least <= source_id) & (source_id <= most)])

    def of_ranges(self, ranges: NDArray[np.int64]) -> list[RowGroup]:
        """Return the row groups that overlap sorted ranges [start, stop) of ``_healpix_29``, shape (M, 2)."""
        return self._groups(self._of(ranges))

    def _of(self, ranges: NDArray[np.int64]) -> NDArray[np.int64]:
        found = [one for start, stop in ranges.tolist() if len(one := self._of_one(start, stop))]
        if len(found) < 2:
            return found[0] if found else np.empty(0, np.int64)
        together: NDArray[np.int64] = np.unique(np.concatenate(found))
        return together

    def _of_one(self, start: int, stop: int) -> NDArray[np.int64]:
        low = bisect.bisect_right(self._stops, start)
        high = max(bisect.bisect_left(self._starts, stop), low)
        rows = slice(self._slices[low], self._slices[high])
        overlap = (self._array["healpix_max"][rows] >= start) & (self._array["healpix_min"][rows] < stop)
        found: NDArray[np.int64] = np.flatnonzero(overlap) + self._slices[low]
        return found

    def _groups(self, at: NDArray[np.int64]) -> list[RowGroup]:
        paths = [self.paths[file] for file in self._file[at].tolist()]
        columns = [self._array[name][at].tolist() for name in ("row_group", "start", "stop", "footer", "size")]
        return [RowGroup(*row) for row in zip(paths, *columns, strict=True)]
