"""Test the expiry of raw data: which files may be deleted and when, and that no others are."""

from datetime import UTC, datetime, timedelta

import pytest

from gozen.archive import keys
from gozen.archive.commit import write_commit
from gozen.archive.provenance import Provenance
from gozen.archive.raw.expiry import expire, night_end
from gozen.archive.stores.open_store import open_store

from .archive_samples import NIGHT, commit, processing_of, refused

LATE = night_end(NIGHT) + timedelta(days=8)


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


def put_raw(store, *commits):
    for one in commits:
        store.write(keys.raw(one.night, one.exposure, one.frame_id), b"raw" * 10)


def put(store, *commits):
    put_raw(store, *commits)
    for one in commits:
        write_commit(store, processing_of(one), one)


def fates(store, now=LATE, **options):
    return {one.key.rsplit("/", 1)[1]: one.fate for one in expire(store, now=now, keep_days=7, **options)}


def test_a_reduced_file_goes_when_its_time_is_up(store):
    put(store, commit(sensor="111"), refused(sensor="112"))
    store.write("raw/20240105/e1/exposure.json", b"{}")
    assert fates(store) == {"TMQe1111.fits": "expired", "TMQe1112.fits": "expired"}
    assert store.list("raw") == ["raw/20240105/e1/exposure.json"]
    assert len(store.list("exposures")) == 2


def test_a_file_without_a_commit_stays_for_ever(store):
    put(store, commit(sensor="111"))
    put_raw(store, commit(sensor="112"))
    assert fates(store)["TMQe1112.fits"] == "not reduced"
    assert store.list("raw") == ["raw/20240105/e1/TMQe1112.fits"]


def test_nothing_goes_before_its_time(store):
    put(store, commit())
    just_before = night_end(NIGHT) + timedelta(days=7, seconds=-1)
    assert fates(store, now=just_before) == {"TMQe1111.fits": "not yet"}
    assert len(store.list("raw")) == 1
    assert fates(store, now=night_end(NIGHT) + timedelta(days=7)) == {"TMQe1111.fits": "expired"}


@pytest.mark.parametrize("days", [1e7, 1e300, float("inf")])
def test_with_more_days_than_a_calendar_has_nothing_goes(store, days):
    put(store, commit())
    assert [one.fate for one in expire(store, now=LATE, keep_days=days)] == ["not yet"]


def test_the_night_is_over_everywhere_when_it_ends():
    assert night_end("20240105") == datetime(2024, 1, 7, tzinfo=UTC)


def test_a_marked_exposure_stays(store):
    put(store, commit())
    store.create(keys.retain_marker(NIGHT, "e1"), b"")
    assert fates(store) == {"TMQe1111.fits": "retained"}
    assert len(store.list("raw")) == 2


def test_a_commit_may_retain(store):
    put(store, commit(sensor="111", retain_raw=True), commit(sensor="112"))
    assert fates(store) == {"TMQe1111.fits": "retained", "TMQe1112.fits": "expired"}


def test_one_of_two_runs_is_enough_to_retain(store):
    put(store, commit(retain_raw=True), commit(run="r2"))
    assert fates(store) == {"TMQe1111.fits": "retained"}


def test_single_frames_are_known_by_the_inputs_of_their_commit(store):
    inputs = {f"20190326.{n:04d}.fits.gz": "a" * 64 for n in (1, 2)}
    put(store, commit(frame_id="20190326.0001", provenance=Provenance(code_version="0", inputs=inputs)))
    for name in ("20190326.0002", "20190326.0003"):
        store.write(keys.raw(NIGHT, "e1", name), b"")
    assert fates(store) == {
        "20190326.0001.fits": "expired",
        "20190326.0002.fits": "expired",
        "20190326.0003.fits": "not reduced",
    }


def test_a_dry_run_removes_nothing(store):
    put(store, commit())
    assert fates(store, dry_run=True) == {"TMQe1111.fits": "expired"}
    assert len(store.list("raw")) == 1


def test_object_storage_expires_alike():
    store = open_store("memory://ring")
    put(store, commit())
    assert fates(store) == {"TMQe1111.fits": "expired"}
    assert store.list("raw") == []
