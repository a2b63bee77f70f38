"""Test patches from the row-group index, without files.

Covered: row groups of objects, a partition with several files, tables with the same cuts or not, empty tables, patches
that a region overlaps. Light curves and real files: tests/property/test_quickdb_patches.py.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gozen.catalog.format import row_group_index
from gozen.quickdb.patches.patch_extents import overlapping, patches_of, same_cuts

WIDE = 4**24
"""Pixels of order 29 in one of order 5."""


def index_of(*groups: tuple[str, int, int, int, int]) -> pa.Table:
    """Make an index of (file, row group, rows, first pixel, last pixel)."""
    rows = [
        (file, number, rows, first, last, 1, 2, number * 100, number * 100 + 100, 5000, 6000)
        for file, number, rows, first, last in groups
    ]
    return pa.table(
        [
            pa.array(column, field.type)
            for column, field in zip(zip(*rows, strict=True), row_group_index.SCHEMA, strict=True)
        ]
        if rows
        else [pa.array([], field.type) for field in row_group_index.SCHEMA],
        schema=row_group_index.SCHEMA,
    )


def file(pixel: int, name: str = "0-a") -> str:
    return f"Norder=5/Dir=0/Npix={pixel}/{name}.parquet"


OBJECTS = index_of((file(3), 0, 100, 3 * WIDE + 5, 3 * WIDE + 50), (file(3), 1, 80, 3 * WIDE + 60, 3 * WIDE + 99),
                   (file(7), 0, 60, 7 * WIDE, 7 * WIDE + 1))  # fmt: skip


def test_a_patch_of_objects_is_a_row_group() -> None:
    found = patches_of({"forced": OBJECTS}, "object")
    assert [(patch.id, patch.rows, patch.picked) for patch in found] == [
        ("5/3/0", 100, False), ("5/3/1", 80, False), ("5/7/0", 60, False),
    ]  # fmt: skip
    assert [patch.pieces["forced"][0].groups for patch in found] == [(0,), (1,), (0,)]


def test_patches_of_a_partition_cover_it_without_a_gap() -> None:
    found = patches_of({"forced": OBJECTS}, "object")
    assert [(patch.start, patch.stop) for patch in found] == [
        (3 * WIDE, 3 * WIDE + 60), (3 * WIDE + 60, 4 * WIDE), (7 * WIDE, 8 * WIDE),
    ]  # fmt: skip


def test_objects_of_several_files_are_put_together_by_their_place() -> None:
    several = index_of(
        (file(3, "0-a"), 0, 100, 3 * WIDE + 5, 3 * WIDE + 50), (file(3, "0-b"), 0, 80, 3 * WIDE + 20, 3 * WIDE + 99)
    )
    (patch,) = patches_of({"objects": several}, "object")
    assert patch.picked
    assert patch.rows == 180
    assert len(patch.pieces["objects"]) == 2


def test_tables_with_the_same_cuts() -> None:
    other = index_of(*((one["file"].replace("0-a", "0-b"), *list(one.values())[1:5]) for one in OBJECTS.to_pylist()))
    assert same_cuts(OBJECTS, other)
    found = patches_of({"forced": OBJECTS, "meas": other}, "object")
    assert {name: one[0].path for name, one in found[0].pieces.items()} == {"forced": file(3), "meas": file(3, "0-b")}


@pytest.mark.parametrize(
    "other",
    [
        OBJECTS.slice(1),
        OBJECTS.set_column(2, "rows", pa.array([100, 79, 60])),
        OBJECTS.set_column(0, "file", pa.array([file(3), file(3), file(8)])),
        OBJECTS.set_column(6, "source_id_max", pa.array([2, 2, 3])),
    ],
    ids=["fewer", "rows", "partition", "ids"],
)
def test_tables_with_other_cuts(other: pa.Table) -> None:
    assert not same_cuts(OBJECTS, other)


def test_an_empty_table_has_no_patches() -> None:
    assert patches_of({"lightcurves": index_of()}, "source") == []
    assert patches_of({"forced": index_of()}, "object") == []


@pytest.mark.parametrize(
    ("ranges", "ids"),
    [
        ([[0, 12 * 4**29]], ["5/3/0", "5/3/1", "5/7/0"]),
        ([[3 * WIDE + 60, 3 * WIDE + 61]], ["5/3/1"]),
        ([[3 * WIDE + 59, 3 * WIDE + 61]], ["5/3/0", "5/3/1"]),
        ([[4 * WIDE, 7 * WIDE]], []),
        ([[0, 5], [7 * WIDE + 9, 7 * WIDE + 10], [9 * WIDE, 10 * WIDE]], ["5/7/0"]),
        ([[0, 3 * WIDE]], []),
    ],
)
def test_patches_in_ranges(ranges: list[list[int]], ids: list[str]) -> None:
    found = overlapping(patches_of({"forced": OBJECTS}, "object"), np.array(ranges))
    assert [patch.id for patch in found] == ids


def test_no_ranges_no_patches() -> None:
    assert overlapping(patches_of({"forced": OBJECTS}, "object"), np.empty((0, 2), np.int64)) == []
    assert overlapping([], np.array([[0, 1]])) == []
