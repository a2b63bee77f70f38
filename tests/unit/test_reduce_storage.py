"""Test the reduction of one sensor while its storage fails: a full disk, raw files that are still being written.

The content of files is tested in test_reduce_sensor; storage that fails during complete commands, in tests/services.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from gozen.archive.commit import read_commit
from gozen.archive.keys import commit, raw_folder
from gozen.archive.raw.exposure_record import RawExposure
from gozen.archive.stores.directory_store import DirectoryStore
from gozen.errors import RawFileMissing, StorageUnavailable
from gozen.reduction.reduce_all import reduce_all
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.reduction.sensor_masters import MasterWork, make_sensor_masters

from ..reductions import NIGHT, SENSOR, products, reduced, small_night, work_of


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    return small_night(tmp_path_factory.mktemp("small"))


@pytest.fixture
def night(taken, tmp_path):
    return taken.copy(tmp_path / "archive")


class FullDisk(DirectoryStore):
    """A directory on a disk that is full."""

    def write(self, key, data):
        raise StorageUnavailable(f"cannot write {self.url_of(key)}: no space left on device")

    create = write


def test_a_full_disk_leaves_no_commit(night):
    with pytest.raises(StorageUnavailable, match="no space left"):
        reduced(night, store=FullDisk(night.store.path("raw").parent))
    assert products(night) == []
    assert reduced(night).status == "reduced"


class SlowCopy(DirectoryStore):
    """A raw file is read whole between two writes to it."""

    def read_into(self, key, room):
        data = super().read_into(key, room)
        with self.path(key).open("r+b") as stream:
            stream.seek(-2880, os.SEEK_END)
            stream.write(bytes(2880))
        return data


@pytest.mark.parametrize("cut", [0, 5000])
def test_raw_data_that_go_on_changing_are_not_committed(night, cut):
    raw = night.store.path(night.raw_key)
    raw.write_bytes(raw.read_bytes()[: raw.stat().st_size - cut])  # a part of it is CorruptFile, which would stay, too
    slow = SlowCopy(night.store.path("raw").parent)
    with pytest.raises(
        StorageUnavailable, match=r"fits changed while it was reduced, so nothing is committed; run again"
    ):
        reduced(night, store=slow)
    assert read_commit(night.store, work_of(night).processing, SENSOR) is None
    assert reduced(night).status == ("rejected" if cut else "reduced")


def test_a_master_of_raw_data_that_go_on_changing_is_not_made(night):
    raw = tuple(night.store.list(raw_folder(NIGHT, "00000001")))
    dark = MasterWork(SENSOR, (("dark", RawExposure(NIGHT, "00000001", "DARK", "DARK", 61000.0, {SENSOR: raw})),))
    for key in night.store.list("calib"):
        night.store.delete(key)
    slow = SlowCopy(night.store.path("raw").parent)
    (result,) = make_sensor_masters(dark, night.shared_inputs(store=slow))
    assert isinstance(result.error, StorageUnavailable)
    assert "changed while it was reduced" in str(result.error)
    assert night.store.list("calib") == []
    (result,) = make_sensor_masters(dark, night.shared_inputs())
    assert (result.error, result.commit.status) == (None, "reduced")
    assert len(night.store.list("calib")) == 1


class CountedReads(DirectoryStore):
    """A directory that counts how often each object was asked for."""

    def __init__(self, folder):
        super().__init__(folder)
        self.reads = Counter()

    def read(self, key):
        self.reads[key] += 1
        return super().read(key)


def test_a_commit_is_read_once_and_a_missing_one_is_left_to_the_worker(night, monkeypatch):
    monkeypatch.setattr("gozen.reduction.reduce_all.run_all", lambda tasks, *_: [(task, None) for task in tasks])
    done, missing = work_of(night), work_of(night, sensor="112")
    reduced(night)
    store = CountedReads(night.store.path("raw").parent)
    results = list(reduce_all([missing, done], store, lambda: night.shared_inputs(store=store), 1))
    assert [(one.work, one.skipped) for one in results] == [(done, True), (missing, False)]
    assert results[0].commit == read_commit(night.store, done.processing, SENSOR)
    assert store.reads == {commit(done.processing, SENSOR): 1}


def test_where_all_is_committed_no_catalogue_is_opened(night):
    reduced(night)

    def refuse():
        raise AssertionError("opened")

    (result,) = reduce_all([work_of(night)], night.store, refuse, 1)
    assert result.skipped


def test_a_raw_file_that_is_gone_is_named_with_what_to_do_and_mended(night):
    work, data = work_of(night), night.store.read(night.raw_key)
    night.store.delete(*work.raw)
    with pytest.raises(
        RawFileMissing, match=r"the raw file .*\.fits is recorded, but it does not exist: .*give the same file"
    ):
        reduce_sensor(work, night.shared_inputs())
    assert products(night) == []
    night.store.write(*work.raw, data)
    assert reduced(night).status == "reduced"
