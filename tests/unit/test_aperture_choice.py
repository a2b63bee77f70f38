"""Test the choice of apertures: the diameters of the profile, or one from the seeing in whole pixels.

Also with few stars and with hot pixels, for which the seeing is that of the stack.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from gozen.photometry.aperture_choice import diameters_for
from gozen.quality.gates import frame_level
from gozen.reduction.align_frames import align, align_roughly
from gozen.settings import DetectionSettings, GateSettings

from ..star_fields import calibrated

NAN = math.nan
SIZE, FWHM = 240, 5.0


def seen(stars, hot_pixels):
    """Return the aperture chosen for two frames with so many stars and pixels that no dark has taken out."""
    rng = np.random.default_rng([stars, hot_pixels])
    rows, columns = np.mgrid[:SIZE, :SIZE]
    truth, width = np.full((SIZE, SIZE), 100.0), 2 * (FWHM / 2.3548) ** 2
    for x, y, flux in zip(*rng.uniform(20, SIZE - 20, (2, stars)), 10 ** rng.uniform(3.5, 5, stars), strict=True):
        truth += flux * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / width) / (np.pi * width)
    truth[tuple(rng.integers(5, SIZE - 5, (2, hot_pixels)))] += 10 ** rng.uniform(2.5, 4.2, hot_pixels)
    images = (truth + rng.normal(0, 12, (2, SIZE, SIZE))).astype(np.float32)
    cube = calibrated(images, [frame_level(one) for one in images])
    aligned = align(align_roughly(cube, 0, GateSettings()), DetectionSettings())
    return diameters_for("auto", aligned.fwhm, aligned.sources.fwhm)


def test_named_apertures_do_not_follow_the_seeing():
    assert diameters_for((21, 10), [9.0, 9.0], 9.0) == (21, 10)


@pytest.mark.parametrize(
    ("seeing", "stack", "diameter"),
    [
        ([2.2, 2.3, 2.25], 2.7, 9),  # that of the frames, which the stack's whole pixels do not widen
        ([3.36], 3.4, 13),
        ([2.5, 2.5, 2.5, 40.0], 2.5, 10),  # one trailed frame does not decide
        ([NAN, 2.5, NAN], 9.0, 10),
        ([NAN, NAN], 3.0, 12),  # no frame has enough stars
        ([], 2.5, 10),
        ([0.8], 1.2, 5),
        ([60.0], 20.0, 101),
    ],
)
def test_the_aperture_by_the_seeing_is_two_fwhm_around_the_star(seeing, stack, diameter):
    assert diameters_for("auto", seeing, stack) == (diameter,)


@pytest.mark.parametrize(("stars", "hot_pixels"), [(1, 0), (3, 0), (8, 100)])
def test_few_stars_are_enough_and_hot_pixels_are_none(stars, hot_pixels):
    (diameter,) = seen(stars, hot_pixels)
    assert diameter == pytest.approx(4 * FWHM, abs=1)


def test_an_empty_sky_has_an_aperture_too():
    assert seen(0, 0) == (10,)
