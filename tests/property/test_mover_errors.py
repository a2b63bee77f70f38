"""The errors of movers are correct and without bias, for many objects of several rates and magnitudes.

Each object is drawn among stars on eighteen frames, and measured from a slightly wrong line. Slow ones overlap their
own position on all frames. Not covered: the fraction of movers that is found, which benchmarks/movers.py measures.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from tests.moving_scenes import FRAMES, moving

from gozen.movers.overlap import overlap

OBJECTS = 8
RATES, SNRS = (0.3, 0.5, 1.0, 3.0, 10.0), (5, 10, 20, 50)
SINCE = np.arange(FRAMES) - (FRAMES - 1) / 2


@functools.cache
def followed(rate, snr):
    return [moving(1000 * number + 10 * snr + round(10 * rate), rate, snr) for number in range(OBJECTS)]


def off(one):
    """Return measured minus true places, shape (2, points)."""
    return np.stack([one.track.x - one.x[one.track.frame], one.track.y - one.y[one.track.frame]])


def line(one):
    """Return the error of the rate over what is said of it, its size in pixels per frame, and chi^2 of the points."""
    error, since = one.track.error_px, SINCE[one.track.frame]
    design = np.column_stack([np.ones_like(since), since]) / error[:, None]
    fit, squares, _, _ = np.linalg.lstsq(design, (off(one) / error).T, rcond=None)
    chi2 = squares.sum() / (2 * len(since) - 4)
    said = np.sqrt(np.linalg.inv(design.T @ design)[1, 1]) * one.track.rate_excess * max(1, np.sqrt(chi2))
    change = np.hypot(*(one.rate + fit[1])) - np.hypot(*one.rate)
    return change / said, change, chi2


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("snr", SNRS)
def test_places_and_fluxes_scatter_as_their_errors_say_about_the_truth(rate, snr):
    objects = followed(rate, snr)
    places = np.concatenate([off(one) / one.track.error_px for one in objects], axis=1)
    fluxes = np.concatenate([(one.track.flux - one.flux) / one.track.flux_err for one in objects])
    assert 0.8 < rms(places) < 1.3
    assert 0.8 < rms(fluxes) < 1.3
    assert abs(fluxes.mean()) < 0.2 + 2 / np.sqrt(len(fluxes))
    assert 0.65 < np.mean([line(one)[2] for one in objects]) < 1.4
    if snr >= 10:
        assert np.mean([len(one.track.frame) for one in objects]) > 0.95 * FRAMES


@pytest.mark.parametrize("rate", RATES)
def test_rates_are_as_good_as_they_say_and_not_too_high(rate):
    fits = [line(one) for snr in SNRS for one in followed(rate, snr)]
    pulls = np.array([pull for pull, _, _ in fits])
    assert 0.8 < rms(pulls) < 1.3
    assert abs(pulls.mean()) < 0.2 + 2 / np.sqrt(len(pulls))


@pytest.mark.parametrize("rate", RATES)
def test_places_are_pushed_neither_outward_nor_along(rate):
    outward = []
    for snr in SNRS[1:]:
        for one in followed(rate, snr):
            along = one.rate / np.hypot(*one.rate)
            outward.append(np.mean(along @ off(one) * np.sign(SINCE[one.track.frame])))
    assert abs(np.mean(outward)) < 0.02


@pytest.mark.parametrize("rate", [0.3, 1.0, 5.0])
def test_an_object_whose_light_changes_is_followed_in_flux_and_place(rate):
    objects = [moving(seed, rate, 40, varies=0.2) for seed in range(4)]
    light = 1 + 0.2 * np.sin(np.linspace(0, 2 * np.pi, FRAMES))
    ratio = np.mean([one.track.flux / one.flux for one in objects], axis=0)
    assert np.corrcoef(ratio, light)[0, 1] > 0.9
    assert rms(np.concatenate([off(one) / one.track.error_px for one in objects], axis=1)) < 1.3


def test_what_overlaps_has_larger_errors_and_what_does_not_has_its_own():
    weight = np.ones(FRAMES)
    slow, fast = (overlap(SINCE, rate, 1.27, 0.0, weight) for rate in (0.3, 10.0))
    np.testing.assert_allclose(fast.place, 1.0, atol=0.1)
    assert fast.rate == pytest.approx(1.0, abs=0.05)
    assert slow.flux.mean() > slow.place.mean() > 1.05
    assert slow.rate > 1.2
