"""Sort any number of rows by sky position, on disk if they exceed the memory limit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gozen.catalog.format import partition_parquet
from gozen.catalog.write.spill import MEMORY

_PIECE = 65_536


class SortedRuns:
    """Rows of tables, added in any order and returned sorted; a context manager that deletes its temporary files.

    Parameters
    ----------
    schema
        The schema of every table.
    memory
        Bytes to collect in memory; if there are more, they are sorted and written to the temporary folder.
    """

    def __init__(self, schema: pa.Schema, memory: int = MEMORY) -> None:
        self._schema = schema
        self._memory = memory
        self._gathered: list[pa.Table] = []
        self._bytes = 0
        self._runs: list[pa.Table] = []
        self._places: list[NDArray[np.int64]] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> SortedRuns:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runs.clear()
        self._places.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, table: pa.Table) -> None:
        """Add rows."""
        self._gathered.append(table)
        self._bytes += table.nbytes
        if self._bytes > self._memory:
            self._spill()

    def finish(self) -> None:
        """Sort the rows that were added last; must be called before rows are counted or read."""
        if self._gathered:
            self._keep(self._sorted())

    def count(self, start: int, stop: int) -> int:
        """Return the number of rows in [start, stop) of ``_healpix_29``."""
        return sum(int(np.diff(np.searchsorted(places, [start, stop]))[0]) for places in self._places)

    def rows(self, start: int, stop: int) -> pa.Table:
        """Return the sorted rows in [start, stop) of ``_healpix_29``."""
        parts = []
        for run, places in zip(self._runs, self._places, strict=True):
            first, last = np.searchsorted(places, [start, stop])
            if last > first:
                parts.append(run.slice(first, last - first))
        return self._merged(parts)

    def ranges(self, ranges: NDArray[np.int64]) -> pa.Table:
        """Return the sorted rows in ranges [start, stop) of ``_healpix_29``, shape (M, 2).

        The ranges must be sorted, and must not overlap.
        """
        parts = []
        for run, places in zip(self._runs, self._places, strict=True):
            edges = np.searchsorted(places, ranges)
            filled = edges[edges[:, 0] < edges[:, 1]].tolist()  # of a margin's ranges, nearly all are empty
            if filled:
                parts.append(run.take(pa.array(np.concatenate([np.arange(*one) for one in filled]))))
        return self._merged(parts)

    def _merged(self, parts: list[pa.Table]) -> pa.Table:
        if len(parts) < 2:
            return parts[0] if parts else self._schema.empty_table()
        return partition_parquet.sorted_rows(pa.concat_tables(parts).unify_dictionaries())

    def _sorted(self) -> pa.Table:
        table = partition_parquet.sorted_rows(pa.concat_tables(self._gathered).unify_dictionaries())
        self._gathered.clear()
        self._bytes = 0
        return table

    def _keep(self, run: pa.Table) -> None:
        self._runs.append(run)
        self._places.append(partition_parquet.numbers(run, "_healpix_29"))

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="gozen-runs-")
        path = Path(self._folder.name) / f"{len(self._runs)}.arrow"
        run = self._sorted()
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, run.schema) as writer:
            for batch in _pieces(run):
                writer.write_batch(batch)
        del run
        self._keep(_mapped(path))


def _pieces(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield the table in batches with the same dictionaries: an Arrow file may contain only one for each column."""
    yield from table.unify_dictionaries().combine_chunks().to_batches(max_chunksize=_PIECE)


def _mapped(path: Path) -> pa.Table:
    """Return the rows of a sorted file as a memory map, so the operating system loads and drops its pages."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
