"""Compare the tangent plane and linear projections with astropy anywhere on the sky: orientation, parity, sensors."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS

from gozen.astrometry.solve import sensor_pointing
from gozen.astrometry.tangent_plane import (
    PixelAxes,
    Projection,
    from_plane,
    nominal_projection,
    to_plane,
)
from gozen.instrument.profile import load_profile

PLACES = [(10.0, 20.0), (0.02, -35.0), (359.99, 60.0), (123.4, 89.9), (200.0, -89.95), (77.0, 0.0)]


def astropy_wcs(projection):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [projection.ra, projection.dec]
    wcs.wcs.crpix = [projection.x + 1, projection.y + 1]
    wcs.wcs.cd = projection.matrix
    return wcs


@pytest.mark.parametrize(("ra", "dec"), PLACES)
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_projection_agrees_with_astropy_both_ways(ra, dec, mirrored):
    projection = nominal_projection(ra, dec, 999.5, 563.5, PixelAxes(1.189, 17.0, mirrored))
    x, y = np.random.default_rng(1).uniform(0, 2000, (2, 300))
    theirs = astropy_wcs(projection).all_pix2world(x, y, 0)
    ours = projection.sky(x, y)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=0, atol=1e-10)
    assert np.abs((ours[0] - theirs[0] + 180) % 360 - 180).max() < 1e-9 / max(np.cos(np.deg2rad(dec)), 1e-3)
    assert ((ours[0] >= 0) & (ours[0] < 360)).all()
    px, py = projection.pixel(*ours)
    np.testing.assert_allclose(px, x, atol=1e-7)
    np.testing.assert_allclose(py, y, atol=1e-7)


def test_the_far_hemisphere_is_not_on_the_plane():
    xi, eta = to_plane(np.array([10.0, 190.0, 101.0]), np.array([20.0, -20.0, 0.0]), 10.0, 20.0)
    assert xi[0] == eta[0] == 0.0
    assert np.isnan(xi[1:]).all()
    assert np.isnan(eta[1:]).all()


def test_from_plane_undoes_to_plane_at_the_pole():
    ra, dec = np.array([10.0, 100.0, 190.0, 280.0]), np.full(4, 89.5)
    again = from_plane(*to_plane(ra, dec, 45.0, 90.0), 45.0, 90.0)
    np.testing.assert_allclose(again[0], ra, atol=1e-9)
    np.testing.assert_allclose(again[1], dec, atol=1e-9)


def directions(angle, mirrored):
    """Return the ways in which +x and +y lead on the sky, (east, north), arcsec per pixel."""
    made = nominal_projection(80.0, 0.0, 0.0, 0.0, PixelAxes(2.0, angle, mirrored))
    ra, dec = made.sky(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    return [(round((a - 80.0) * 3600, 6), round(d * 3600, 6)) for a, d in zip(ra, dec, strict=True)]


def test_orientation_and_parity_mean_what_the_profile_says():
    assert directions(0.0, mirrored=False) == [(-2.0, 0.0), (0.0, 2.0)]  # north up, east left
    assert directions(0.0, mirrored=True) == [(2.0, 0.0), (0.0, 2.0)]
    assert directions(90.0, mirrored=False) == [(0.0, 2.0), (2.0, 0.0)]  # up is east, so right is north
    assert directions(180.0, mirrored=False) == [(2.0, 0.0), (0.0, -2.0)]


def test_scale():
    made = nominal_projection(1.0, 2.0, 0, 0, PixelAxes(1.189, 33.0, True))
    assert made.scale_arcsec == pytest.approx(1.189, rel=1e-12)
    assert Projection(0, 0, 0, 0, np.diag([-1.0, 2.0]) / 3600).scale_arcsec == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize(("ra", "dec"), [(19.75, 29.71), (359.9, 0.0), (0.05, -30.0), (50.0, 88.0)])
def test_a_sensor_points_where_its_offset_says(ra, dec):
    profile = load_profile("tomoe")
    for sensor in profile.sensors[:6]:
        found = sensor_pointing(profile, sensor.id, ra, dec)
        xi, eta = to_plane(np.array([found.ra]), np.array([found.dec]), ra, dec)
        assert xi[0] * 3600 == pytest.approx(sensor.x_arcsec, abs=1e-6)
        assert eta[0] * 3600 == pytest.approx(sensor.y_arcsec, abs=1e-6)
        assert 0 <= found.ra < 360
        # A step along the telescope's north, seen from the sensor, leans by the turn.
        ahead = from_plane(xi, eta + 1e-4, ra, dec)
        east, north = to_plane(*ahead, found.ra, found.dec)
        assert found.turn_deg == pytest.approx(np.degrees(np.arctan2(east[0], north[0])), abs=1e-3)


def test_nothing_is_known_of_an_unknown_sensor_or_pointing():
    profile = load_profile("tomoe")
    assert sensor_pointing(profile, "999", 10.0, 20.0) is None
    assert sensor_pointing(profile, "111", None, 20.0) is None
    assert sensor_pointing(profile, "111", 10.0, None) is None
