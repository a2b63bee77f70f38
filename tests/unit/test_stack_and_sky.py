"""Test the stack of drifting frames, its weight and mask; a frame's sky on a mesh, with gradients, stars, drift."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.photometry.frame_shift import UNSHIFTED, Shift
from gozen.photometry.mean_stack import stack_frames
from gozen.photometry.sky_background import frame_sky

from ..star_fields import gaussians, scattered

SHAPE = (200, 260)


def moved(dx, dy):
    return Shift(dx, dy, 0.05, 20)


def test_frames_that_drifted_overlap_on_the_sky():
    rng = np.random.default_rng(2)
    x, y = scattered(rng, 10, SHAPE, margin=60, apart=20)
    drifts = [(-20.0, 10.0), (0.0, 0.0), (20.0, -10.0), (0.4, -0.4)]
    images = [gaussians(SHAPE, x + dx, y + dy, 5000.0) + 50 for dx, dy in drifts]
    masks = [np.zeros(SHAPE, np.uint8)] * 4
    made = stack_frames(images, masks, [moved(*drift) for drift in drifts], [0, 1, 2])
    np.testing.assert_allclose(made.image[60:140, 60:200], images[1][60:140, 60:200], atol=1e-2)
    assert made.frames == (0, 1, 2)
    assert made.weight.max() == 3
    # The first frame saw the sky 20 pixels to the left of where the reference does.
    assert made.weight[100, 100] == 3
    assert made.weight[100, 250] == 2
    assert made.weight[5, 10] == 1
    assert made.image[5, 10] == pytest.approx(50)


def test_the_stack_is_the_mean_of_the_chosen_frames():
    frames = [np.full(SHAPE, level, np.float32) for level in (1, 2, 30)]
    made = stack_frames(frames, [np.zeros(SHAPE, np.uint8)] * 3, [UNSHIFTED] * 3, [0, 1])
    assert (made.image == 1.5).all()
    assert (made.weight == 2).all()


def test_a_pixel_that_is_bad_on_a_frame_is_bad_at_its_place_on_the_sky():
    masks = [np.zeros(SHAPE, np.uint8) for _ in range(2)]
    masks[0][50, 60], masks[1][50, 60] = 1, 2
    frames = [np.ones(SHAPE, np.float32)] * 2
    made = stack_frames(frames, masks, [UNSHIFTED, moved(7, 3)], [0, 1])
    assert made.mask[50, 60] == 1
    assert made.mask[47, 53] == 2


def test_a_place_that_no_frame_saw_is_empty_and_masked():
    made = stack_frames([np.ones(SHAPE, np.float32)], [np.zeros(SHAPE, np.uint8)], [moved(30, 0)], [0])
    assert made.weight[100, 229] == 1
    assert (made.weight[100, 230], made.image[100, 230], made.mask[100, 230]) == (0, 0, 1)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (5, -3), (-40, 40), (300, 0), (-300, 7), (0, -999)])
def test_a_frame_that_drifted_gives_what_is_left_of_it_even_nothing(dx, dy):
    image = np.random.default_rng(9).normal(50, 5, SHAPE).astype(np.float32)
    made = stack_frames([image], [np.zeros(SHAPE, np.uint8)], [moved(dx, dy)], [0])
    assert made.weight.sum() == max(SHAPE[0] - abs(dy), 0) * max(SHAPE[1] - abs(dx), 0)
    for row, column in np.argwhere(made.weight > 0)[::997]:
        assert made.image[row, column] == image[row + dy, column + dx]


def background(level=100.0):
    y, x = np.mgrid[0:512, 0:768]
    return (level + 0.02 * x + 0.01 * y).astype(np.float32)


def test_a_frame_brighter_than_the_stack_by_a_plane():
    rng = np.random.default_rng(4)
    y, x = np.mgrid[0:512, 0:768]
    frame = background() + (7 + 0.01 * x - 0.005 * y + rng.normal(0, 3, x.shape)).astype(np.float32)
    sky = frame_sky(frame, background(), np.ones(frame.shape, bool), UNSHIFTED)
    at = np.array([200.0, 400.0, 600.0]), np.array([130.0, 256.0, 380.0])
    np.testing.assert_allclose(sky.at(*at), 7 + 0.01 * at[0] - 0.005 * at[1], atol=0.15)
    assert sky.noise == pytest.approx(3.0, rel=0.08)


def test_the_sky_beyond_the_mesh_is_that_of_its_last_cell():
    sky = frame_sky(background(105.0), background(), np.ones((512, 768), bool), UNSHIFTED)
    np.testing.assert_allclose(sky.at(np.array([-30.0, 900.0]), np.array([0.0, 700.0])), 5.0, atol=1e-3)


def star_places():
    rng = np.random.default_rng(6)
    return rng.uniform(0, 768, 500), rng.uniform(0, 512, 500)


@pytest.mark.parametrize("shift", [UNSHIFTED, moved(20.0, -12.0), moved(-37.4, 5.1)])
def test_stars_do_not_brighten_the_sky_even_where_the_frame_has_drifted(shift):
    x, y = star_places()
    is_sky = gaussians((512, 768), x, y, 60.0) < 0.002
    noise = np.random.default_rng(7).normal(0, 3, (512, 768)).astype(np.float32)
    frame = background(103.0) + gaussians((512, 768), x + shift.dx, y + shift.dy, 60.0) + noise
    sky = frame_sky(frame, background(), is_sky, shift)
    assert sky.excess.mean() == pytest.approx(3.0 + tilt(shift), abs=0.06)


def tilt(shift):
    """Return what the stack's map, moved with the stars, lacks of a sky that stayed."""
    return 0.02 * round(shift.dx) + 0.01 * round(shift.dy)


def test_where_no_sky_is_left_the_rest_of_the_frame_stands_in():
    is_sky = np.ones((512, 768), bool)
    is_sky[:, 512:] = False
    sky = frame_sky(background(104.0), background(), is_sky, UNSHIFTED)
    np.testing.assert_allclose(sky.excess, 4.0, atol=1e-3)
    nothing = frame_sky(background(104.0), background(), np.zeros((512, 768), bool), UNSHIFTED)
    assert (nothing.excess == 0).all()
    assert np.isnan(nothing.noise)
