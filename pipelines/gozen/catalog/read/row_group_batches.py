"""Read the rows of some nights from a data file in batches of row groups: merged files may exceed the memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from gozen.archive.stores.open_store import Store
from gozen.catalog.format.partition_parquet import byte_ranges
from gozen.catalog.read.row_group_reader import damage_named, window

BATCH = 32
"""Row groups of a batch, which one request fetches: about 2 MB of a light-curve table."""


def batches_of_nights(store: Store, key: str, nights: Collection[int]) -> Iterator[pa.Table]:
    """Yield the rows of a data file in the order of the file, without row groups that have none of some nights.

    Rows of other nights in the same row group are part of a batch.

    Raises
    ------
    UnreadableInput
        The file is missing (`MissingObject`), cut short or damaged; the message names it.
    StorageUnavailable
        The storage does not answer.
    """
    with damage_named(store, key):
        size = store.size(key)
        with store.open(key) as source:
            metadata = pq.read_metadata(source)
        ranges = list(byte_ranges(metadata))
    for run in _runs(_with_nights(metadata, nights)):
        with damage_named(store, key):
            start, stop = ranges[run[0]][0], ranges[run[-1]][1]
            part = pa.PythonFile(window(start, store.read_range(key, start, stop), size), mode="r")
            rows = pq.ParquetFile(part, metadata=metadata, pre_buffer=False).read_row_groups(run, use_threads=False)
        yield rows


def _with_nights(metadata: pq.FileMetaData, nights: Collection[int]) -> Iterator[int]:
    """Yield the numbers of the row groups that may have rows of the nights, according to their statistics."""
    columns = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    night = columns.index("night")
    for number in range(metadata.num_row_groups):
        known = metadata.row_group(number).column(night).statistics
        if known is None or not known.has_min_max or any(known.min <= one <= known.max for one in nights):
            yield number


def _runs(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Yield runs of numbers without gaps, each of at most `BATCH` numbers."""
    run: list[int] = []
    for number in numbers:
        if run and (number != run[-1] + 1 or len(run) == BATCH):
            yield run
            run = []
        run.append(number)
    if run:
        yield run
