"""Debian's Tycho-2 index: famous stars are at their positions, and cones contain all stars inside and no others.

These tests need the package astrometry-data-tycho2-07, which ``make test`` installs; without it they fail.
"""

from __future__ import annotations

import numpy as np
import pytest

from gozen.catalog.format import healpix
from gozen.errors import UnreadableInput
from gozen.simulator.sky.population import TILE_ORDER, from_tycho
from gozen.simulator.sky.scene import SimulatedSky
from gozen.simulator.sky.tycho import find_index, stars_in_cone

# Name, RA and Dec (ICRS, J2000), V, of SIMBAD. Barnard's star, which moves 10.4 arcsec a year, shows the epoch.
STARS = [
    ("Deneb", 310.357980, 45.280339, 1.25),
    ("Atlas", 57.290593, 24.053415, 3.63),
    ("Barnard", 269.452077, 4.693365, 9.51),
]


@pytest.fixture(scope="module")
def index():
    found = find_index()
    assert found is not None, "install astrometry-data-tycho2-07 (apt) to run this test"
    return found


@pytest.mark.parametrize(("name", "ra", "dec", "v"), STARS, ids=[star[0] for star in STARS])
def test_a_famous_star_is_where_it_is(index, name, ra, dec, v):
    stars = stars_in_cone(index, ra, dec, 0.01)
    brightest = np.argmin(stars.vt)
    assert stars.vt[brightest] == pytest.approx(v, abs=0.3)
    assert healpix.separation(ra, dec, stars.ra, stars.dec)[brightest] * 3600 < 1.0


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.9, 10.0), (120.0, 89.5), (200.0, -90.0)])
def test_a_cone_is_what_a_search_of_a_larger_one_would_give(index, ra, dec):
    small, large = stars_in_cone(index, ra, dec, 0.6), stars_in_cone(index, ra, dec, 1.5)
    near = healpix.separation(ra, dec, large.ra, large.dec) <= 0.6
    np.testing.assert_array_equal(np.sort(small.row), np.sort(large.row[near]))
    assert 10 < len(small.row) < 200


def test_about_eleven_stars_stand_on_a_sensor(index):
    area = np.pi * 5.0**2
    numbers = [len(stars_in_cone(index, ra, 30.0, 5.0).row) for ra in (0.0, 90.0, 180.0, 270.0)]
    assert 6 < np.mean(numbers) / area * 0.247 < 16


def test_the_sky_holds_the_real_stars_and_no_invented_bright_ones(index):
    sky = SimulatedSky(5, tycho=index)
    stars = sky.stars(57.290593, 24.053415, 0.5)
    real = stars_in_cone(index, 57.290593, 24.053415, 0.5)
    assert stars.g.min() == pytest.approx(real.vt.min() - 0.15)
    assert (stars.g < 11.5).sum() == pytest.approx((real.vt - 0.15 < 11.5).sum(), abs=1)
    assert len(np.unique(stars.source_id)) == len(stars)
    np.testing.assert_array_equal(stars.source_id >> 35, healpix.pixels(stars.ra, stars.dec, 12))


def test_a_real_star_belongs_to_one_tile_only(index):
    sky = SimulatedSky(5, tycho=index)
    centre = int(healpix.pixels([2.1], [29.1], TILE_ORDER)[0])
    around = healpix.with_neighbours(centre, TILE_ORDER)
    ids = np.concatenate([sky.tile(int(pixel)).source_id for pixel in around])
    assert len(np.unique(ids)) == len(ids)


def test_each_star_has_a_nature_of_its_own_which_does_not_depend_on_the_cone(index):
    small, large = (from_tycho(5, stars_in_cone(index, 57.29, 24.05, radius)) for radius in (0.3, 0.6))
    assert len(np.unique(large.bp_rp)) == len(large) > 20
    again = large.take(np.isin(large.source_id, small.source_id))
    np.testing.assert_array_equal(again.source_id, small.source_id)
    np.testing.assert_array_equal(again.bp_rp, small.bp_rp)


def test_a_star_at_j2000_is_at_the_place_of_the_index(index):
    stars = SimulatedSky(5, tycho=index).stars(57.290593, 24.053415, 0.1)
    ra, dec = stars.at(51544.5)
    brightest = np.argmin(stars.g)
    assert healpix.separation(57.290593, 24.053415, ra, dec)[brightest] * 3600 < 1.0


def test_a_file_that_is_no_index_is_named(tmp_path):
    other = tmp_path / "index-tycho2-07.fits"
    other.write_bytes(b"no FITS at all")
    with pytest.raises(UnreadableInput, match=r"index-tycho2-07\.fits"):
        stars_in_cone(other, 0.0, 0.0, 1.0)
