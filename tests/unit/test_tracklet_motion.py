"""Test the straight line on the sky in a tracklet's record: rate, position and angle at the middle of its times."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.reduction.sky_tracklets import motion


def great_circle(hours, ra=10.0, dec=70.0, angle=80.0):
    """Return places of a body that passes (ra, dec) at a position angle, one degree an hour."""
    r, d, p, s = (np.radians(value) for value in (ra, dec, angle, hours))
    start = np.array([np.cos(d) * np.cos(r), np.cos(d) * np.sin(r), np.sin(d)])
    east, north = (
        np.array([-np.sin(r), np.cos(r), 0.0]),
        np.array([-np.sin(d) * np.cos(r), -np.sin(d) * np.sin(r), np.cos(d)]),
    )
    x, y, z = np.outer(start, np.cos(s)) + np.outer(np.sin(p) * east + np.cos(p) * north, np.sin(s))
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arcsin(z))


def test_the_angle_is_that_in_the_middle_and_not_at_the_first_point():
    hours = np.linspace(-0.2, 0.2, 12)
    ra, dec = great_circle(hours)
    fit = motion(ra, dec, 61000 + hours / 24, np.full(12, 0.1))
    assert (fit.ra, fit.dec, fit.mjd) == pytest.approx((10.0, 70.0, 61000.0), abs=1e-6)
    assert fit.angle == pytest.approx(80.0, abs=1e-3)
    assert fit.rate == pytest.approx(60.0, rel=1e-4)
    first = motion(ra[:2], dec[:2], 61000 + hours[:2] / 24, np.full(2, 0.1))
    assert abs(first.angle - fit.angle) > 0.4


def test_the_error_of_the_rate_grows_with_what_the_points_have_in_common():
    hours = np.linspace(-0.2, 0.2, 12)
    track = (*great_circle(hours), 61000 + hours / 24, np.full(12, 0.1))
    assert motion(*track, 1.5).rate_err == pytest.approx(1.5 * motion(*track).rate_err)
