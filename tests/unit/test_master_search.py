"""Test which master frames get by gain, filter, exposure time, binning, window, camera and age; messages if none fits.

Also the effect of a profile's `dark_mismatch`, and masters of old archives, whose headers have fewer keywords. From raw
frames to masters and commits: `test_night_masters`.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pytest

from gozen.archive.commit import write_commit
from gozen.archive.keys import Processing
from gozen.archive.stores.open_store import open_store
from gozen.calibration.master_library import MasterImage, put_master
from gozen.calibration.master_match import CalibrationSetup, nearest_in_time
from gozen.calibration.master_search import find_level, find_masters, warnings_of
from gozen.errors import UnreadableInput

from .archive_samples import commit
from .simulator_samples import small_profile

NIGHT, MJD = "20261120", 61364.5
WANTED = CalibrationSetup("high", "R", 10.0)


def profile(**changes):
    """Return the small camera that asks for what a test needs."""
    return small_profile().model_copy(update={"masters": ("dark", "flat"), "dark_mismatch": None, **changes})


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


@pytest.fixture
def put(store):
    """Store a master of one level and return its key."""

    def put_one(kind, level=1.0, *, days=1.0, sensor="111", camera="tomoe", image=None, **setup):
        one = replace(WANTED, **setup)
        own = np.full(small_profile().active_shape, level, np.float32) if image is None else image
        cards = [("INSTRUME", camera, ""), *one.as_cards()] if camera else one.as_cards()
        night = f"{dt.datetime(2026, 11, 20) - dt.timedelta(days=max(0, math.ceil(days))):%Y%m%d}"
        words = f"{level:g}-{days:g}-{one.window}".replace(".", "_").replace(":", "-")
        return put_master(store, Processing(night, f"e{words}"), sensor, MasterImage(kind, own, MJD - days, cards)).key

    return put_one


def found(store, wanted=WANTED, **changes):
    """Return the level of each master that an exposure gets."""
    masters = find_masters(store, profile(**changes), "111", NIGHT, MJD, wanted)
    return {kind: round(float(master.image[0, 0]), 3) for kind, master in masters.items()}


def test_the_last_masters_before_the_exposure_are_found_with_their_age(store, put):
    for kind in ("dark", "flat"):
        put(kind, 1.0, days=2.0)
        put(kind, 2.0, days=0.9)
        put(kind, 3.0, days=0.75)
        put(kind, 4.0, days=-0.4)
        put(kind, 5.0, days=0.4, sensor="112")
    masters = find_masters(store, profile(), "111", NIGHT, MJD, WANTED)
    assert {kind: float(master.image[0, 0]) for kind, master in masters.items()} == {"dark": 3.0, "flat": 3.0}
    assert masters["dark"].age_days == pytest.approx(0.75)
    assert masters["dark"].used.key == "calib/dark/20261119/e3-0_75-/111.fits"
    assert masters["dark"].used.match.fit == "exact"


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("flat", {"filter": "V"}),
        ("flat", {"filter": "r"}),
        ("flat", {"gain": "low"}),
        ("flat", {"binning": "2x2"}),
        ("flat", {"camera": "another"}),
        ("dark", {"exposure_s": 1.0}),
        ("dark", {"exposure_s": 10.2}),
        ("dark", {"gain": "low"}),
        ("dark", {"window": "[1:100,1:200]"}),
        ("dark", {"camera": "another"}),
    ],
)
def test_a_later_master_that_does_not_fit_is_passed_over(store, put, kind, other):
    put("dark", 1.0, days=20.0)
    put("flat", 1.0, days=20.0)
    put(kind, 2.0, days=0.5, **other)
    assert found(store) == {"dark": 1.0, "flat": 1.0}


@pytest.mark.parametrize(
    ("kind", "other"),
    [("flat", {"exposure_s": 2.0}), ("dark", {"filter": "V"}), ("dark", {"exposure_s": 10.05})],
)
def test_what_does_not_matter_is_not_compared(store, put, kind, other):
    put("dark", 1.0)
    put("flat", 1.0)
    put(kind, 2.0, days=0.5, **other)
    assert found(store)[kind] == 2.0


def test_what_is_missing_is_named_with_what_there_is(store, put):
    put("dark")
    v, late = put("flat", 2.0, filter="V"), put("flat", 3.0, days=-0.2)
    with pytest.raises(UnreadableInput) as error:
        found(store)
    said = str(error.value)
    assert said.startswith(
        "sensor 111 has no flat master of tomoe for filter 'R', gain 'high', binning 1x1, full frame"
    )
    assert f"{v} (filter 'V')" in said
    assert f"{late} (taken 0.2 d after the exposure)" in said
    assert "take such flat exposures and run `gozen masters`" in said


def test_where_there_is_nothing_it_says_so(store):
    with pytest.raises(
        UnreadableInput, match=r"no dark master .* for 10 s, gain 'high'.*the masters that do not fit: none"
    ):
        found(store)


def test_a_master_of_another_camera_never_serves_and_is_named(store, put):
    put("dark")
    put("flat", camera="another")
    with pytest.raises(UnreadableInput, match=r"of the camera another"):
        found(store)


def test_masters_older_than_60_days_do_not_count(store):
    cards = [("INSTRUME", "tomoe", ""), *WANTED.as_cards()]
    image = np.ones(small_profile().active_shape, np.float32)
    put_master(store, Processing("20260920", "old"), "111", MasterImage("dark", image, MJD - 61, cards))
    with pytest.raises(UnreadableInput, match=r"from the 60 days before .* the masters that do not fit: none"):
        found(store, masters=("dark",))


class TestOtherExposureTimes:
    """Darks of 1 s and 4 s, or a bias, for frames of 10 s."""

    @pytest.fixture(autouse=True)
    def darks(self, put):
        put("dark", 110.0, days=3.0, exposure_s=1.0)
        put("dark", 140.0, days=2.0, exposure_s=4.0)
        put("bias", 100.0, days=2.5, exposure_s=0.0)

    def test_by_default_the_sky_is_refused(self, store):
        with pytest.raises(UnreadableInput, match=r"for 10 s, .*dark_mismatch.*\(4 s\); .*\(1 s\)"):
            found(store, masters=("dark",))

    def test_the_nearest_serves_where_the_profile_says_so(self, store):
        masters = find_masters(
            store, one := profile(masters=("dark",), dark_mismatch="nearest"), "111", NIGHT, MJD, WANTED
        )
        assert float(masters["dark"].image[0, 0]) == 140.0
        used = {"dark": masters["dark"].used}
        assert used["dark"].match.fit == "nearest"
        assert warnings_of(used, WANTED, one)[-1].endswith("has an exposure time of 4 s, the frames have 10 s: nearest")

    def test_dark_current_is_scaled_with_a_bias(self, store):
        level = found(store, masters=("bias", "dark"), dark_mismatch="scaled")
        assert level["dark"] == pytest.approx(100 + 40 * 10 / 4)

    def test_a_dark_of_the_right_time_needs_no_rule(self, store, put):
        put("dark", 200.0, days=30.0)
        for rule in (None, "nearest", "refused"):
            assert found(store, masters=("bias", "dark"), dark_mismatch=rule) == {"dark": 200.0}

    def test_a_flat_takes_the_bias_or_else_the_nearest_dark(self, store):
        flat = replace(WANTED, exposure_s=2.5)

        def level(*masters, rule=None):
            one = profile(masters=masters, dark_mismatch=rule)
            return {kind: float(m.image[0, 0]) for kind, m in find_level(store, one, "111", NIGHT, MJD, flat).items()}

        assert level("bias", "dark", "flat") == {"bias": 100.0}
        assert level("bias", "flat") == {"bias": 100.0}
        assert level("dark", "flat") == {"dark": 140.0}
        assert level("bias", "dark", "flat", rule="scaled")["dark"] == pytest.approx(125.0)
        with pytest.raises(UnreadableInput, match=r"no dark master .* for 2.5 s"):
            level("dark", "flat", rule="refused")


def test_of_equally_near_darks_the_last_counts(store, put):
    put("dark", 1.0, days=3.0, exposure_s=5.0)
    put("dark", 2.0, days=2.0, exposure_s=5.0)
    assert found(store, masters=("dark",), dark_mismatch="nearest") == {"dark": 2.0}
    assert nearest_in_time([], 10.0) is None


def ramp(shape):
    return np.add.outer(1000.0 * np.arange(shape[0]), np.arange(shape[1])).astype(np.float32)


@pytest.mark.parametrize(
    ("window", "first", "shape"),
    [("[11:60,21:120]", (20, 10), (100, 50)), ("[251:340,1:200]", (0, 250), (200, 50)), ("", (0, 0), (200, 300))],
)
def test_a_full_frame_master_serves_a_window_cut_out(store, put, window, first, shape):
    for kind in ("dark", "flat"):
        put(kind, image=ramp((200, 300)))
    masters = find_masters(store, profile(), "111", NIGHT, MJD, replace(WANTED, window=window))
    for master in masters.values():
        np.testing.assert_array_equal(
            master.image, ramp((200, 300))[first[0] : first[0] + shape[0], first[1] : first[1] + shape[1]]
        )


def test_a_window_is_cut_out_of_a_larger_one_and_of_binned_pixels(store, put):
    put("dark", window="[11:60,21:120]", image=ramp((100, 50)))
    inner = find_masters(store, profile(masters=("dark",)), "111", NIGHT, MJD, replace(WANTED, window="[15:20,25:60]"))
    np.testing.assert_array_equal(inner["dark"].image, ramp((100, 50))[4:40, 4:10])
    with pytest.raises(UnreadableInput, match=r"full frame .*\(window \[11:60,21:120\]\)"):
        found(store, masters=("dark",))
    put("flat", binning="3x2", image=ramp((100, 100)))
    wanted = replace(WANTED, window="[31:60,21:120]", binning="3x2")
    binned = find_masters(store, profile(masters=("flat",)), "111", NIGHT, MJD, wanted)
    np.testing.assert_array_equal(binned["flat"].image, ramp((100, 100))[10:60, 10:20])


def test_a_flat_that_does_not_name_its_filter_serves_where_no_other_does_and_it_is_said(store, put):
    put("flat", 1.0, days=0.5, filter="")
    one = profile(masters=("flat",))
    masters = find_masters(store, one, "111", NIGHT, MJD, WANTED)
    used = {"flat": masters["flat"].used}
    assert used["flat"].match.fit == "filter not stated"
    assert any("does not name its filter; the frames have 'R'" in said for said in warnings_of(used, WANTED, one))
    put("flat", 2.0, days=20.0)
    assert found(store, masters=("flat",)) == {"flat": 2.0}


@pytest.mark.parametrize("name", ["r'", "Clear / none", "OIII 500.7 nm", "3", "R" * 60])
def test_a_filter_may_have_any_name(store, put, name):
    put("flat", 1.0, days=1.5, filter=name)
    put("flat", 2.0, days=0.5)
    assert found(store, replace(WANTED, filter=name), masters=("flat",)) == {"flat": 1.0}


def test_frames_without_a_filter_do_not_take_a_flat_of_some_filter(store, put):
    put("flat")
    with pytest.raises(UnreadableInput, match=r"for no stated filter, .*\(filter 'R'\)"):
        found(store, replace(WANTED, filter=""), masters=("flat",))


@pytest.mark.parametrize("camera", ["tomoe", "another"])
def test_a_master_of_an_old_archive_has_the_camera_of_its_commit(store, put, camera):
    key = put("dark", camera="")
    _, _, night, exposure, _ = key.split("/")
    one = commit(night=night, exposure=exposure, sensor="111", instrument=camera)
    write_commit(store, Processing(night, exposure), one)
    if camera == "tomoe":
        assert found(store, masters=("dark",)) == {"dark": 1.0}
    else:
        with pytest.raises(UnreadableInput, match="of the camera another"):
            found(store, masters=("dark",))


def test_a_master_that_says_nothing_of_itself_serves(store):
    image = np.full(small_profile().active_shape, 7.0, np.float32)
    put_master(store, Processing("20261119", "bare"), "111", MasterImage("dark", image, MJD - 1))
    assert found(store, masters=("dark",)) == {"dark": 7.0}


@pytest.mark.parametrize("cut", [2000, 9000])
def test_a_master_that_is_no_image_is_named(store, put, cut):
    key = put("dark")
    store.write(key, store.read(key)[:cut])
    with pytest.raises(UnreadableInput, match=r"111\.fits cannot be read"):
        found(store, masters=("dark",))


def test_no_calibration_frames_are_a_choice_that_is_told():
    said = warnings_of({}, WANTED, profile(masters=()))
    assert said == [
        "no dark or bias is subtracted (masters: [] in the profile tomoe)",
        "pixels are not divided by a flat (masters: [] in the profile tomoe)",
    ]


def test_a_window_without_its_reference_columns_is_told(store, put):
    put("dark")
    cut = replace(WANTED, window="[1:8,1:8]")
    masters = find_masters(store, profile(masters=("dark",)), "111", NIGHT, MJD, cut)
    used = {kind: master.used for kind, master in masters.items()}
    whole, read = profile(reference="[1:4,1:20]"), profile(reference=None)
    assert "was read without the reference columns" in warnings_of(used, cut, whole, read)[-1]
    assert not any("reference columns" in said for said in warnings_of(used, cut, whole, whole))
