"""Test the elongation of stars on frames on which the mount jumped or drifted, its gate, and the stack without them."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.errors import TrailedFrame
from gozen.photometry.star_elongation import star_elongation
from gozen.quality.gates import FrameLevel, check_elongation
from gozen.reduction.align_frames import align, align_roughly
from gozen.settings import DetectionSettings, GateSettings

from ..star_fields import calibrated, gaussians, scattered

SHAPE = (300, 360)
SIGMA, NOISE, LEVEL = 1.4, 3.0, 200.0
LIMITS = GateSettings()


@pytest.fixture(scope="module")
def field():
    rng = np.random.default_rng(8)
    x, y = scattered(rng, 45, SHAPE, margin=20, apart=22)
    return x, y, 10 ** rng.uniform(3.3, 4.4, len(x))


def frame(field, length=0.0, angle=0.6, seed=1):
    """Return a frame on which stars are drawn out to trails of so many pixels."""
    x, y, flux = field
    steps = np.linspace(-0.5, 0.5, max(int(length * 3), 1)) * length
    image = sum(gaussians(SHAPE, x + s * np.cos(angle), y + s * np.sin(angle), flux / len(steps), SIGMA) for s in steps)
    return (image + LEVEL + np.random.default_rng(seed).normal(0, NOISE, SHAPE)).astype(np.float32)


def cube(images):
    return calibrated(images, [FrameLevel(LEVEL, NOISE)] * len(images))


def aligned(made, gates=LIMITS):
    return align(align_roughly(made, 0, gates), DetectionSettings())


@pytest.mark.parametrize(("length", "least", "most"), [(0, 1.0, 1.06), (3, 1.1, 1.4), (10, 2.5, 9), (14, 2.5, 20)])
@pytest.mark.parametrize("angle", [0.0, 0.9, 2.2])
def test_stars_are_as_long_as_the_mount_drew_them(field, length, angle, least, most):
    found = star_elongation(frame(field, length, angle), *field[:2], 1.5 * SIGMA, LEVEL)
    assert least <= found <= most


def test_a_frame_without_stars_has_no_elongation(field):
    assert np.isnan(star_elongation(frame(field), np.zeros(0), np.zeros(0), 2.0))
    assert np.isnan(check_elongation(float("nan"), LIMITS, 0))


def test_the_gate_names_value_limit_and_setting():
    assert check_elongation(2.49, LIMITS, 3) == 2.49
    with pytest.raises(
        TrailedFrame, match=r"frame 3: the stars are 2\.51 times .* 2\.5 \(gates\.elongation"
    ) as refused:
        check_elongation(2.51, LIMITS, 3)
    assert (refused.value.value, refused.value.limit) == (2.51, 2.5)


@pytest.mark.parametrize("which", [0, 2, 4])
@pytest.mark.parametrize("length", [10, 30])
def test_a_trailed_frame_is_refused_and_the_others_are_stacked(field, which, length):
    made = cube([frame(field, length if n == which else 0, seed=n) for n in range(5)])
    result = aligned(made)
    assert {index: refusal.name for index, refusal in result.cube.rejections.items()} == {which: "TrailedFrame"}
    assert which not in result.stack.frames
    assert len(result.stack.frames) == 4
    assert [gate.passed for gate in result.cube.gates if gate.name == "TrailedFrame"] == [n != which for n in range(5)]
    assert result.sources.fwhm == pytest.approx(2.3548 * SIGMA, rel=0.25)


def test_a_camera_with_long_stars_on_every_frame_is_refused_whole_or_let_pass(field):
    images = [frame(field, 10, seed=n) for n in range(3)]
    with pytest.raises(TrailedFrame, match="field: all 3 frames were refused"):
        aligned(cube(images))
    assert aligned(cube(images), GateSettings(elongation=50)).cube.good == [0, 1, 2]
