"""Test frames that rotate: the rotation is measured, and used for the stack, the sky and the positions of stars."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.movers.candidates import FrameDifference, find_candidates
from gozen.movers.stack_template import difference, make_template
from gozen.photometry.detect_sources import detect
from gozen.photometry.frame_shift import UNSHIFTED, AnchorStars, Shift, choose_anchors, measure_shift
from gozen.photometry.frame_turn import Turn, fit_turn
from gozen.photometry.mean_stack import Stack, stack_frames
from gozen.photometry.placed_frame import PlacedFrame
from gozen.photometry.sky_background import FrameSky, frame_sky
from gozen.settings import DetectionSettings

from ..star_fields import gaussians, scattered

SHAPE = (500, 650)
MIDDLE = (324.5, 249.5)
NOISE = 3.0


@pytest.fixture(scope="module")
def field():
    rng = np.random.default_rng(21)
    x, y = scattered(rng, 90, SHAPE, margin=20, apart=18)
    return x, y, 10 ** rng.uniform(3.2, 4.5, len(x))


def turned(angle_deg, dx=0.0, dy=0.0, scale=1.0):
    angle = np.deg2rad(angle_deg)
    cos, sin = scale * np.cos(angle) - 1, scale * np.sin(angle)
    return Shift(dx, dy, 0.0, 50, Turn(cos, -sin, sin, cos, *MIDDLE))


def frame(field, shift, seed=1, dance=0.0):
    x, y = shift.place(*field[:2])
    rng = np.random.default_rng(seed)
    if dance:
        x, y = x + rng.normal(0, dance, len(x)), y + rng.normal(0, dance, len(y))
    return gaussians(SHAPE, x, y, field[2]) + rng.normal(0, NOISE, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def anchors(field):
    return choose_anchors(frame(field, UNSHIFTED, seed=99), AnchorStars(*field, np.ones(len(field[0]), bool), 3.3))


def off(found, truth):
    """Return the largest distance over the image between where two shifts place its points."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 649, 8), np.linspace(0, 499, 8)))
    there, here = found.place(x, y), truth.place(x, y)
    return np.hypot(there[0] - here[0], there[1] - here[1]).max()


def test_six_hours_of_drift_and_turn_each_frame_from_the_one_before(field, anchors):
    guess = UNSHIFTED
    for number in range(1, 25):
        truth = turned(0.06 * number, dx=-5.0 * number, dy=2.0 * number, scale=1 + 2e-5 * number)
        guess = measure_shift(frame(field, truth, seed=number), anchors, guess)
        assert off(guess, truth) < 0.12
        assert guess.residual < 0.1
    assert guess.turn.angle_deg == pytest.approx(1.44, abs=0.01)
    assert guess.turn.scale == pytest.approx(1.00048, abs=1e-4)


@pytest.mark.parametrize("angle", [0.2, -0.45, 0.8])
def test_a_frame_that_is_suddenly_turned(field, anchors, angle):
    truth = turned(angle, dx=14.0, dy=-9.0)
    found = measure_shift(frame(field, truth), anchors, UNSHIFTED)
    assert off(found, truth) < 0.12
    assert found.stars > 60


def test_refraction_that_shears_a_field(field, anchors):
    truth = Shift(3.0, 1.0, 0.0, 50, Turn(-8e-4, 5e-3, -5.4e-3, 0.0, *MIDDLE))
    assert off(measure_shift(frame(field, truth), anchors, UNSHIFTED), truth) < 0.1


@pytest.mark.parametrize("seed", range(12))
def test_stars_that_dance_show_no_turn(field, anchors, seed):
    found = measure_shift(frame(field, Shift(2.0, 1.0, 0.0, 9), seed=seed, dance=0.25), anchors, UNSHIFTED)
    assert found.turn is None
    assert found.measured


def test_the_way_back():
    shift = turned(3.0, dx=40.0, dy=-7.0, scale=1.01)
    x, y = np.array([3.0, 600.0, 324.5]), np.array([490.0, 7.0, 249.5])
    np.testing.assert_allclose(shift.back(*shift.place(x, y)), (x, y), atol=1e-9)
    np.testing.assert_allclose(shift.place(x[2:], y[2:]), [[364.5], [242.5]])


