"""Compare the simulated projection with astropy's TAN; the profile's orientation, the rotation of distant sensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from gozen.simulator.camera.projection import CameraProjection, from_tangent_plane, project, tangent_plane

from .simulator_samples import small_profile

PLAIN = CameraProjection(120.0, 25.0, 0.0, 1.189, False, 999.5, 563.5, 0.0, 1148.0)


def _project(sensor, ra, dec, **changes):
    return project(
        small_profile(), sensor, ra, dec, **{"seed": 1, "rotation_deg": 0.0, "distortion_px": 0.0, **changes}
    )


def test_without_distortion_it_is_the_standard_gnomonic_projection():
    """FITS counts pixels from 1, arrays from 0."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [120.0, 25.0]
    wcs.wcs.crpix = [1000.5, 564.5]
    wcs.wcs.cd = np.array([[-1.0, 0.0], [0.0, 1.0]]) * 1.189 / 3600
    x, y = np.array([0.0, 1999.0, 700.0]), np.array([0.0, 3.0, 1127.0])
    expected = wcs.all_pix2world(np.column_stack([x, y]), 0)
    np.testing.assert_allclose(np.column_stack(PLAIN.sky(x, y)), expected, atol=1e-9)


def test_east_is_left_when_north_is_up_unless_mirrored():
    x, y = PLAIN.pixels(np.array([120.01]), np.array([25.0]))
    assert x[0] < 990
    assert y[0] == pytest.approx(563.5, abs=0.01)
    x, _ = replace(PLAIN, mirrored=True).pixels(np.array([120.01]), np.array([25.0]))
    assert x[0] > 1010


def test_the_position_angle_turns_the_y_axis_from_north_to_east():
    turned = replace(PLAIN, position_angle_deg=90.0)
    x, y = turned.pixels(np.array([120.01]), np.array([25.0]))
    assert y[0] > 575
    assert x[0] == pytest.approx(999.5, abs=0.01)


def test_the_distortion_pushes_the_corner_out_and_is_undone():
    bent = replace(PLAIN, distortion=0.2 / 1148.0)
    ra, dec = PLAIN.sky(np.array([0.0]), np.array([0.0]))
    x, y = bent.pixels(ra, dec)
    assert np.hypot(x, y)[0] == pytest.approx(0.2, abs=0.001)
    assert x[0] < 0
    x, y = bent.pixels(*bent.sky(np.array([1900.0]), np.array([40.0])))
    np.testing.assert_allclose([x[0], y[0]], [1900.0, 40.0], atol=1e-6)


def test_a_sensor_stands_where_the_profile_says():
    place = _project("112", 150.0, 0.0)
    assert (place.ra - 150.0) * 3600 == pytest.approx(1980, rel=1e-3)
    assert place.dec * 3600 == pytest.approx(4320, rel=1e-3)


def test_sensors_in_one_plane_lean_with_the_meridians():
    """At declination 60 the camera's up is not north on its far sensors: the step in ra times sin(dec)."""
    place = _project("141", 150.0, 60.0)
    lean = (place.ra - 150.0) * np.sin(np.radians(60.0))
    assert place.position_angle_deg == pytest.approx(lean, rel=0.02)
    assert lean > 3


def test_scale_and_rotation_belong_to_the_sensor():
    one, same, other = (_project(name, 150.0, 0.0, rotation_deg=0.1) for name in ("111", "111", "112"))
    assert one == same
    assert one.scale_arcsec != other.scale_arcsec
    assert abs(one.scale_arcsec / 1.189 - 1) < 0.005


@pytest.mark.parametrize("dec0", [-89.9, -30.0, 0.0, 89.9])
def test_the_tangent_plane_is_undone(dec0):
    xi, eta = np.array([0.3, -2.0, 0.0]), np.array([0.1, 1.5, -0.4])
    back = tangent_plane(359.9, dec0, *from_tangent_plane(359.9, dec0, xi, eta))
    np.testing.assert_allclose(back, [xi, eta], atol=1e-9)


def test_the_far_half_of_the_sky_has_no_pixel():
    x, _ = PLAIN.pixels(np.array([300.0]), np.array([-25.0]))
    assert np.isnan(x[0])
