"""Compare the calibration of a frame with plain NumPy: masters, reference columns, dead pixels, saturation, NaN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gozen.calibration.calibrate_frame import DEAD, GOOD, SATURATED, calibrate, detector_of, reference_level
from gozen.instrument.profile import load_profile

from ..star_fields import detector


def plain(raw, given):
    """Calibrate as a person would write it down."""
    columns = raw[given.active[0], given.reference[1]].astype(np.float64)
    level = np.nanmean(columns, axis=1)
    if given.overscan == "frame":
        level[:] = np.nanmedian(level)
    with np.errstate(invalid="ignore"):
        return (raw[given.active].astype(np.float64) - level[:, None] - given.dark) * given.inverse_flat


def masters(given, seed=3):
    rng = np.random.default_rng(seed)
    shape = given.dark.shape
    dark = rng.normal(20, 5, shape).astype(np.float32)
    return replace(given, dark=dark, inverse_flat=(1 / rng.normal(1, 0.1, shape)).astype(np.float32))


def raw_frame(shape=(60, 90), seed=1):
    return np.random.default_rng(seed).integers(400, 20000, shape).astype(np.uint16)


@pytest.mark.parametrize("overscan", ["row", "frame"])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_it_is_raw_minus_reference_and_dark_over_the_flat(overscan, kind):
    given = masters(detector(overscan=overscan))
    raw = raw_frame().astype(kind)
    image, mask = calibrate(raw, given)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, plain(raw, given), rtol=3e-6, atol=5e-3)
    assert (mask == GOOD).all()


def test_rows_have_levels_of_their_own_and_a_frame_has_their_median():
    raw = np.zeros((60, 90), np.uint16)
    raw[:, 80:] = np.arange(60)[:, None] * 10
    np.testing.assert_array_equal(reference_level(raw, detector(overscan="row")), np.arange(60) * 10)
    np.testing.assert_array_equal(reference_level(raw, detector(overscan="frame")), np.full(60, 295.0))


def test_a_camera_without_reference_columns_has_no_level():
    raw = raw_frame((60, 80))
    image, _ = calibrate(raw, detector(reference=0))
    np.testing.assert_array_equal(image, raw.astype(np.float32))


def test_an_active_area_that_begins_inside_the_frame_gets_its_own_rows():
    given = replace(detector((50, 70)), active=(slice(5, 55), slice(3, 73)), reference=(slice(0, 60), slice(80, 90)))
    raw = raw_frame()
    image, _ = calibrate(raw, given)
    np.testing.assert_allclose(image, plain(raw, given), rtol=3e-6, atol=5e-3)


def test_a_dead_pixel_holds_the_mean_of_its_neighbours_and_is_flagged():
    given = detector()
    for column in (0, 30, 31, 32, 79):
        given.inverse_flat[10, column] = np.nan
    raw = raw_frame()
    raw[:, 80:] = 0
    image, mask = calibrate(raw, given)
    row = raw[10].astype(float)
    expected = {
        0: row[1],
        30: (row[29] + row[33]) / 2,
        31: (row[29] + row[33]) / 2,
        32: (row[29] + row[33]) / 2,
        79: row[78],
    }
    for column, value in expected.items():
        assert image[10, column] == pytest.approx(value, rel=1e-6)
        assert mask[10, column] == DEAD
    assert (mask == DEAD).sum() == len(expected)


def test_saturation_speaks_of_the_raw_value():
    given = masters(detector(saturation=15000.0))
    raw = raw_frame()
    raw[20, 20:23] = (14999, 15000, 60000)
    _, mask = calibrate(raw, given)
    assert mask[20, 20:23].tolist() == [GOOD, SATURATED, SATURATED]
    np.testing.assert_array_equal(mask == SATURATED, raw[given.active] >= 15000)


def test_a_pixel_that_is_no_number_is_dead_and_no_other():
    raw = raw_frame().astype(np.float32)
    raw[7, 11] = np.nan
    raw[8, 12] = np.inf
    raw[30, 85] = np.nan  # in the reference columns: the row has nine others
    image, mask = calibrate(raw, detector())
    assert np.isfinite(image).all()
    assert sorted(zip(*np.nonzero(mask & DEAD), strict=True)) == [(7, 11), (8, 12)]
    np.testing.assert_allclose(image[30], plain(raw, detector())[30], rtol=3e-6, atol=5e-3)


@pytest.mark.parametrize("overscan", ["row", "frame"])
def test_a_row_whose_reference_columns_hold_no_number_does_not_spoil_the_others(overscan):
    raw = raw_frame().astype(np.float32)
    raw[30, 80:] = np.nan
    image, mask = calibrate(raw, detector(overscan=overscan))
    assert np.isfinite(image).all()
    assert (mask[30] == (DEAD if overscan == "row" else GOOD)).all()
    assert (np.delete(mask, 30, axis=0) == GOOD).all()


def test_a_frame_without_any_number_is_dead_everywhere():
    image, mask = calibrate(np.full((60, 90), np.nan, np.float32), detector())
    assert (mask == DEAD).all()
    assert (image == 0).all()


def test_the_detector_takes_its_numbers_from_the_profile():
    profile = load_profile("tomoe")
    flat = np.full(profile.active_shape, 2.0, np.float32)
    flat[3, 4] = np.nan
    made = detector_of(profile, "111", "mid", flat=flat)
    assert (made.gain.e_per_adu, made.gain.read_noise_e, made.saturation_adu) == (0.94, 4.1, 26600)
    assert made.active == (slice(0, 1128), slice(0, 2000))
    assert made.reference == (slice(0, 1128), slice(2000, 2156))
    assert made.inverse_flat[0, 0] == 0.5
    assert np.isnan(made.inverse_flat[3, 4])
    assert not made.dark.any()
