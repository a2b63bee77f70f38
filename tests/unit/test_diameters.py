"""Which apertures an exposure is measured with: named ones as they are, one by the seeing in whole pixels."""

from __future__ import annotations

import math

import pytest

from gozen.photometry.diameters import diameters_for

NAN = math.nan


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
