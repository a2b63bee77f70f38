"""Test that all commands that count raw files agree on which objects are raw files, for any names of a camera."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gozen.archive import keys
from gozen.archive.commit import write_commit
from gozen.archive.raw.expiry import expire, night_end
from gozen.archive.raw.exposure_record import read_record
from gozen.archive.raw.forget import forget
from gozen.archive.raw.reduced_tags import Tagged, refresh
from gozen.archive.raw.retain import Retained, release, retain
from gozen.archive.stores.directory_store import DirectoryStore
from gozen.frames.take_in import record_missing
from gozen.instrument.profile import load_profile

from .archive_samples import NIGHT, commit, processing_of

BESIDE = ("exposure.json", "retain", "record/a.json", "removing/b.json", "notes.txt", "TMQe1111.fits.sha256")
NAMES = [f"TMQe1111{ending}" for ending in (*keys.RAW_ENDINGS, ".FITS", ".Fits.Fz")]


class TaggedStore(DirectoryStore):
    """A folder whose objects bear tags, as those of a bucket do."""

    has_tags = True

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.tags: dict[str, Mapping[str, str]] = {}

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        self.tags[key] = tags


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(tmp_path: Path, name: str) -> TaggedStore:
    """Return an archive with one raw file of this name, reduced, and the objects that lie beside raw files."""
    store = TaggedStore(tmp_path)
    store.write(f"{keys.raw_folder(NIGHT, 'e1')}/{name}", b"raw")
    write_commit(store, processing_of(commit()), commit())
    return store


def with_others(store: TaggedStore) -> None:
    for one in BESIDE:
        if one != "exposure.json":
            store.write(f"{keys.raw_folder(NIGHT, 'e1')}/{one}", b"")


def test_expire_removes_it_and_nothing_beside_it(store: TaggedStore, name: str) -> None:
    late = night_end(NIGHT) + timedelta(days=8)
    assert [(Path(one.key).name, one.fate) for one in expire(store, now=late, keep_days=7)] == [(name, "expired")]
    assert store.list("raw") == []


def test_retain_and_release_count_it(store: TaggedStore) -> None:
    assert retain(store, NIGHT, "e1") == Retained(1)
    assert [*store.tags.values()] == [{}]
    assert release(store, NIGHT, "e1") == 1
    assert [*store.tags.values()] == [{"reduced": "true"}]


def test_tags_are_brought_up_to_date_for_it(store: TaggedStore) -> None:
    with_others(store)
    assert refresh(store) == Tagged(0, 1)  # the marker is among them
    store.delete(keys.retain_marker(NIGHT, "e1"))
    assert refresh(store) == Tagged(1, 0)


def test_forget_takes_it_out(tmp_path: Path, name: str) -> None:
    store = TaggedStore(tmp_path)
    store.write(f"{keys.raw_folder(NIGHT, 'e1')}/{name}", b"raw")
    gone = forget(store, NIGHT, "e1", ["TMQe1111"], now=datetime(2024, 1, 6, tzinfo=UTC))
    assert [Path(one.key).name for one in gone] == [name]


def test_recording_what_is_missing_looks_at_it(store: TaggedStore, name: str) -> None:
    (refused,) = record_missing(store, NIGHT, load_profile("tomoe"))
    assert name in str(refused)
    assert read_record(store, NIGHT, "e1") is None


@pytest.mark.parametrize("other", BESIDE)
def test_what_lies_beside_raw_files_is_none(other: str) -> None:
    assert not keys.is_raw_file(f"raw/{NIGHT}/e1/{other}")
