"""Compact a table: write its next generation with fewer files per partition and no oversized partitions.

The files of other partitions are linked on a disk, and copied on S3. The previous generation does not change, so its
readers can finish; `old_generations` deletes it later.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import hats_files, layout, manifest, next_version, partition_parquet, row_group_index
from gozen.catalog.format.layout import Partition
from gozen.catalog.format.manifest import DataFile, Manifest
from gozen.catalog.format.next_version import Written
from gozen.catalog.maintain.merge_files import SortedFiles, merged_file
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.write import margins
from gozen.catalog.write.write_table import partitions_of

MOST_FILES = 16
"""A partition with more files is merged, because a look-up reads a row group of every file."""

PARTITION_ROWS = 20_000_000
"""A partition with more rows is split."""


@dataclass(frozen=True)
class CompactReport:
    """The result of a compaction.

    Parameters
    ----------
    name, version, generation
        The table, and its version and generation afterwards.
    files_before, files_after
        Number of data files.
    merged
        Number of partitions that were rewritten.
    split
        Number of rewritten partitions that were split into several.
    """

    name: str
    version: int
    generation: int
    files_before: int
    files_after: int
    merged: int = 0
    split: int = 0


@dataclass(frozen=True)
class _Rewritten:
    """Rewritten partitions in a generation that no version names yet."""

    base: Manifest
    generation: int
    parts: dict[Partition, list[Written]]

    @property
    def dropped(self) -> frozenset[str]:
        return frozenset(f.path for f in self.base.files if layout.partition_of(f.path) in self.parts)


def compact(
    store: Store,
    name: str,
    *,
    everything: bool = False,
    most_files: int = MOST_FILES,
    partition_rows: int = PARTITION_ROWS,
) -> CompactReport:
    """Merge the files of partitions with many files and split large partitions, in the next generation.

    The rows do not change. Readers of the previous generation are not disturbed. Rows that are appended meanwhile are
    included; if rows were replaced meanwhile, the compaction starts again. The process may be killed at any point. If
    no partition has to change, no new generation is written.

    Parameters
    ----------
    store
        The archive.
    name
        The table.
    everything
        Whether every partition with more than one file is merged.
    most_files
        Maximum number of files in a partition.
    partition_rows
        Maximum number of rows in a partition.

    Raises
    ------
    MissingObject
        There is no such table, or it lacks a file.
    UnreadableInput
        A file is damaged; the message names it.
    """
    done: _Rewritten | None = None
    while True:
        base = manifest.current_or_raise(store, name)
        wanted = partitions_to_merge(base.files, 1 if everything else most_files, partition_rows)
        if not wanted:
            # A compaction that was killed after its commit left the side files of the previous generation.
            hats_files.publish(store, base)
            return CompactReport(name, base.version, base.generation, len(base.files), len(base.files))
        # If an append took the number, it has usually only added files. Then the merged files are used again.
        if done is None or not _still_right(done, base):
            done = _rewritten(store, base, wanted, partition_rows)
        version = _successor(store, base, done)
        if manifest.commit(store, version):
            hats_files.publish(store, version)
            return CompactReport(
                name, version.version, version.generation, len(base.files), len(version.files),
                merged=len(done.parts), split=sum(len(files) > 1 for files in done.parts.values()),
            )  # fmt: skip


def partitions_to_merge(files: Iterable[DataFile], most_files: int, most_rows: int) -> list[Partition]:
    """Return the partitions to rewrite: those with too many files or too many rows, sorted by sky position.

    Parameters
    ----------
    files
        The files of a version.
    most_files, most_rows
        Maximum number of files and of rows in a partition.
    """
    of: dict[Partition, list[DataFile]] = {}
    for file in files:
        of.setdefault(layout.partition_of(file.path), []).append(file)
    many = [
        one for one, held in of.items()
        if len(held) > most_files or (sum(f.rows for f in held) > most_rows and one.order < layout.DEEPEST)
    ]  # fmt: skip
    return sorted(many, key=lambda one: one.start)


def _still_right(done: _Rewritten, base: Manifest) -> bool:
    """Tell whether a later version differs from the rewritten one only by new files, none in a split partition."""
    if base.generation != done.base.generation or not set(done.base.files) <= set(base.files):
        return False
    split = {one for one, files in done.parts.items() if [layout.partition_of(f.file.path) for f in files] != [one]}
    return not split & {layout.partition_of(file.path) for file in set(base.files) - set(done.base.files)}


def _rewritten(store: Store, base: Manifest, wanted: list[Partition], partition_rows: int) -> _Rewritten:
    schema = partition_parquet.schema(store.read(base.key_of(base.schema)))
    groups = partition_parquet.decoded(store.read(base.key_of(base.index)))
    generation = manifest.claim_generation(store, base.name, base.generation)
    put = next_version.writer(store, base.name, generation)
    row_group = partition_parquet.SOURCE_ROW_GROUP if base.kind == "source" else partition_parquet.ROW_GROUP
    parts = {}
    for one in wanted:
        files = [file for file in base.files if layout.partition_of(file.path) == one]
        source = SortedFiles(store, base, [file.path for file in files], _groups_of(groups, files), schema)
        nights = {layout.night_of_path(file.path) for file in files}
        night = nights.pop() if len(nights) == 1 else layout.SEVERAL_NIGHTS
        pieces = _split(one, source, sum(file.rows for file in files), partition_rows)
        parts[one] = [merged_file(source, piece, night, schema, put, row_group) for piece in pieces]
    return _Rewritten(base, generation, parts)


def _split(one: Partition, source: SortedFiles, held: int, most: int) -> list[Partition]:
    if held <= most:
        return [one]
    places = source.places()

    def count(start: int, stop: int) -> int:
        return sum(int(np.diff(np.searchsorted(file, [start, stop]))[0]) for file in places)

    return partitions_of(count, most, within=[one])


def _groups_of(groups: pa.Table, files: list[DataFile]) -> pa.Table:
    return groups.filter(pc.is_in(groups["file"], value_set=pa.array([file.path for file in files])))


def _successor(store: Store, base: Manifest, done: _Rewritten) -> Manifest:
    """Link the files of all other partitions; return the manifest of the next version, not yet committed."""
    kept = [file for file in base.files if file.path not in done.dropped]
    next_version.link_files(store, base, done.generation, [file.path for file in kept])
    added = list(itertools.chain.from_iterable(done.parts.values()))
    groups = partition_parquet.decoded(store.read(base.key_of(base.index)))
    groups = row_group_index.next_index(groups, done.dropped, [one.groups for one in added])
    version = dataclasses.replace(
        base,
        version=base.version + 1,
        generation=done.generation,
        files=tuple(sorted([*kept, *(one.file for one in added)])),
        index=next_version.put_part(store, base.name, "index", "parquet", partition_parquet.small_file(groups)),
    )
    if base.margin:
        catalog = Catalog(store, version)
        version = margins.write(store, version, margins.width(base.margin), catalog.schema, catalog.within)
    return version
