"""Aperture photometry of ninety-four frames by another program, calibrated by Gozen: zero point and colour term.

The reference result for this field (41 stars in R against the G, BP and RP of ATLAS-Refcat2): median separation 0.28
arcsec, zero point in G 20.412 in flux per second, colour term 0.117, scatter 0.040.
"""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from gozen.catalog.reference.reference_catalog import read_reference
from gozen.lightcurves.reference_match import match_stars
from gozen.lightcurves.zero_point import StarFluxes, fit_zero_point
from gozen.settings import CalibrationSettings

EXPOSURE_S = 90.0
EPOCH = 2014.99


@pytest.fixture(scope="module")
def measured(observed):
    table = Table.read(observed("eyuma/2014-12-29-ey-uma-9.fits.gz"))
    flux = np.array(table["aperture_net_flux"], float)
    return {
        "file": np.array(table["file"]).astype(str),
        "ra": np.array(table["RA"], float),
        "dec": np.array(table["Dec"], float),
        "flux": flux / EXPOSURE_S,
        "error": np.array(table["mag_error"], float) * flux / 1.0857 / EXPOSURE_S,
    }


@pytest.fixture(scope="module")
def stars(observed):
    return read_reference(observed("eyuma/all_refcat2_ey_uma.ecsv"))


@pytest.fixture(scope="module")
def matched(measured, stars):
    """Match frame by frame, as an exposure is matched."""
    ra, dec = stars.at_epoch(EPOCH)
    star = np.full(len(measured["ra"]), -1)
    for name in np.unique(measured["file"]):
        here = np.flatnonzero((measured["file"] == name) & np.isfinite(measured["ra"]))
        star[here] = match_stars(measured["ra"][here], measured["dec"][here], ra, dec, 1.0)
    return star


def test_sources_lie_where_their_stars_do(measured, stars, matched):
    ra, dec = stars.at_epoch(EPOCH)
    found = matched >= 0
    east = (measured["ra"][found] - ra[matched[found]]) * np.cos(np.deg2rad(dec[matched[found]]))
    away = np.hypot(east, measured["dec"][found] - dec[matched[found]]) * 3600
    assert np.median(away) == pytest.approx(0.28, abs=0.02)
    assert found.sum() > 2000


def test_zero_point_colour_term_and_scatter_are_the_published_ones(measured, stars, matched):
    use = (matched >= 0) & (measured["flux"] > 0)
    g, colour = stars.g[matched[use]], stars.bp_rp[matched[use]]
    seen = StarFluxes(measured["flux"][use], measured["error"][use], g, colour)
    zero = fit_zero_point(seen, CalibrationSettings(), "EY UMa")
    assert zero.zp == pytest.approx(20.41, abs=0.02)
    assert zero.colour_term == pytest.approx(0.117, abs=0.02)
    assert zero.scatter <= 0.045
    assert zero.stars > 0.9 * use.sum()


def test_the_zero_point_does_not_depend_on_how_errors_are_stated(measured, stars, matched):
    use = (matched >= 0) & (measured["flux"] > 0)
    flux = measured["flux"][use]
    seen = StarFluxes(flux, 0.02 * flux, stars.g[matched[use]], stars.bp_rp[matched[use]])
    zero = fit_zero_point(seen, CalibrationSettings(), "EY UMa")
    assert zero.zp == pytest.approx(20.41, abs=0.02)
    assert zero.colour_term == pytest.approx(0.117, abs=0.02)
