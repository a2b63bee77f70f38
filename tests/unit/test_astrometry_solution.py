"""Test the FITS cards of a solution: astropy agrees to 1e-3 pixel both ways, with distortion, anywhere on the sky."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from gozen.astrometry.hinted import FieldStars, solve_with_hint
from gozen.astrometry.refine import refine

from ..sky_fields import SHAPE, barrel, sky_field

PLACES = [(150.0, 2.0), (0.05, 35.0), (359.95, -20.0), (200.0, 89.5), (20.0, -89.9)]
GRID = tuple(axis.ravel() for axis in np.meshgrid(np.linspace(0, 1999, 15), np.linspace(0, 1127, 9)))


def solved(ra, dec, distortion=None):
    field = sky_field(ra, dec, turn_deg=0.3, distortion=distortion, noise_px=0.02)
    match = solve_with_hint(FieldStars(field.x, field.y, field.ra, field.dec), field.nominal, 60.0, 6)
    return refine(match.projection, FieldStars(field.x, field.y, field.ra, field.dec), SHAPE, 3, "hint")


def opened(solution):
    header = fits.Header()
    for word, value, comment in solution.cards():
        header[word] = (value, comment)
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, SHAPE[1], SHAPE[0]
    return WCS(header)


def across_px(ra, dec, other_ra, other_dec):
    """Return distances of positions, pixels of 1.189 arcsec."""
    east = ((ra - other_ra + 180) % 360 - 180) * np.cos(np.deg2rad(dec))
    return np.hypot(east, dec - other_dec) * 3600 / 1.189


@pytest.mark.parametrize(("ra", "dec"), PLACES)
@pytest.mark.parametrize("distortion", [None, barrel(3.0)], ids=["plain", "distorted"])
def test_astropy_agrees_both_ways(ra, dec, distortion):
    solution = solved(ra, dec, distortion)
    assert solution.order == (1 if distortion is None else 3)
    wcs = opened(solution)
    ours = solution.sky(*GRID)
    assert across_px(*ours, *wcs.all_pix2world(*GRID, 0)).max() < 1e-3
    px, py = wcs.all_world2pix(*ours, 0, tolerance=1e-5)
    np.testing.assert_allclose(px, GRID[0], atol=1e-3)
    np.testing.assert_allclose(py, GRID[1], atol=1e-3)
    px, py = solution.pixel(*ours)
    np.testing.assert_allclose(px, GRID[0], atol=1e-3)
    np.testing.assert_allclose(py, GRID[1], atol=1e-3)


def test_the_inverse_polynomials_serve_readers_that_do_not_iterate():
    solution = solved(150.0, 2.0, barrel(3.0))
    ra, dec = solution.sky(*GRID)
    wcs = opened(solution)
    fx, fy = solution.linear.pixel(ra, dec)
    px, py = wcs.sip_foc2pix(fx - solution.linear.x, fy - solution.linear.y, 1)
    np.testing.assert_allclose(px, GRID[0] + 1, atol=0.02)
    np.testing.assert_allclose(py, GRID[1] + 1, atol=0.02)


def test_cards_say_how_good_the_solution_is():
    solution = solved(150.0, 2.0)
    words = {word: value for word, value, _ in solution.cards()}
    assert words["CTYPE1"] == "RA---TAN"
    assert words["RADESYS"] == "ICRS"
    assert words["WCSNSTAR"] == solution.stars > 300
    assert words["WCSRMS"] == pytest.approx(solution.rms_arcsec, abs=1e-5)
    assert words["WCSMETH"] == "hint"
    distorted = {word: value for word, value, _ in solved(150.0, 2.0, barrel(3.0)).cards()}
    assert (distorted["CTYPE1"], distorted["CTYPE2"]) == ("RA---TAN-SIP", "DEC--TAN-SIP")
    assert distorted["A_ORDER"] == distorted["BP_ORDER"] == 3