def test_a_few_stars_tell_no_turn():
    x, y = np.array([0.0, 100.0, 0.0, 90.0, 40.0]), np.array([0.0, 0.0, 100.0, 80.0, 40.0])
    assert fit_turn(x, y, 1 + 0.01 * x, 2 + 0.01 * y, (50.0, 50.0))[2] is None


def test_the_stack_of_turned_frames_keeps_its_stars_sharp(field):
    shifts = [turned(angle, dx=12 * angle, dy=-3 * angle) for angle in (-1.0, -0.5, 0.5, 1.0)]
    frames = [gaussians(SHAPE, *shift.place(*field[:2]), field[2]) for shift in shifts]
    made = stack_frames(frames, [np.zeros(SHAPE, np.uint8)] * 4, shifts, [0, 1, 2, 3])
    inside = (np.abs(field[0] - 324) < 290) & (np.abs(field[1] - 250) < 220)
    peak = made.image[np.rint(field[1]).astype(int), np.rint(field[0]).astype(int)]
    alone = gaussians(SHAPE, *field)[np.rint(field[1]).astype(int), np.rint(field[0]).astype(int)]
    assert np.median(peak[inside] / alone[inside]) > 0.93
    assert (peak[inside] / alone[inside]).min() > 0.8
    assert (made.weight[250, 325], made.weight[0, 0] < 4) == (4, True)
    assert made.mask[made.weight == 0].all()


def test_the_sky_of_a_turned_frame_is_free_of_its_stars(field):
    shift = turned(1.5, dx=20.0)
    x, y, flux = field
    background = np.full(SHAPE, 100, np.float32)
    is_sky = gaussians(SHAPE, x, y, 100 * flux) < 1
    image = gaussians(SHAPE, *shift.place(x, y), 100 * flux) + 107
    image += np.random.default_rng(3).normal(0, NOISE, SHAPE).astype(np.float32)
    sky = frame_sky(image, background, is_sky, shift)
    assert np.abs(sky.excess - 7).max() < 0.3
    assert sky.noise == pytest.approx(NOISE, rel=0.1)


def test_a_turned_frame_minus_the_stack_leaves_nothing_but_what_is_new(field):
    shift = turned(0.8, dx=30.0, dy=4.0)
    x, y, flux = field
    rng = np.random.default_rng(6)
    level = np.full(SHAPE, 100, np.float32)
    stack = Stack(
        gaussians(SHAPE, x, y, flux) + level + rng.normal(0, 0.3, SHAPE).astype(np.float32),
        np.full(SHAPE, 9, np.int16),
        np.zeros(SHAPE, np.uint8),
        tuple(range(9)),
    )
    sources, background = detect(stack.image, stack.weight, DetectionSettings())
    image = gaussians(SHAPE, *shift.place(x, y), flux) + level + rng.normal(0, NOISE, SHAPE).astype(np.float32)
    new = 300.0, 250.0
    while np.hypot(x - new[0], y - new[1]).min() < 15:
        new = new[0] + 3, new[1]
    image += gaussians(SHAPE, *shift.place(*new), 900.0)
    template = make_template(stack, stack.image, background, sources, 3.3)
    sky = FrameSky(np.zeros((4, 5)), (125.0, 130.0), NOISE)
    mask = np.zeros(SHAPE, np.uint8)
    rest = difference(PlacedFrame(image, mask, shift, sky), template, 1.0)
    found = find_candidates(FrameDifference(0, rest, mask, template, shift, NOISE), 0.7, 5.0)
    at = shift.back(found.x, found.y)
    assert np.hypot(at[0] - new[0], at[1] - new[1]).min() < 0.5
    assert len(found) == 1
    uncovered = shift.onto_frame(np.ones(SHAPE, np.float32), np.float32(0)) == 0
    assert uncovered.any()
    assert not rest[uncovered].any()
