"""Test detection on a stack: completeness at the threshold, positions, background, weights, blends, an empty sky."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from gozen.photometry.detect_sources import detect
from gozen.settings import DetectionSettings

from ..star_fields import gaussians, scattered

SHAPE = (400, 500)
NOISE = 2.0
ONE = np.ones(SHAPE, np.int16)
SETTINGS = DetectionSettings()


def sky(seed=1, slope=0.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(0, NOISE, SHAPE) + 100 + slope * np.arange(SHAPE[1])).astype(np.float32)


def nearest(sources, x, y):
    return cKDTree(np.column_stack([sources.x, sources.y])).query(np.column_stack([x, y]))


def test_stars_are_found_where_they_are_and_nothing_else():
    rng = np.random.default_rng(3)
    x, y = scattered(rng, 60, SHAPE, apart=20)
    flux = 10 ** rng.uniform(2.5, 4.5, 60)
    sources, background = detect(sky(slope=0.05) + gaussians(SHAPE, x, y, flux), ONE, SETTINGS)
    assert len(sources) == 60
    away, which = nearest(sources, x, y)
    assert away[flux > 3000].max() < 0.03
    assert away.max() < 0.35
    assert (np.diff(sources.y) > -1).all()
    # what an isophote at 1.5 sigma and more keeps of a bright star
    assert np.median(sources.flux[which][flux > 10000] / flux[flux > 10000]) == pytest.approx(0.97, abs=0.04)
    assert sources.fwhm == pytest.approx(2.3548 * np.sqrt(1.4**2 + 1 / 12), rel=0.12)
    assert not sources.merged.any()
    np.testing.assert_allclose(background[200, 50:450:50], 100 + 0.05 * np.arange(50, 450, 50), atol=0.6)
    np.testing.assert_allclose(sources.background, 100 + 0.05 * sources.x, atol=1.5)
    np.testing.assert_allclose(sources.noise, NOISE, rtol=0.15)


def test_an_empty_sky_has_no_sources():
    sources, _ = detect(sky(), ONE, SETTINGS)
    assert len(sources) == 0
    assert sources.x.shape == sources.noise.shape == (0,)


def test_a_flat_image_without_noise_has_no_sources():
    sources, background = detect(np.full(SHAPE, 100, np.float32), ONE, SETTINGS)
    assert len(sources) == 0
    np.testing.assert_allclose(background, 100, rtol=1e-5)


def test_pixels_without_frames_hold_no_sources_and_few_frames_count_as_noisier():
    weight = np.full(SHAPE, 16, np.int16)
    weight[:, 400:] = 1
    weight[:, 450:] = 0
    rng = np.random.default_rng(8)
    image = (100 + rng.normal(0, 1, SHAPE) * NOISE / np.sqrt(np.maximum(weight, 1))).astype(np.float32)
    image[:, 450:] = 0
    x = np.array([100.0, 425.0, 475.0])
    image += gaussians(SHAPE, x, np.full(3, 200.0), 400.0)
    sources, _ = detect(image, weight, SETTINGS)
    assert nearest(sources, x[:2], np.full(2, 200.0))[0].max() < 0.5
    assert len(sources) == 2
    here, there = (sources.noise[np.argmin(np.abs(sources.x - place))] for place in x[:2])
    assert there / here == pytest.approx(4.0, rel=0.05)


def test_two_close_stars_are_told_apart_and_marked():
    image = sky() + gaussians(SHAPE, [200.0, 206.0, 350.0], [150.0, 150.0, 300.0], [2e4, 1e4, 2e4])
    sources, _ = detect(image, ONE, SETTINGS)
    assert len(sources) == 3
    away, which = nearest(sources, [200.0, 206.0, 350.0], [150.0, 150.0, 300.0])
    assert away.max() < 0.6
    assert sources.merged[which].tolist() == [True, True, False]


def test_a_crowd_of_stars_in_the_light_of_a_burnt_out_one_is_no_error():
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, SHAPE[1], 3000), rng.uniform(0, SHAPE[0], 3000)
    image = sky() + gaussians(SHAPE, x, y, 10 ** rng.uniform(3, 5, 3000)) + gaussians(SHAPE, 250.0, 200.0, 3e8, 40.0)
    sources, _ = detect(np.minimum(image, 26000).astype(np.float32), ONE, SETTINGS)
    assert np.isfinite(sources.x).all()
