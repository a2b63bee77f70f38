"""Collect a night's rows by partition, on disk if they exceed the memory limit."""

from __future__ import annotations

import itertools
import tempfile
from collections import defaultdict
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from gozen.catalog.format import partition_parquet
from gozen.catalog.format.healpix import ORDER
from gozen.catalog.write.conform_rows import further_diameters

MEMORY = 2 << 30
"""Bytes of Arrow data to keep in memory; if there are more, they are written to the temporary folder."""


class Buckets:
    """Rows collected by HEALPix pixel; a context manager that deletes its temporary folder.

    Parameters
    ----------
    order
        HEALPix order of the pixels.
    memory
        Bytes of rows to keep in memory.
    """

    def __init__(self, order: int, memory: int = MEMORY) -> None:
        self._shift = 2 * (ORDER - order)
        self._memory = memory
        self._held: dict[int, list[pa.Table]] = defaultdict(list)
        self._bytes = 0
        self._diameters: set[int] = set()
        self._spilled: dict[int, list[Path]] = defaultdict(list)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Buckets:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, table: pa.Table) -> None:
        """Add rows; every row needs ``_healpix_29``."""
        self._diameters |= set(further_diameters(table.column_names))
        pixel = partition_parquet.numbers(table, "_healpix_29") >> self._shift
        if len(pixel) and (pixel != pixel[0]).any():
            order = np.argsort(pixel, kind="stable")
            table, pixel = table.combine_chunks().take(pa.array(order)), pixel[order]
        for first, last in _runs(pixel):
            self._held[int(pixel[first])].append(table.slice(first, last - first))
        self._bytes += table.nbytes
        if self._bytes > self._memory:
            self._spill()

    def diameters(self) -> list[int]:
        """Return the diameters of all further apertures in the rows, in pixels, sorted."""
        return sorted(self._diameters)

    def pixels(self) -> list[int]:
        """Return the pixels with rows, sorted."""
        return sorted({*self._held, *self._spilled})

    def rows(self, pixel: int) -> pa.Table:
        """Return the rows of a pixel, in the order in which they were added."""
        spilled = [_read(path) for path in self._spilled.get(pixel, [])]
        return pa.concat_tables(
            [*spilled, *self._held.get(pixel, [])], promote_options="permissive"
        ).unify_dictionaries()

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="gozen-append-")
        for pixel, tables in self._held.items():
            path = Path(self._folder.name) / f"{pixel}-{len(self._spilled[pixel])}.arrow"
            table = pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table.combine_chunks())
            self._spilled[pixel].append(path)
        self._held.clear()
        self._bytes = 0


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Return the range [first, last) of each run of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return [(first, last) for first, last in itertools.pairwise(edges) if last > first]
