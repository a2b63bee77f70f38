"""Test the simulated stars: the same ones in overlapping pointings, ids in Gaia's form, plausible numbers."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.catalog.format import healpix
from gozen.simulator.sky.population import FAINTEST, density, magnitude, tile
from gozen.simulator.sky.scene import SimulatedSky
from gozen.simulator.sky.star_arrays import concatenate, moved, reference_table

SKY = SimulatedSky(11, tycho=None)


def test_overlapping_pointings_see_the_same_stars():
    one, two = SKY.stars(40.0, 30.0, 0.3), SKY.stars(40.2, 30.1, 0.3)
    both = set(one.source_id) & set(two.source_id)
    near = healpix.separation(40.2, 30.1, one.ra, one.dec) <= 0.3
    assert both == set(one.source_id[near])
    assert len(both) > 500
    at_one = dict(zip(one.source_id, zip(one.ra, one.dec, one.g, strict=True), strict=True))
    at_two = dict(zip(two.source_id, zip(two.ra, two.dec, two.g, strict=True), strict=True))
    assert all(at_one[source] == at_two[source] for source in both)


def test_another_seed_has_another_sky():
    assert not set(SKY.stars(40.0, 30.0, 0.1).g) & set(SimulatedSky(12, tycho=None).stars(40.0, 30.0, 0.1).g)


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.99, 89.95), (44.99, 41.81), (270.0, -89.0)])
def test_a_cone_is_full_everywhere(ra, dec):
    stars = SKY.stars(ra, dec, 0.3)
    expected = density(FAINTEST) * np.pi * 0.3**2
    assert len(stars) == pytest.approx(expected, abs=5 * np.sqrt(expected))


def test_ids_hold_the_pixel_and_are_never_given_twice():
    stars = SKY.stars(10.0, -20.0, 0.4)
    np.testing.assert_array_equal(stars.source_id >> 35, healpix.pixels(stars.ra, stars.dec, 12))
    assert len(np.unique(stars.source_id)) == len(stars)
    assert not (stars.source_id & (7 << 32)).any()


def test_counts_follow_the_density():
    g = concatenate([tile(3, pixel) for pixel in range(40)]).g
    for limit in (14.0, 16.0, 18.0, 19.5):
        share = density(limit) / density(FAINTEST)
        assert (g < limit).mean() == pytest.approx(share, abs=4 * np.sqrt(share / len(g)))
    np.testing.assert_allclose(magnitude(np.array([density(12.0), density(19.0)])), [12.0, 19.0])


def test_colours_motions_and_distances_look_like_gaia():
    stars = concatenate([tile(3, pixel) for pixel in range(10)])
    assert 0.9 < np.median(stars.bp_rp) < 2.0
    assert 1 < np.median(np.hypot(stars.pmra, stars.pmdec)) < 10
    assert (stars.parallax > 0).all()
    assert 0.9 < np.median(stars.ruwe) < 1.1
    assert 0.01 < (stars.ruwe > 1.4).mean() < 0.1


def test_stars_move_by_their_proper_motion():
    ra, dec = moved(np.array([10.0]), np.array([60.0]), np.array([1000.0]), np.array([-500.0]), 10.0)
    assert (ra[0] - 10.0) * 3600 * np.cos(np.radians(60)) == pytest.approx(10.0)
    assert (dec[0] - 60.0) * 3600 == pytest.approx(-5.0)


def test_the_reference_catalogue_has_each_star_once_under_gaias_names():
    stars = SKY.stars(10.0, -20.0, 0.2)
    table = reference_table(concatenate([stars, stars]))
    assert table.num_rows == len(stars)
    assert {"source_id", "ra", "dec", "ref_epoch", "pmra", "parallax", "ruwe", "phot_g_mean_mag"} < set(
        table.column_names
    )
    assert set(table["ref_epoch"].to_pylist()) == {2016.0}
