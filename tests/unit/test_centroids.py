"""Test windowed centroids and the width of stars: every sub-pixel phase, search for a moved star, no star."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.photometry.centroids import star_fwhm, windowed_centroids

from ..star_fields import gaussians, scattered

SHAPE = (220, 240)


@pytest.mark.parametrize("sigma", [1.2, 1.5, 2.5])
def test_gaussians_of_every_phase_are_found_to_5_millipixels(sigma):
    phases = np.linspace(0, 0.9, 10)
    for down in phases:
        x = 20 + 12.0 * np.arange(10) + phases
        y = np.full(10, 60 + down)
        image = sum(gaussians(SHAPE, x[i : i + 1], y[i : i + 1], 1e4, sigma) for i in (0, 4, 8))
        cx, cy = windowed_centroids(image, np.rint(x[[0, 4, 8]]), np.rint(y[[0, 4, 8]]), sigma)
        np.testing.assert_allclose(cx, x[[0, 4, 8]], atol=0.005)
        np.testing.assert_allclose(cy, y[[0, 4, 8]], atol=0.005)


def test_a_window_of_another_width_finds_them_too():
    rng = np.random.default_rng(5)
    x, y = scattered(rng, 12, SHAPE)
    image = gaussians(SHAPE, x, y, 5000.0, 1.5)
    for window in (1.0, 2.0, 3.0):
        cx, cy = windowed_centroids(image, x + 0.4, y - 0.3, window)
        np.testing.assert_allclose(np.hypot(cx - x, cy - y), 0, atol=0.02)


def test_the_search_finds_a_star_that_has_moved():
    rng = np.random.default_rng(6)
    x, y = scattered(rng, 12, SHAPE)
    image = gaussians(SHAPE, x + 2.3, y - 2.6, 5000.0) + rng.normal(0, 2, SHAPE).astype(np.float32)
    cx, cy = windowed_centroids(image, x, y, 1.4, search_px=3)
    np.testing.assert_allclose(np.hypot(cx - x - 2.3, cy - y + 2.6), 0, atol=0.03)


@pytest.mark.parametrize(("x", "y"), [(2.0, 60.0), (70.0, 218.0), (-40.0, 60.0), (np.nan, 60.0), (70.0, np.inf)])
def test_a_place_near_the_edge_or_off_the_image_has_no_centroid(x, y):
    cx, cy = windowed_centroids(np.ones(SHAPE, np.float32), np.array([x]), np.array([y]), 1.5)
    assert np.isnan(cx[0])
    assert np.isnan(cy[0])


def test_a_place_without_light_has_no_centroid():
    cx, _ = windowed_centroids(np.full(SHAPE, -1.0, np.float32), np.array([70.0]), np.array([60.0]), 1.5)
    assert np.isnan(cx[0])


@pytest.mark.parametrize("sigma", [1.0, 1.4, 2.5])
def test_the_width_of_stars(sigma):
    rng = np.random.default_rng(7)
    x, y = scattered(rng, 12, SHAPE)
    image = gaussians(SHAPE, x, y, 5000.0, sigma)
    # A pixel adds the variance of a box to the profile that it integrates.
    effective = 2.3548 * np.sqrt(sigma**2 + 1 / 12)
    for window in (1.5 * sigma, 2 * sigma):
        assert star_fwhm(image, x, y, window) == pytest.approx(effective, rel=0.03)


def test_the_width_of_nothing_is_no_number():
    image = np.zeros(SHAPE, np.float32)
    assert np.isnan(star_fwhm(image, np.array([70.0]), np.array([60.0]), 2.0))
    assert np.isnan(star_fwhm(image, np.zeros(0), np.zeros(0), 2.0))
    assert np.isnan(star_fwhm(image, np.array([1.0, np.nan]), np.array([60.0, 60.0]), 2.0))
