"""Test the registration of frames: sub-pixel shifts, long drifts, jumps, image motion by seeing, clouds."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.photometry.frame_shift import UNSHIFTED, AnchorStars, Shift, choose_anchors, measure_shift

from ..star_fields import gaussians, scattered

SHAPE = (600, 700)
NOISE = 3.0


@pytest.fixture(scope="module")
def field():
    rng = np.random.default_rng(11)
    x, y = scattered(rng, 100, SHAPE, margin=60, apart=20)
    return x, y, 10 ** rng.uniform(2.8, 4.5, 100)


def frame(field, dx=0.0, dy=0.0, light=1.0, seed=1, dance=0.0):
    x, y, flux = field
    rng = np.random.default_rng(seed)
    own = rng.normal(0, dance, (2, len(x))) if dance else np.zeros((2, len(x)))
    stars = gaussians(SHAPE, x + dx + own[0], y + dy + own[1], flux * light)
    return stars + rng.normal(0, NOISE, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def anchors(field):
    x, y, flux = field
    return choose_anchors(frame(field, seed=99), AnchorStars(x, y, flux, np.ones(len(x), bool), 3.3))


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (0.3, -0.3), (-0.5, 0.5), (0.05, 2.7)])
def test_a_small_shift(field, anchors, dx, dy):
    found = measure_shift(frame(field, dx, dy), anchors, UNSHIFTED)
    assert (found.dx, found.dy) == (pytest.approx(dx, abs=0.02), pytest.approx(dy, abs=0.02))
    assert found.stars >= 80
    assert found.residual < 0.1
    assert found.measured


def test_a_drift_of_40_pixels_over_a_sequence_each_frame_from_the_one_before(field, anchors):
    guess = UNSHIFTED
    for number, dx in enumerate(np.linspace(0, 40, 18)):
        guess = measure_shift(frame(field, dx, -dx / 2, seed=number), anchors, guess)
        assert guess.dx == pytest.approx(dx, abs=0.03)
        assert guess.dy == pytest.approx(-dx / 2, abs=0.03)
        assert guess.stars >= 60


@pytest.mark.parametrize(("dx", "dy"), [(37.2, 11.6), (-40.0, 25.3), (0.0, -38.5)])
def test_a_jump_is_found_by_correlation(field, anchors, dx, dy):
    found = measure_shift(frame(field, dx, dy), anchors, UNSHIFTED)
    assert (found.dx, found.dy) == (pytest.approx(dx, abs=0.03), pytest.approx(dy, abs=0.03))


def test_stars_that_dance_by_themselves_average_out_and_show_in_the_residual(field, anchors):
    found = measure_shift(frame(field, 0.4, 0.1, dance=0.2), anchors, UNSHIFTED)
    assert (found.dx, found.dy) == (pytest.approx(0.4, abs=0.12), pytest.approx(0.1, abs=0.12))
    assert 0.1 < found.residual < 0.35


@pytest.mark.parametrize("seed", range(25))
def test_a_frame_without_stars_keeps_the_guess_and_says_so(anchors, seed):
    noise = np.random.default_rng(seed).normal(0, NOISE, SHAPE).astype(np.float32)
    found = measure_shift(noise, anchors, Shift(4.0, -3.0, 0.05, 20))
    assert (found.dx, found.dy, found.stars) == (4.0, -3.0, 0)
    assert not found.measured


def test_thick_clouds_leave_the_brightest_stars(field, anchors):
    for seed in range(10):
        found = measure_shift(frame(field, 1.3, 0.6, light=0.03, seed=seed), anchors, UNSHIFTED)
        assert found.measured
        assert (found.dx, found.dy) == (pytest.approx(1.3, abs=0.25), pytest.approx(0.6, abs=0.25))


def test_anchors_are_the_brightest_usable_stars(field):
    x, y, flux = field
    usable = np.ones(len(x), bool)
    usable[np.argmax(flux)] = False
    chosen = choose_anchors(frame(field), AnchorStars(x, y, flux, usable, 3.3))
    brightest = np.argmax(flux)
    assert np.hypot(chosen.x - x[brightest], chosen.y - y[brightest]).min() > 5
    second = np.argsort(-flux)[1]
    assert chosen.x[0] == pytest.approx(x[second], abs=0.05)


def test_without_anchors_every_frame_keeps_the_guess(field):
    none = choose_anchors(frame(field), AnchorStars(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, bool), 3.3))
    assert measure_shift(frame(field, 5.0, 5.0), none, UNSHIFTED).stars == 0
