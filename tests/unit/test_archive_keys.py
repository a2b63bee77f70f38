"""Test the key layout: keys as documented, invalid names, and the choice of the run whose rows are in the tables."""

import pytest

from gozen.archive import keys
from gozen.archive.keys import CommitKey, Processing
from gozen.errors import BadRequest

P = Processing("20240105", "00012345", "r2")


def test_keys_are_laid_out_as_the_design_says():
    assert keys.raw("20240105", "00012345", "TMQ1") == "raw/20240105/00012345/TMQ1.fits"
    assert keys.master("dark", "20240105", "7", "121") == "calib/dark/20240105/7/121.fits"
    assert keys.stack(P, "TMQ1") == "stack/20240105/00012345/r2/TMQ1.fits.fz"
    assert keys.cube(P, "TMQ1") == "cube/20240105/00012345/r2/TMQ1.fits.fz"
    assert keys.staging(P, "121") == "staging/20240105/00012345/r2/121.parquet"
    assert keys.commit(P, "121") == "exposures/20240105/00012345/r2/121.json"
    assert keys.log_table("quality", "20240105") == "tables/quality/20240105.parquet"


@pytest.mark.parametrize("bad", ["", "..", "../x", "a/b", ".hidden", "a\\b", "a\nb", "x" * 201])
def test_what_could_leave_its_folder_is_no_name(bad):
    for make in (
        lambda: Processing("20240105", bad),
        lambda: Processing("20240105", "e", bad),
        lambda: keys.raw("20240105", "e", bad),
        lambda: keys.stack(P, bad),
        lambda: keys.commit(P, bad),
    ):
        with pytest.raises(BadRequest):
            make()


@pytest.mark.parametrize("night", ["2024-01-05", "240105", "tonight", "２０２４０１０５"])
def test_a_night_is_eight_digits(night):
    with pytest.raises(BadRequest, match="YYYYMMDD"):
        keys.commits(night)


def test_a_commit_key_says_what_it_belongs_to_and_others_do_not():
    assert keys.parse_commit(keys.commit(P, "121")) == CommitKey(P, "121")
    for other in ("exposures/20240105/e/121.json", "stack/20240105/e/r1/x.fits.fz", "exposures/x/e/r1/121.json"):
        assert keys.parse_commit(other) is None


@pytest.mark.parametrize(
    ("name", "frame_id"),
    [
        ("raw/20240105/e/TMQ1.fits", "TMQ1"),
        ("20190326.0150.fits.gz", "20190326.0150"),
        ("a/solved.fits.fz", "solved"),
        ("x.FIT", "x"),
        ("TMQ1", "TMQ1"),
    ],
)
def test_the_frame_id_of_a_raw_file_is_its_name_without_endings(name, frame_id):
    assert keys.frame_id_of(name) == frame_id


def _commits(**sensors):
    return [CommitKey(Processing("20240105", "e", run), s) for run, names in sensors.items() for s in names]


def test_the_last_complete_run_is_in_force():
    assert keys.runs_in_force(_commits(r1=["1", "2"], r2=["1", "2"])) == {"e": "r2"}
    assert keys.runs_in_force(_commits(r9=["1"], r10=["1"])) == {"e": "r10"}


def test_a_run_that_is_under_way_does_not_hide_the_complete_one():
    assert keys.runs_in_force(_commits(r1=["1", "2"], r2=["1"])) == {"e": "r1"}


def test_each_exposure_has_its_own_run():
    other = [CommitKey(Processing("20240105", "f", "r1"), "1")]
    assert keys.runs_in_force(_commits(r2=["1"]) + other) == {"e": "r2", "f": "r1"}
