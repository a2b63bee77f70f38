"""Test forced photometry on one frame: fluxes, errors, limits and flags of every source; blends, neighbours' light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gozen.catalog.format.schema import Flag
from gozen.lightcurves.reference_match import neighbour_light
from gozen.movers.measure_mover import aperture_growth
from gozen.photometry.detect_sources import detect
from gozen.photometry.forced_photometry import ApertureSet, blended, measure_frame
from gozen.photometry.frame_shift import Shift
from gozen.photometry.placed_frame import PlacedFrame
from gozen.photometry.sky_background import FrameSky
from gozen.settings import DetectionSettings

from ..star_fields import detector, gaussians, scattered

SHAPE = (400, 500)
NOISE, LEVEL, GAIN = 3.0, 100.0, 2.0
CLEAN = np.zeros(SHAPE, np.uint8)
DETECTOR = detector(SHAPE, e_per_adu=GAIN)
UNSHIFTED = Shift(0.0, 0.0, 0.05, 20)
FLUX = 10 ** np.linspace(2.6, 4.6, 50)


@pytest.fixture(scope="module")
def places():
    return scattered(np.random.default_rng(21), 50, SHAPE, apart=24)


@pytest.fixture(scope="module")
def sources(places):
    x, y = places
    stack = gaussians(SHAPE, x, y, FLUX) + LEVEL + np.random.default_rng(1).normal(0, 0.3, SHAPE)
    found, _ = detect(stack.astype(np.float32), np.full(SHAPE, 16, np.int16), DetectionSettings())
    which = [int(np.argmin(np.hypot(found.x - a, found.y - b))) for a, b in zip(x, y, strict=True)]
    assert len(found) == 50
    return replace(
        found,
        **{
            name: getattr(found, name)[which]
            for name in ("x", "y", "a", "b", "theta", "auto_radius", "peak", "flux", "merged", "background", "noise")
        },
    )


def frame(places, shift=UNSHIFTED, excess=0.0, seed=2):
    """Return a frame with the noise of its electrons and of the read-out."""
    rng = np.random.default_rng(seed)
    x, y = places
    light = gaussians(SHAPE, x + shift.dx, y + shift.dy, FLUX) + LEVEL + excess
    sky_variance = NOISE**2 - LEVEL / GAIN  # so that a pixel of the sky has the noise NOISE
    photons = rng.poisson(light * GAIN) / GAIN
    return (photons + rng.normal(0, np.sqrt(max(sky_variance, 0)), SHAPE)).astype(np.float32)


def measured(places, sources, shift=UNSHIFTED, excess=0.0, mask=CLEAN, seed=2, diameters=(21, 10)):
    sky = FrameSky(np.full((1, 1), excess), SHAPE, 7.5)
    noise = np.full(len(sources), np.sqrt(LEVEL / GAIN))
    image = frame(places, shift, excess, seed)
    seen = PlacedFrame(image, mask, shift, sky)
    return measure_frame(seen, sources, noise, ApertureSet(diameters, 5.0), DETECTOR.gain.e_per_adu)


@pytest.mark.parametrize("shift", [UNSHIFTED, Shift(0.4, -0.3, 0.05, 20), Shift(13.6, -9.2, 0.05, 20)])
def test_fluxes_are_true_within_errors_that_are_true(places, sources, shift):
    runs = [measured(places, sources, shift, excess=4.0, seed=seed) for seed in range(40)]
    flux = np.stack([run.flux for run in runs])
    error = np.stack([run.flux_err for run in runs]).mean(axis=0)
    bias = (flux.mean(axis=0)[0] - FLUX) / (error[0] / np.sqrt(40))
    # Detection on the stack leaves a level off by a part of its own noise.
    assert np.abs(np.median(bias)) < 1.5
    for index in range(2):
        ratio = flux[:, index].std(axis=0, ddof=1) / error[index]
        assert np.median(ratio) == pytest.approx(1.0, abs=0.06)
    assert (error[1] < error[0]).all()


def test_the_auto_flux_follows_the_flux(places, sources):
    found = measured(places, sources)
    bright = FLUX > 5000
    np.testing.assert_allclose(found.flux_auto[bright] / FLUX[bright], 1.0, atol=0.06)


def test_flags_say_what_is_in_the_aperture(places, sources):
    mask = CLEAN.copy()
    for index, bit, away in ((10, 1, 5), (20, 2, -8), (30, 1, 13)):
        mask[round(places[1][index]), round(places[0][index]) + away] = bit
    found = measured(places, sources, mask=mask)
    assert np.flatnonzero(found.flags & Flag.SATURATED).tolist() == [10]
    assert np.flatnonzero(found.flags & Flag.DEAD_PIXEL).tolist() == [20]
    assert not (found.flags & (Flag.EDGE | Flag.REGISTRATION_FAILED)).any()


def test_a_source_that_drifts_off_the_frame_is_at_the_edge(places, sources):
    shift = Shift(-60.0, 0.0, 0.05, 20)
    found = measured(places, sources, shift)
    off = sources.x - 60.0 < 10.0
    assert off.any()
    np.testing.assert_array_equal((found.flags & Flag.EDGE) > 0, off)
    assert np.isfinite(found.flux).all()
    gone = sources.x - 60 < -40
    assert np.isnan(found.flux_auto[gone]).all()


def test_a_guessed_registration_is_flagged_on_every_source(places, sources):
    found = measured(places, sources, Shift(0.0, 0.0, float("nan"), 0))
    assert (found.flags & Flag.REGISTRATION_FAILED > 0).all()


def test_what_is_below_5_sigma_is_not_detected(places, sources):
    found = measured(places, sources)
    np.testing.assert_array_equal((found.flags & Flag.NOT_DETECTED) > 0, found.flux[0] < 5 * found.flux_err[0])
    assert 0 < ((found.flags & Flag.NOT_DETECTED) > 0).sum() < 25


def test_the_part_of_the_error_that_is_sky(places, sources):
    found = measured(places, sources)
    np.testing.assert_allclose(found.sky_err, np.sqrt(LEVEL / GAIN * np.pi * 10.5**2), rtol=1e-3)
    np.testing.assert_allclose(found.row, sources.y)


def test_no_sources_are_no_error(places, sources):
    none = replace(sources, **{name: np.zeros(0) for name in ("x", "y", "a", "b", "theta", "auto_radius")})
    none = replace(none, **{name: np.zeros(0) for name in ("peak", "flux", "background", "noise")})
    none = replace(none, merged=np.zeros(0, bool))
    found = measured(places, none)
    assert found.flux.shape == (2, 0)
    assert len(blended(none, np.zeros(0), 12.0)) == 0


def test_blended_is_who_has_a_neighbour_of_2_percent_within_reach(sources):
    some = replace(
        sources,
        x=np.array([100.0, 110.0, 200.0, 210.0, 300.0, 313.0]),
        y=np.full(6, 100.0),
        merged=np.zeros(6, bool),
        **{name: np.ones(6) for name in ("a", "b", "theta", "auto_radius", "peak", "flux", "background", "noise")},
    )
    flux = np.array([1000.0, 500.0, 1000.0, 19.0, 1000.0, 1000.0])
    assert blended(some, flux, 12.0).tolist() == [True, True, False, True, False, False]
    merged = replace(some, merged=np.array([False] * 5 + [True]))
    assert blended(merged, flux, 12.0).tolist() == [True, True, False, True, False, True]


def test_neighbours_light_is_relative_to_the_star():
    ra = np.array([10.0, 10.0 + 5 / 3600, 10.0 - 8 / 3600, 50.0])
    light = neighbour_light(ra, np.zeros(4), np.array([12.0, 14.5, 17.0, 12.0]), 10.0)
    np.testing.assert_allclose(light, [0.1 + 0.01, 10.0, 100.0, 0.0], rtol=1e-9)


def test_neighbours_light_over_the_meridian_and_without_magnitudes():
    ra = np.array([359.9999, 0.0001, 180.0])
    np.testing.assert_allclose(neighbour_light(ra, np.zeros(3), np.full(3, 12.0), 1.0), [1.0, 1.0, 0.0])
    light = neighbour_light(ra, np.zeros(3), np.array([12.0, np.nan, 12.0]), 1.0)
    assert light[0] == 0.0
    assert neighbour_light(ra[:1], np.zeros(1), np.ones(1), 1.0).tolist() == [0.0]


@pytest.mark.parametrize("diameter", [21, 8, 5, 3])
def test_the_growth_to_the_calibrated_aperture_is_that_of_the_stars_be_it_wider_or_narrower(places, sources, diameter):
    sky = FrameSky(np.zeros((1, 1)), SHAPE, 7.5)
    growth = aperture_growth(PlacedFrame(frame(places), CLEAN, UNSHIFTED, sky), sources, diameter, 5)
    flux = measured(places, sources, diameters=(diameter, 5)).flux[:, FLUX > 10_000]
    assert growth == pytest.approx(np.median(flux[0] / flux[1]), rel=0.01)
