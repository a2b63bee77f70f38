"""Test the removal of raw files from the archive: which may be removed, what is recorded, and how they come back."""

from datetime import UTC, datetime

import pytest

from gozen.archive import keys
from gozen.archive.commit import write_commit
from gozen.archive.raw.exposure_record import RawExposure, raw_exposures, read_record, record_exposure
from gozen.archive.raw.forget import forget
from gozen.archive.stores.open_store import open_store
from gozen.errors import BadRequest

from .archive_samples import NIGHT, commit, processing_of

NOW = datetime(2024, 1, 6, 12, tzinfo=UTC)


def key(name):
    return keys.raw(NIGHT, "e1", name)


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path)
    for name in ("s-0", "s-0 (1)", "s-1"):
        store.write(key(name), name.encode())
    files = tuple(key(name) for name in ("s-0", "s-0 (1)", "s-1"))
    record_exposure(store, RawExposure(NIGHT, "e1", "M 67", "OBJECT", 60314.5, {"1": files}))
    return store


@pytest.mark.parametrize("name", ["s-0 (1)", "s-0 (1).fits", f"raw/{NIGHT}/e1/s-0 (1).fits"])
def test_a_file_goes_and_the_record_says_which_it_was(store, name):
    forget(store, NIGHT, "e1", [name], now=NOW, why="a copy")
    assert [one for one in store.list("raw") if one.endswith(".fits")] == [key("s-0"), key("s-1")]
    (exposure,) = raw_exposures(store, NIGHT)
    assert exposure.sensors == {"1": (key("s-0"), key("s-1"))}
    (gone,) = read_record(store, NIGHT, "e1").forgotten
    assert (gone.key, gone.when, gone.why) == (key("s-0 (1)"), "2024-01-06T12:00:00Z", "a copy")
    assert len(gone.sha256) == 64


def test_without_names_all_files_go_and_the_exposure_with_them(store):
    forget(store, NIGHT, "e1", [], now=NOW)
    assert [one for one in store.list("raw") if one.endswith(".fits")] == []
    assert raw_exposures(store, NIGHT) == []
    assert len(read_record(store, NIGHT, "e1").forgotten) == 3


def test_what_a_commit_names_stays_and_nothing_else_goes(store):
    one = commit(frame_id="s-0")
    write_commit(store, processing_of(one), one)
    with pytest.raises(
        BadRequest, match=r"s-0\.fits is not removed: the commit exposures/20240105/e1/r1/111\.json names it"
    ):
        forget(store, NIGHT, "e1", ["s-1", "s-0"], now=NOW)
    assert len([one for one in store.list("raw") if one.endswith(".fits")]) == 3


def test_a_name_that_is_not_there_is_told_with_those_that_are(store):
    with pytest.raises(BadRequest, match=r"no raw file 's-2'; it has s-0, s-0 \(1\), s-1"):
        forget(store, NIGHT, "e1", ["s-2"], now=NOW)
    with pytest.raises(BadRequest, match="no raw files of the exposure e9"):
        forget(store, NIGHT, "e9", [], now=NOW)


def test_what_was_taken_out_may_come_back(store):
    forget(store, NIGHT, "e1", ["s-1"], now=NOW)
    store.write(key("s-1"), b"s-1")
    record_exposure(store, RawExposure(NIGHT, "e1", "M 67", "OBJECT", 60314.5, {"1": (key("s-1"),)}))
    record = read_record(store, NIGHT, "e1")
    assert set(record.sensors["1"]) == {key("s-0"), key("s-0 (1)"), key("s-1")}
    assert record.gone == set()
    assert len(record.forgotten) == 1


def test_whoever_was_killed_before_a_file_was_removed_is_gone_on_with(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("gozen.archive.raw.forget._delete", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forget(store, NIGHT, "e1", ["s-1"], now=NOW, why="a test")
    assert store.exists(key("s-1"))
    forget(store, NIGHT, "e1", ["s-1"], now=NOW.replace(hour=13))
    assert not store.exists(key("s-1"))
    assert [(one.when, one.why) for one in read_record(store, NIGHT, "e1").forgotten] == [
        ("2024-01-06T12:00:00Z", "a test")
    ]
