"""Compare aperture sums with Source Extractor's exact circles: fractions of pixels, edges, masks, positions off it."""

from __future__ import annotations

import numpy as np
import pytest
import sep

from gozen.photometry.aperture_sums import aperture_sums

SHAPE = (120, 150)
CLEAN = np.zeros(SHAPE, np.uint8)


def noise_image(seed=1):
    return np.random.default_rng(seed).uniform(50, 150, SHAPE).astype(np.float32)


def inner_places(count=200, seed=2):
    rng = np.random.default_rng(seed)
    return rng.uniform(20, SHAPE[1] - 20, count), rng.uniform(20, SHAPE[0] - 20, count)


@pytest.mark.parametrize(
    ("diameter", "flux_part", "area_part"),
    [(3, 3e-2, 2e-2), (10, 2e-3, 1e-3), (21, 1e-3, 2e-4), (35, 4e-4, 1e-4)],
)
def test_sums_equal_those_of_exact_circles(diameter, flux_part, area_part):
    image, (x, y) = noise_image(), inner_places()
    exact, _, _ = sep.sum_circle(image, x, y, diameter / 2, subpix=0)
    found = aperture_sums(image, CLEAN, x, y, diameter)
    np.testing.assert_allclose(found.flux, exact, rtol=flux_part)
    np.testing.assert_allclose(found.area, np.pi * diameter**2 / 4, rtol=area_part)
    assert found.area.mean() == pytest.approx(np.pi * diameter**2 / 4, rel=area_part / 5)
    assert not (found.edge | found.saturated | found.dead).any()


def test_a_circle_that_is_cut_by_the_image_equals_the_same_pixels_in_a_wider_image():
    image, (x, y) = noise_image(), (np.array([3.2, 146.1, 70.4]), np.array([60.3, 4.4, 117.9]))
    wide = np.zeros((SHAPE[0] + 80, SHAPE[1] + 80), np.float32)
    wide[40:-40, 40:-40] = image
    cut = aperture_sums(image, CLEAN, x, y, 21)
    whole = aperture_sums(wide, np.zeros(wide.shape, np.uint8), x + 40, y + 40, 21)
    np.testing.assert_allclose(cut.flux, whole.flux, rtol=1e-6)
    assert cut.edge.all()
    assert not whole.edge.any()


def test_a_star_under_its_aperture_equals_the_exact_circle_to_a_ten_thousandth():
    y, x = np.mgrid[0:120, 0:150]
    image = (1e5 * np.exp(-((x - 70.3) ** 2 + (y - 60.7) ** 2) / 2 / 1.5**2)).astype(np.float32)
    for diameter in (10, 21):
        exact, _, _ = sep.sum_circle(image, [70.3], [60.7], diameter / 2, subpix=0)
        found = aperture_sums(image, CLEAN, np.array([70.3]), np.array([60.7]), diameter)
        assert found.flux[0] == pytest.approx(exact[0], rel=1e-4)


@pytest.mark.parametrize("diameter", [2, 10, 21, 101])
def test_the_flux_of_a_constant_image_is_its_level_times_the_area(diameter):
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-30, 180, 300), rng.uniform(-30, 150, 300)
    found = aperture_sums(np.full(SHAPE, 7.0, np.float32), CLEAN, x, y, diameter)
    np.testing.assert_allclose(found.flux, 7.0 * found.area, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "share"), [(-0.5, 60.0, 0.5), (149.5, 60.0, 0.5), (70.0, -0.5, 0.5), (-0.5, -0.5, 0.25)]
)
def test_an_aperture_over_the_edge_has_the_area_that_is_on_the_image(x, y, share):
    found = aperture_sums(np.ones(SHAPE, np.float32), CLEAN, np.array([x]), np.array([y]), 20)
    assert found.area[0] == pytest.approx(share * np.pi * 100, rel=1e-3)
    assert found.edge[0]


def test_the_edge_begins_where_the_circle_leaves_the_last_pixel():
    image, middle = np.ones(SHAPE, np.float32), np.full(4, 60.0)
    across, down = np.array([9.99, 10.01, 138.99, 139.01]), np.array([9.99, 10.01, 108.99, 109.01])
    assert aperture_sums(image, CLEAN, across, middle, 21).edge.tolist() == [True, False, False, True]
    assert aperture_sums(image, CLEAN, middle, down, 21).edge.tolist() == [True, False, False, True]


@pytest.mark.parametrize(("x", "y"), [(-100.0, 60.0), (400.0, 60.0), (70.0, -50.0), (70.0, 900.0), (np.nan, 60.0)])
def test_a_place_off_the_image_has_no_flux_no_area_and_the_edge(x, y):
    found = aperture_sums(noise_image(), CLEAN, np.array([x]), np.array([y]), 21)
    assert (found.flux[0], found.area[0], found.edge[0]) == (0.0, 0.0, True)


def test_the_mask_shows_where_the_circle_covers_a_pixel():
    mask = np.zeros(SHAPE, np.uint8)
    mask[60, 70] = 1
    mask[20, 30] = 2
    x = np.array([70.0, 75.9, 70.0, 30.0, 70.0, 76.1])
    y = np.array([60.0, 60.0, 54.1, 20.0, 53.9, 60.0])
    found = aperture_sums(noise_image(), mask, x, y, 11)
    assert found.saturated.tolist() == [True, True, True, False, False, False]
    assert found.dead.tolist() == [False, False, False, True, False, False]


def test_no_sources_give_empty_arrays():
    found = aperture_sums(noise_image(), CLEAN, np.zeros(0), np.zeros(0), 21)
    assert len(found.flux) == len(found.edge) == 0
