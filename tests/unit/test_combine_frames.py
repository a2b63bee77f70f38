"""Test masters: clipped outliers, dark and bias levels, flats, dead and hot pixels, saturated flats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gozen.calibration.calibrate_frame import calibrate
from gozen.calibration.combine_frames import combine, dark_master, flat_master
from gozen.errors import CorruptFile, SaturatedField
from gozen.frames.raw import RawCube, RawFile

from ..star_fields import detector


def cube_of(frames):
    """Make a cube of raw pixels; masters do not look at its header."""
    file = RawFile("calibration", {}, np.asarray(frames), 0.0, "0" * 64)
    return RawCube(None, "calibration", (file,), np.arange(len(frames)) / 86400.0)


def noisy(count, level, sigma=5.0, shape=(60, 90), seed=4):
    frames = np.random.default_rng(seed).normal(level, sigma, (count, *shape))
    return frames.round().astype(np.float32)


def test_the_mean_leaves_out_a_cosmic_hit_and_nothing_else():
    frames = noisy(10, 100.0, shape=(20, 30))
    hit = frames.copy()
    hit[3, 5, 6] = 5000
    expected = frames.mean(axis=0)
    expected[5, 6] = np.delete(frames[:, 5, 6], 3).mean()
    mean = combine(list(hit))
    assert mean[5, 6] == pytest.approx(expected[5, 6], abs=1e-3)
    # Of ten numbers, a few of six thousand lie 5 robust deviations off by chance.
    assert np.isclose(mean, expected, atol=1e-3).mean() > 0.99
    np.testing.assert_allclose(mean, expected, atol=5)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_frames_to_clip_are_averaged(count):
    frames = noisy(count, 100.0, shape=(4, 5))
    np.testing.assert_allclose(combine(list(frames)), frames.mean(axis=0), rtol=1e-6)


def test_a_dark_is_what_the_active_area_has_above_its_reference_columns():
    frames = noisy(12, 0.0)
    pattern = np.random.default_rng(1).uniform(0, 50, (60, 80))
    frames += 500 + np.arange(60)[:, None]
    frames[:, :, :80] += pattern.astype(np.float32)
    dark = dark_master(cube_of(frames), detector())
    np.testing.assert_allclose(dark, pattern, atol=5 * 5 / np.sqrt(12) + 2.5)
    assert float(np.std(dark - pattern)) < 1.3 * np.sqrt(25 / 12 + 25 / 12 / 10)


def test_a_flat_has_median_one_and_shows_the_response():
    response = np.linspace(0.8, 1.2, 80)[None, :] * np.ones((60, 1))
    given = detector()
    frames = np.concatenate([noisy(6, 0.0, 30.0, seed=s) for s in (1, 2)])
    for frame, level in zip(frames, np.linspace(4000, 20000, 12), strict=True):
        frame += 500
        frame[:, :80] += (level * response).astype(np.float32)
    flat = flat_master([cube_of(frames[:6]), cube_of(frames[6:])], given)
    assert np.median(flat) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(flat, response, atol=0.02)


def test_dead_and_hot_pixels_are_nan_in_the_flat():
    given = detector()
    given.dark[40, 41] = 0.3 * given.saturation_adu
    frames = noisy(6, 10000.0)
    frames[:, :, 80:] = 0
    frames[:, 10, 11] = 1000  # a tenth of the response
    frames[:, 12, 13] = 60000  # six times
    frames[:, 40, 41] += given.dark[40, 41]
    flat = flat_master([cube_of(frames)], given)
    assert sorted(zip(*np.nonzero(np.isnan(flat)), strict=True)) == [(10, 11), (12, 13), (40, 41)]
    image, mask = calibrate(frames[0], replace(given, inverse_flat=1 / flat))
    assert np.isfinite(image).all()
    assert (mask & 2 > 0).sum() == 3


def test_saturated_and_empty_flat_frames_are_left_out():
    good = noisy(4, 10000.0)
    good[:, :, 80:] = 0
    burnt, empty = np.full((2, 60, 90), 25000.0, np.float32), np.zeros((2, 60, 90), np.float32)
    burnt[:, :, 80:] = 0
    mixed = flat_master([cube_of(np.concatenate([burnt, good, empty]))], detector())
    np.testing.assert_array_equal(mixed, flat_master([cube_of(good)], detector()))
    with pytest.raises(SaturatedField, match="take flats with a level between the two"):
        flat_master([cube_of(burnt)], detector())


def test_a_frame_without_numbers_makes_no_master():
    frames = noisy(3, 100.0)
    frames[1] = np.nan
    with pytest.raises(CorruptFile, match="calibration"):
        dark_master(cube_of(frames), detector())


def test_a_pixel_that_is_no_number_on_one_frame_is_averaged_over_the_others():
    frames = noisy(5, 100.0)
    frames[:, :, 80:] = 0
    frames[1, 3, 4] = np.nan
    dark = dark_master(cube_of(frames), detector())
    assert dark[3, 4] == pytest.approx(np.delete(frames[:, 3, 4], 1).mean(), abs=1e-3)


def test_a_flat_pixel_that_is_no_number_is_dead_only_if_no_frame_has_one():
    frames = noisy(5, 10000.0)
    frames[:, :, 80:] = 0
    frames[1, 3, 4] = np.nan
    frames[:, 5, 6] = np.nan
    flat = flat_master([cube_of(frames)], detector())
    assert list(zip(*np.nonzero(np.isnan(flat)), strict=True)) == [(5, 6)]
    assert flat[3, 4] == pytest.approx(1.0, abs=0.01)


def test_each_cube_of_flats_has_its_own_dark_subtracted():
    response = np.linspace(0.8, 1.2, 80)[None, :] * np.ones((60, 1))
    glow = np.zeros((60, 80), np.float32)
    glow[:, :20] = 800.0
    cubes, darks = [], []
    for seconds in (1.0, 3.0):
        frames = noisy(4, 0.0, 5.0, seed=int(seconds))
        frames[:, :, :80] += (4000 * seconds * response + glow * seconds).astype(np.float32)
        cubes.append(cube_of(frames))
        darks.append(glow * np.float32(seconds))
    np.testing.assert_allclose(flat_master(cubes, detector(), darks), response, atol=0.01)
