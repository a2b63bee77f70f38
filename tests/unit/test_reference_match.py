"""Test the match of sources with stars: one to one, nearest first, after proper motion, across ra 0 and at the pole."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.catalog.reference.reference_catalog import propagated
from gozen.lightcurves.reference_match import match_stars

ARCSEC = 1 / 3600


def test_a_star_goes_to_the_nearest_source_that_claims_it():
    ra = np.array([10.0, 10.0 + 0.5 * ARCSEC, 20.0])
    star_ra = np.array([20.0, 10.0 + 0.4 * ARCSEC])
    found = match_stars(ra, np.zeros(3), star_ra, np.zeros(2), 1.0)
    assert found.tolist() == [-1, 1, 0]


def test_each_source_has_the_nearest_of_its_stars():
    star_ra = 10.0 + np.array([-0.8, 0.3, 0.9]) * ARCSEC
    assert match_stars(np.array([10.0]), np.zeros(1), star_ra, np.zeros(3), 1.0).tolist() == [1]


@pytest.mark.parametrize("dec", [0.0, 60.0, -89.9])
def test_the_radius_is_on_the_sky(dec):
    step = ARCSEC / np.cos(np.deg2rad(dec))
    ra = np.array([10.0, 50.0])
    star_ra = ra + np.array([0.99, 1.01]) * step
    assert match_stars(ra, np.full(2, dec), star_ra, np.full(2, dec), 1.0).tolist() == [0, -1]


def test_over_the_meridian_and_over_the_pole():
    assert match_stars(np.array([359.9999]), np.zeros(1), np.array([0.0001]), np.zeros(1), 1.0).tolist() == [0]
    pole = 90 - 0.3 * ARCSEC
    assert match_stars(np.array([0.0]), np.array([pole]), np.array([180.0]), np.array([pole]), 1.0).tolist() == [0]


def test_a_fast_star_is_met_at_the_epoch_of_the_exposure():
    # Barnard's star moves 10.4 arcsec a year.
    star = np.array([269.452]), np.array([4.6934])
    moved = propagated(*star, np.array([-801.6]), np.array([10362.4]), 10.0)
    seen = np.array([moved[0][0] + 0.1 * ARCSEC]), moved[1]
    assert match_stars(*seen, *star, 1.0).tolist() == [-1]
    assert match_stars(*seen, *moved, 1.0).tolist() == [0]


@pytest.mark.parametrize(("sources", "stars"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_match(sources, stars):
    found = match_stars(np.zeros(sources), np.zeros(sources), np.ones(stars), np.ones(stars), 1.0)
    assert found.tolist() == [-1] * sources


def test_a_crowd_is_matched_one_to_one():
    rng = np.random.default_rng(1)
    ra, dec = 10 + rng.uniform(0, 20, 2000) * ARCSEC, rng.uniform(0, 20, 2000) * ARCSEC
    found = match_stars(ra, dec, ra[::-1] + 1e-7, dec[::-1], 1.0)
    kept = found[found >= 0]
    assert len(np.unique(kept)) == len(kept) > 1900
    assert (found[found >= 0] == 1999 - np.flatnonzero(found >= 0)).mean() > 0.99
