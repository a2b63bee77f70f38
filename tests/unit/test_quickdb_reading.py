"""Test columns of patches from remote files: which ranges are requested, and that memory is released.

Covered: the rows, columns that a file lacks, few ranges, memory that is free without a garbage collection. Not covered:
real servers, damaged and missing files (tests/services).
"""

from __future__ import annotations

import gc
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gozen.archive.stores.fsspec_store import ObjectStore
from gozen.quickdb.patches import column_reader
from gozen.quickdb.patches.column_reader import TableReader, coalesced
from gozen.quickdb.patches.patch_extents import Piece

GROUPS, ROWS = 40, 1000
NAMES = ["flux", "wide", "far"]


class Counting(ObjectStore):
    """A store elsewhere that notes which ranges are asked for."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[tuple[int, int]] = []

    def read_ranges(self, key: str, ranges: list[tuple[int, int]]) -> list[memoryview]:
        self.asked += ranges
        return super().read_ranges(key, ranges)


@pytest.fixture
def table() -> pa.Table:
    rng = np.random.default_rng(1)
    return pa.table({name: rng.random(GROUPS * ROWS) for name in NAMES})


@pytest.fixture
def far(table: pa.Table) -> tuple[Counting, list[Piece]]:
    """Return a store with one file, and its pieces."""
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=ROWS, use_dictionary=False)
    data = sink.getvalue()
    store = Counting("memory://test_quickdb_reading")
    store.write("dataset/a.parquet", data)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return store, [Piece("a.parquet", (number,), ROWS, footer, len(data)) for number in range(GROUPS)]


def test_rows_are_those_of_the_file_and_absent_columns_are_left_out(far, table) -> None:
    store, pieces = far
    reader = TableReader(store, "dataset")
    reader.begin(pieces, ["flux"])
    for number, piece in enumerate(pieces):
        reader.reach([piece])
        found = reader.read(piece, ["flux", "none"] if number % 2 else ["flux"])
        assert found.equals(table.select(["flux"]).slice(number * ROWS, ROWS))


def test_neighbours_come_in_one_range_and_the_footer_once(far) -> None:
    store, pieces = far
    reader = TableReader(store, "dataset")
    for piece in pieces:
        reader.read(piece, NAMES)
    assert store.asked.count((pieces[0].footer, pieces[0].size)) == 1
    assert len(store.asked) == 1 + GROUPS


def test_what_was_read_is_let_go_of_at_once(far) -> None:
    store, pieces = far
    reader = TableReader(store, "dataset")
    gc.collect()
    gc.disable()
    try:
        reader.begin(pieces, ["flux"])
        for piece in pieces:
            reader.reach([piece])
            reader.read(piece, ["flux"])
        parts = [one for one in gc.get_objects() if isinstance(one, column_reader._FileRanges)]
    finally:
        gc.enable()
    assert 1 <= len([part for part in parts if part.url.startswith(store.url)]) <= 2


def test_ranges_are_joined_across_small_gaps_only() -> None:
    assert coalesced([(50, 60), (0, 10), (15, 20), (100, 110)], gap=10) == [(0, 20), (50, 60), (100, 110)]
    assert coalesced([(0, 100), (10, 20)], gap=0) == [(0, 100)]
    assert coalesced([]) == []
