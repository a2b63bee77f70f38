"""Test rendered stars and trails: flux is conserved, centres are correct, each row has its own factor."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.simulator.camera import render_stars

WIDTH = render_stars.moffat_width(3.4)


def _image(rows=161, columns=181):
    return np.zeros((rows, columns), np.float32)


def _one(value):
    return np.array([float(value)])


@pytest.mark.parametrize(("x", "y"), [(90.0, 80.0), (90.5, 80.5), (90.23, 79.71)])
@pytest.mark.parametrize("flux", [50.0, 5e3, 5e5])
def test_a_star_keeps_its_flux_wherever_its_centre_is(x, y, flux):
    image = _image()
    render_stars.add_stars(image, _one(x), _one(y), _one(flux), np.ones(image.shape[0]), WIDTH)
    assert image.sum(dtype=float) == pytest.approx(flux, rel=0.02 if flux < 100 else 2e-3)


def test_a_star_stands_at_its_centre():
    image = _image()
    render_stars.add_stars(image, _one(90.37), _one(79.81), _one(1e5), np.ones(image.shape[0]), WIDTH)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    near = np.hypot(columns - 90.37, rows - 79.81) < 20
    light = np.where(near, image, 0).astype(float)
    assert (light * columns).sum() / light.sum() == pytest.approx(90.37, abs=2e-3)
    assert (light * rows).sum() / light.sum() == pytest.approx(79.81, abs=2e-3)


def test_the_profile_has_the_asked_width_at_half_maximum():
    image = _image()
    render_stars.add_stars(
        image, _one(90), _one(80), _one(1e5), np.ones(image.shape[0]), render_stars.moffat_width(4.0)
    )
    assert image[80, 92] == pytest.approx(image[80, 90] / 2, rel=1e-5)


def test_encircled_flux_is_the_sum_of_the_pixels_within():
    image = _image()
    render_stars.add_stars(image, _one(90), _one(80), _one(1e6), np.ones(image.shape[0]), WIDTH)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    inside = np.hypot(columns - 90, rows - 80) <= 10.5
    assert image[inside].sum(dtype=float) / 1e6 == pytest.approx(render_stars.encircled(10.5, WIDTH), abs=1e-3)


def test_stars_beyond_the_edge_give_only_what_reaches_the_image():
    image = _image()
    places = np.array([-3.0, -500.0, np.nan])
    render_stars.add_stars(image, places, np.array([80.0, 80.0, 80.0]), np.full(3, 1e5), np.ones(image.shape[0]), WIDTH)
    assert 0.0 < image.sum() < 2e4
    assert image[:, 0].argmax() == 80


def test_each_row_gets_its_own_share():
    dim, full = _image(), _image()
    share = np.linspace(0.2, 1.0, dim.shape[0])
    render_stars.add_stars(full, _one(90), _one(80), _one(1e5), np.ones(dim.shape[0]), WIDTH)
    render_stars.add_stars(dim, _one(90), _one(80), _one(1e5), share, WIDTH)
    np.testing.assert_allclose(dim, full * share[:, None], rtol=1e-5)


def test_a_trail_that_does_not_move_is_a_star():
    star, trail = _image(), _image()
    rows = star.shape[0]
    opens = np.arange(rows) * 4e-4
    seconds = (np.arange(200) + 0.5) * (opens[-1] + 0.5) / 200
    still = np.full(200, 90.3), np.full(200, 80.6)
    render_stars.add_stars(star, _one(90.3), _one(80.6), _one(1e5), np.ones(rows), WIDTH)
    render_stars.add_trail(trail, *still, seconds, 1e5, opens, 0.5, np.ones(rows), WIDTH)
    np.testing.assert_allclose(trail, star, rtol=1e-4, atol=1e-4)


def test_a_trail_is_seen_by_a_row_only_while_the_row_is_exposed():
    """Up the image at 200 px/s, with row 120 exposed half a second after row 40: the streak is cut at both ends."""
    image = _image()
    rows = image.shape[0]
    opens = np.where(np.arange(rows) < 80, 0.0, 0.5)
    seconds = (np.arange(2000) + 0.5) / 2000
    y = 20 + 120 * seconds
    render_stars.add_trail(image, np.full(2000, 90.0), y, seconds, 1e5, opens, 0.5, np.ones(rows), WIDTH)
    whole = image.sum(axis=1)
    np.testing.assert_allclose(whole[30:70], whole[50], rtol=1e-3)
    np.testing.assert_allclose(whole[90:130], whole[50], rtol=1e-3)
    assert whole[5] < 0.01 * whole[50]
    assert whole[155] < 0.01 * whole[50]
