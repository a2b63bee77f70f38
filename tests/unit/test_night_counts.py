"""Test the counts of a night in the observation log, also while its table is rewritten, and if it is damaged."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.interruptions import MemoryStore
from tests.portal_samples import write_night

from gozen.archive import keys
from gozen.archive.log.night_counts import NightCounts, count_night
from gozen.archive.log.search_log import nights
from gozen.archive.stores.open_store import Store, open_store
from gozen.archive.stores.range_file import RangedFile
from gozen.errors import StorageUnavailable, UnreadableInput

NIGHT = "20260115"
KEY = keys.log_table("exposures", NIGHT)


def write_rows(store: Store, **columns: list[object]) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    store.write(KEY, sink.getvalue())


class Rewritten(MemoryStore):
    """A store as S3: a range at a time; somebody adds an exposure to the table after each read."""

    exposures = 1

    def read_range(self, key, start, stop):
        found = super().read_range(key, start, stop)
        self.exposures += 500
        write_night(self, NIGHT, self.exposures)
        return found

    def open(self, key):
        return io.BufferedReader(RangedFile(self.size(key), lambda *span: self.read_range(key, *span), key), 64)


def test_a_table_that_is_rewritten_meanwhile_is_counted_as_it_was() -> None:
    store = Rewritten()
    write_night(store, NIGHT, exposures=2, rejected=1)
    assert count_night(store, NIGHT) == NightCounts(NIGHT, 2, 3, 1, 61054.5, 61054.51)


def test_a_night_without_table_has_no_exposures() -> None:
    assert count_night(MemoryStore(), NIGHT) == NightCounts(NIGHT)


def test_a_damaged_table_is_named_with_what_to_do() -> None:
    store = MemoryStore()
    store.write(KEY, b"not a table")
    with pytest.raises(UnreadableInput, match=f"gozen archive rebuild {NIGHT}"):
        count_night(store, NIGHT)


def test_a_disk_that_fails_does_not_make_the_table_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / KEY).parent.mkdir(parents=True)
    (tmp_path / KEY).symlink_to("/proc/self/mem")  # can be opened, but its first byte cannot be read
    with pytest.raises(StorageUnavailable, match="cannot read"):
        count_night(open_store(tmp_path), NIGHT)


def test_an_exposure_without_a_start_counts_without_one() -> None:
    store = MemoryStore()
    write_rows(store, exposure=["a", "b", "c"], status=["reduced"] * 3, mjd_start=[float("nan"), 61054.5, None])
    assert count_night(store, NIGHT) == NightCounts(NIGHT, 3, 3, 0, 61054.5, 61054.5)
    write_rows(store, exposure=["a"], status=["reduced"], mjd_start=[float("nan")])
    assert count_night(store, NIGHT).first_mjd is None
    write_rows(store, exposure=["a"], status=["reduced"])
    assert count_night(store, NIGHT).first_mjd is None


def test_only_tables_of_nights_are_nights() -> None:
    store = MemoryStore()
    write_night(store, NIGHT)
    for stray in ("20260116 (copy).parquet", ".20260117.parquet.x9", "README", "old/20260118.parquet"):
        store.write(f"tables/exposures/{stray}", b"")
    assert nights(store) == [NIGHT]
