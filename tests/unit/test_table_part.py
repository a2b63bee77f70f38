"""The rows of a publication from a compacted table: all of the selection, read and written part by part.

Covered: equal rows before and after compaction, ranges that are read, row groups that are left out or joined. Not
covered: S3 itself (services/test_s3.py); the verb (services/test_share_publish.py).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest

from gozen.archive.stores.fsspec_store import ObjectStore
from gozen.catalog import open_catalog
from gozen.catalog.format import partition_parquet
from gozen.catalog.maintain.compact import compact
from gozen.catalog.read import row_group_batches
from gozen.catalog.write.append import append_night
from gozen.errors import BadRequest
from gozen.publication import table_part
from gozen.publication.table_part import TablePart, write_table_part

from ..catalog_samples import field_of, identities, rows_of

NIGHTS = (20240101, 20240102, 20240103)
WEST, EAST = field_of(count=40, ra=149.0, seed=1), field_of(count=40, ra=151.0, seed=2)


class FarStore(ObjectStore):
    """A store of objects in memory that notes which ranges are read."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.ranges: list[tuple[int, int]] = []

    def read(self, key: str) -> bytes:
        assert "/dataset/Norder" not in key, f"{key} is read whole"
        return super().read(key)

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        self.ranges.append((start, stop))
        return super().read_range(key, start, stop)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return an archive whose small row groups are read two at a time; the third night has other stars."""
    monkeypatch.setattr(partition_parquet, "SOURCE_ROW_GROUP", 40)
    monkeypatch.setattr(row_group_batches, "BATCH", 2)
    url = f"memory://{tmp_path}"
    store = ObjectStore(url)
    for night in NIGHTS:
        field = EAST if night == NIGHTS[2] else WEST
        append_night(store, "lightcurves", night, [rows_of(field, night, one, filter="R") for one in ("1", "2")])
    return url


def written(
    url: str, folder: Path, wanted: Collection[tuple[int, str]], most_rows: int = 10**6
) -> tuple[FarStore, TablePart]:
    commits: Any = [SimpleNamespace(night=str(night), exposure=one, run="r1", sensor="111") for night, one in wanted]
    store = FarStore(url)
    catalog = open_catalog(store, "lightcurves")
    store.ranges.clear()
    parquet, csv = folder / "a.parquet", folder / "a.csv"
    return store, write_table_part(store, catalog, commits, parquet, csv, most_rows)


@pytest.mark.parametrize("is_compacted", [False, True])
def test_the_rows_of_a_selection_and_no_others(archive: str, tmp_path: Path, is_compacted: bool) -> None:
    if is_compacted:
        compact(ObjectStore(archive), "lightcurves", everything=True)
    _, part = written(archive, tmp_path, [(NIGHTS[0], "1"), (NIGHTS[2], "2")])
    found = pq.read_table(tmp_path / "a.parquet")
    every = [rows_of(WEST, NIGHTS[0], "1"), rows_of(EAST, NIGHTS[2], "2")]
    assert identities(found) == identities(pa.concat_tables(every))
    assert (part.rows, part.filters) == (len(found), ("R",))


def test_a_merged_file_is_read_by_ranges_without_row_groups_of_other_nights(archive: str, tmp_path: Path) -> None:
    compact(ObjectStore(archive), "lightcurves", everything=True)
    both, _ = written(archive, tmp_path, [(NIGHTS[0], "1"), (NIGHTS[2], "1")])
    third, part = written(archive, tmp_path, [(NIGHTS[2], "1")])
    size = max(file.bytes for file in open_catalog(third, "lightcurves").manifest.files)
    assert part.rows == 120
    assert 0 < max(stop - start for start, stop in both.ranges) < size / 4
    assert 0 < len(third.ranges) < len(both.ranges)


def test_small_parts_are_written_together(archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(archive, tmp_path, [(NIGHTS[0], "1")])
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 1
    monkeypatch.setattr(table_part, "_PART_ROWS", 50)
    written(archive, tmp_path, [(NIGHTS[0], "1")])
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups in (2, 3)


def test_a_selection_that_is_too_large_is_refused(archive: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="more than 100 rows of the table lightcurves"):
        written(archive, tmp_path, [(NIGHTS[0], "1")], most_rows=100)


def test_a_spreadsheet_runs_no_text_of_the_csv_file_and_numbers_stay(tmp_path: Path) -> None:
    store, south = ObjectStore(f"memory://{tmp_path}"), field_of(dec=-5.0)
    filters = ("=1+1", "@SUM(A1)", "-x", "+x", "R=", "R")
    exposures = [rows_of(south, NIGHTS[0], str(number), filter=one) for number, one in enumerate(filters)]
    append_night(store, "lightcurves", NIGHTS[0], exposures)
    written(store.url, tmp_path, [(NIGHTS[0], str(number)) for number in range(len(filters))])
    binary, text = pq.read_table(tmp_path / "a.parquet"), pv.read_csv(tmp_path / "a.csv")
    assert set(binary["filter"].to_pylist()) == set(filters)
    assert set(text["filter"].to_pylist()) == {"'=1+1", "'@SUM(A1)", "'-x", "'+x", "R=", "R"}
    assert pc.min(text["dec"]).as_py() == pc.min(binary["dec"]).as_py() < 0
