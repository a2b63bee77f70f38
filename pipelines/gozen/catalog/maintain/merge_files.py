"""Merge the sorted data files of a partition piece by piece.

Only two decoded pieces are in memory at a time. The encoded file and the keys of all rows are in memory too.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import hats_files, next_version, partition_parquet, row_group_index
from gozen.catalog.format.layout import Partition
from gozen.catalog.format.manifest import DataFile, Manifest
from gozen.catalog.format.next_version import Put, Written
from gozen.catalog.read import row_group_reader
from gozen.catalog.write import conform_rows

PIECE_ROWS = 1_000_000
"""Rows of a piece. Two pieces are in memory: one is decoded while the one before is written."""


class SortedFiles:
    """The files of one partition, from which rows are read sorted by sky position.

    Parameters
    ----------
    store
        The archive.
    version
        The version of the table.
    paths
        Paths of the files below ``dataset/``.
    groups
        Their rows in the row-group index.
    schema
        The table's columns.
    """

    def __init__(
        self, store: Store, version: Manifest, paths: Iterable[str], groups: pa.Table, schema: pa.Schema
    ) -> None:
        self._schema = schema
        self.groups = groups
        self._store = store
        self._keys = {path: version.key_of_file(path) for path in paths}
        self._files = {path: row_group_reader.opened(store, key, schema) for path, key in self._keys.items()}

    def places(self) -> list[NDArray[np.int64]]:
        """Return ``_healpix_29`` of each file, sorted."""
        found = []
        for path, file in self._files.items():
            with row_group_reader.damage_named(self._store, self._keys[path]):
                found.append(partition_parquet.numbers(file.read(["_healpix_29"], use_threads=False), "_healpix_29"))
        return found

    def rows(self, start: int, stop: int) -> pa.Table:
        """Return the rows in [start, stop) of ``_healpix_29``, sorted."""
        inside = pc.and_(pc.greater_equal(self.groups["healpix_max"], start), pc.less(self.groups["healpix_min"], stop))
        wanted: dict[str, list[int]] = {}
        touched = self.groups.filter(inside)
        for path, number in zip(touched["file"].to_pylist(), touched["row_group"].to_pylist(), strict=True):
            wanted.setdefault(path, []).append(number)
        parts = []
        for path, numbers in wanted.items():
            with row_group_reader.damage_named(self._store, self._keys[path]):
                part = self._files[path].read_row_groups(numbers, use_threads=False)
            first, last = np.searchsorted(partition_parquet.numbers(part, "_healpix_29"), [start, stop])
            parts.append(conform_rows.with_columns_of(part.slice(first, last - first), self._schema))
        if not parts:
            return conform_rows.with_columns_of(self._schema.empty_table(), self._schema)
        return partition_parquet.sorted_rows(pa.concat_tables(parts).unify_dictionaries())


def merged_file(
    source: SortedFiles, partition: Partition, night: int, schema: pa.Schema, put: Put, row_group: int
) -> Written:
    """Write the sorted rows of a partition as one file, with the row groups that `next_version.write_file` would make.

    Parameters
    ----------
    source
        The files to merge.
    partition
        The partition whose rows are written.
    night
        The number with which the file's name begins.
    schema
        The table's columns.
    put
        Stores bytes in the archive under a key.
    row_group
        Target number of rows in a row group.
    """
    edges = row_group_index.cut_range(source.groups, partition.start, partition.stop, PIECE_ROWS)
    ranges = list(itertools.pairwise(edges))
    with ThreadPoolExecutor(1) as ahead:
        return _written(_ahead(ahead, source.rows, ranges), partition, night, schema, put, row_group)


def _written(
    pieces: Iterable[pa.Table], partition: Partition, night: int, schema: pa.Schema, put: Put, row_group: int
) -> Written:
    sink = io.BytesIO()
    keys: list[pa.Table] = []
    cuts = [0]
    with pq.ParquetWriter(sink, schema, **partition_parquet.options(schema)) as writer:
        for part, inner in _cut(pieces, row_group):
            part = part.cast(schema)
            for start, stop in itertools.pairwise(inner):
                writer.write_table(part.slice(start, stop - start), row_group_size=stop - start)
            cuts += [cuts[-1] + one for one in inner[1:]]
            keys.append(part.select(["_healpix_29", "source_id"]))
    data = sink.getvalue()
    held = pa.concat_tables(keys)
    path = f"{partition.folder}/{night}-{next_version.digest(data)}.parquet"
    put(path, data)
    return Written(
        DataFile(path, len(held), len(data)),
        row_group_index.rows_of_file(path, data, held, cuts),
        hats_files.coverage_of(partition_parquet.numbers(held, "_healpix_29")),
    )


def _cut(pieces: Iterable[pa.Table], row_group: int) -> Iterator[tuple[pa.Table, list[int]]]:
    """Yield rows with the cuts of their row groups; the last group of a piece is joined to the next piece."""
    rest: pa.Table | None = None
    for piece in pieces:
        part = piece if rest is None else pa.concat_tables([rest, piece]).unify_dictionaries()
        cuts = _cuts(part, row_group)
        rest = part.slice(cuts[-2]) if len(cuts) > 1 else part
        if len(cuts) > 2:
            yield part.slice(0, cuts[-2]), cuts[:-1]
    if rest is not None and len(rest):
        yield rest, _cuts(rest, row_group)


def _cuts(part: pa.Table, row_group: int) -> list[int]:
    return partition_parquet.row_group_cuts(
        partition_parquet.numbers(part, "_healpix_29"), partition_parquet.numbers(part, "source_id"), row_group
    )


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[[int, int], pa.Table], ranges: list[tuple[int, int]]
) -> Iterator[pa.Table]:
    """Yield the rows of each range; the next range is read at the same time."""
    pending = pool.submit(read, *ranges[0])
    for one in ranges[1:]:
        part = pending.result()
        pending = pool.submit(read, *one)
        yield part
    yield pending.result()
