"""Test the fit of zero point and colour term: mismatches, no colours, too few stars, no convergence."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.errors import TooFewCalibrators
from gozen.lightcurves.zero_point import StarFluxes, fit_zero_point
from gozen.settings import CalibrationSettings

SETTINGS = CalibrationSettings()
ZP, TERM = 24.7, 0.11


def stars(count=80, relative=0.01, seed=1, colours=(0.2, 2.5)):
    rng = np.random.default_rng(seed)
    g = rng.uniform(11, 14.5, count)
    colour = rng.uniform(*colours, count)
    flux = 10 ** (-0.4 * (g - ZP - TERM * colour)) * (1 + relative * rng.standard_normal(count))
    return flux, relative * flux, g, colour


def fit(flux, error, g, colour, settings=SETTINGS):
    return fit_zero_point(StarFluxes(flux, error, g, colour), settings, "TMQ1")


def test_zero_point_and_colour_term_are_recovered_within_their_errors():
    deviations = []
    for seed in range(60):
        zero = fit(*stars(seed=seed))
        deviations.append([(zero.zp - ZP) / zero.zp_err, (zero.colour_term - TERM) / zero.colour_term_err])
    spread = np.std(deviations, axis=0)
    assert (spread > 0.7).all()
    assert (spread < 1.3).all()
    assert np.abs(np.mean(deviations, axis=0)).max() < 0.5
    assert zero.scatter == pytest.approx(1.0857 * 0.01, rel=0.4)
    assert zero.stars >= 75


def test_mismatches_are_clipped():
    flux, error, g, colour = stars(count=100)
    wrong = np.arange(0, 100, 5)
    g = g.copy()
    g[wrong] += np.resize([0.15, -0.3, 0.9, 3.0, -5.0], len(wrong))
    zero = fit(flux, error, g, colour)
    assert not zero.kept[wrong].any()
    assert zero.zp == pytest.approx(ZP, abs=0.012)
    assert zero.colour_term == pytest.approx(TERM, abs=0.012)


def test_magnitudes_come_back():
    flux, error, g, colour = stars(relative=1e-4)
    zero = fit(flux, error, g, colour)
    np.testing.assert_allclose(zero.magnitude(flux, colour), g, atol=2e-3)
    unknown = zero.magnitude(np.array([100.0, 100.0]), np.array([np.nan, zero.colour]))
    assert unknown[0] == unknown[1]
    assert np.isnan(zero.magnitude(np.array([0.0, -5.0, np.nan]), np.zeros(3))).all()


def test_without_colours_there_is_no_colour_term():
    flux, error, g, colour = stars(colours=(1.0, 1.0))
    zero = fit(flux, error, g, np.full(80, np.nan))
    assert zero.colour_term == 0.0
    assert np.isnan(zero.colour_term_err)
    assert zero.zp == pytest.approx(ZP + TERM, abs=0.01)
    alike = fit(flux, error, g, colour)
    assert alike.colour_term == 0.0


def test_a_single_star_of_another_colour_tells_no_colour_term():
    flux, error, g, colour = stars(count=20, colours=(1.0, 1.0))
    colour = colour.copy()
    colour[3] = 3.0
    flux[3] *= 1.9  # and is clipped
    zero = fit(flux, error, g, colour)
    assert zero.colour_term == 0.0
    assert np.isnan(zero.colour_term_err)
    assert zero.zp == pytest.approx(ZP + TERM, abs=0.01)


def test_stars_without_flux_magnitude_or_colour_are_left_out():
    flux, error, g, colour = (values.copy() for values in stars())
    flux[0], flux[1] = -10.0, 0.0
    g[2], error[3], colour[4] = np.nan, np.nan, np.nan
    zero = fit(flux, error, g, colour)
    assert not zero.kept[:5].any()
    assert zero.zp == pytest.approx(ZP, abs=0.02)


def test_too_few_stars_are_refused_with_their_number():
    settings = CalibrationSettings(minimum_stars=10)
    flux, error, g, colour = stars(count=9)
    with pytest.raises(TooFewCalibrators, match=r"TMQ1: 9 reference stars .* needs 10") as refused:
        fit(flux, error, g, colour, settings)
    assert (refused.value.value, refused.value.limit) == (9, 10)
    assert fit(*stars(count=10, seed=3), settings).stars == 10


def test_no_star_at_all_is_refused():
    none = np.zeros(0)
    with pytest.raises(TooFewCalibrators, match="0 reference stars"):
        fit(none, none, none, none)


def test_stars_that_do_not_agree_are_refused_with_how_many_do():
    rng = np.random.default_rng(5)
    flux, error, g, colour = stars(count=12)
    g = g + rng.uniform(-40, 40, 12)
    with pytest.raises(TooFewCalibrators, match=r"TMQ1: \d of 12 reference stars agree") as refused:
        fit(flux, error, g, colour)
    assert refused.value.value < 5


def test_bright_stars_count_by_their_scatter_not_by_their_photons_alone():
    rng = np.random.default_rng(9)
    flux, _, g, colour = stars(count=60, relative=1e-6)
    flux = flux * 10 ** (0.4 * 0.03 * rng.standard_normal(60))  # flat-field errors of 0.03
    error = np.sqrt(flux)
    zero = fit(flux, error, g, colour)
    assert zero.zp == pytest.approx(ZP, abs=0.02)
    assert 0.003 < zero.zp_err < 0.03
    assert zero.stars > 55


def test_a_star_on_the_limit_of_the_clip_does_not_keep_the_fit_from_settling():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        g = rng.uniform(11, 14, 14)
        flux = 10 ** (-0.4 * (g - ZP + 0.05 * rng.standard_t(1.2, 14)))
        assert fit(flux, 0.01 * flux, g, np.full(14, np.nan)).stars >= 5


def test_a_fit_that_does_not_settle_is_refused():
    rng = np.random.default_rng(1)
    g = rng.uniform(11, 14, 2000)
    flux = 10 ** (-0.4 * (g - ZP + rng.uniform(-0.9, 0.9, 2000)))  # each round of clipping leaves a narrower box
    with pytest.raises(TooFewCalibrators, match=r"TMQ1: .* does not converge in 20 rounds"):
        fit(flux, 0.001 * flux, g, np.full(2000, np.nan), CalibrationSettings(clip_sigma=1.3))
