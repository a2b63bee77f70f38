"""Circles on the sky: to text and back; the same distance for one position, for columns and in QuickDB."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gozen.quickdb import Cone
from gozen.resources.lightcurvejob import Region
from gozen.resources.sky_circle import SkyCircle, separation_deg

RA = st.floats(0, 360, exclude_max=True)
DEC = st.floats(-90, 90)
RADIUS = st.floats(1e-6, 180)
CIRCLES = st.builds(SkyCircle, RA, DEC, RADIUS)


@given(CIRCLES)
def test_a_circle_comes_back_from_its_text(circle):
    assert SkyCircle.read(str(circle)) == circle
    assert Region(ra=circle.ra, dec=circle.dec, radius_deg=circle.radius_deg).circle == circle


@given(CIRCLES, RA, DEC)
def test_a_place_and_a_column_of_places_and_a_cone_agree(circle, ra, dec):
    assume(abs(separation_deg(circle.ra, circle.dec, ra, dec) - circle.radius_deg) > 1e-5)
    column = np.array([ra, np.nan]), np.array([dec, 0.0])
    cone = Cone(circle.ra, circle.dec, circle.radius_deg).contains(*column, np.zeros(2, np.int64))
    assert circle.touches(ra, dec) == circle.contains(*column)[0] == cone[0]
    assert not circle.contains(*column)[1]


@given(CIRCLES, RA, DEC, st.floats(0, 90))
def test_circles_touch_each_other(circle, ra, dec, reach):
    assume(reach > 0)
    other = SkyCircle(ra, dec, reach)
    assume(abs(separation_deg(circle.ra, circle.dec, ra, dec) - circle.radius_deg - reach) > 1e-5)
    assert circle.touches(ra, dec, reach) == other.touches(circle.ra, circle.dec, circle.radius_deg)


@given(st.decimals(min_value="0.1", max_value="3600", places=3))
def test_arcsec_come_back_as_they_were_written(radius):
    assert SkyCircle(0.0, 0.0, float(radius) / 3600).radius_arcsec == float(radius)


def test_separations():
    assert separation_deg(10.0, 20.0, 10.0, 20.0) == 0.0
    assert separation_deg(0.0, 90.0, 123.0, 89.0) == pytest.approx(1.0, rel=1e-12)
    assert separation_deg(359.9995, 0.0, 0.0005, 0.0) * 3600 == pytest.approx(3.6, rel=1e-9)
    assert separation_deg(0.0, 0.0, 180.0, 0.0) == pytest.approx(180.0)
