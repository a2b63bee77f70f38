"""Test the choice of calibrators: flags on each frame, counts for every rule, blended stars only if too few others."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.catalog.format.schema import Flag
from gozen.errors import TooFewCalibrators
from gozen.lightcurves.calibrators import CatalogueStars, choose_calibrators
from gozen.lightcurves.zero_point import StarFluxes, fit_zero_point
from gozen.photometry.forced_photometry import FrameFluxes
from gozen.settings import CalibrationSettings

FRAMES, STARS = 20, 30
ZP = 24.0
SETTINGS = CalibrationSettings()


class Exposure:
    """Stars of 9 to 12 mag on twenty frames, the last of which lie behind clouds."""

    def __init__(self, stars=STARS):
        self.g = np.linspace(9, 12, stars)
        self.colour = np.linspace(0.4, 1.9, stars)
        self.light = np.where(np.arange(FRAMES) < 14, 1.0, 0.5)
        self.flux = 10 ** (-0.4 * (self.g - ZP)) * self.light[:, None]
        self.flags = np.zeros((FRAMES, stars), np.uint16)
        self.blended = np.zeros(stars, bool)
        self.neighbours = np.zeros(stars)
        self.crowding = np.zeros(stars)

    def frames(self):
        error = np.full_like(self.flux, 20.0)
        return [
            FrameFluxes(flux[None], err[None], flux, err, np.zeros(len(flux)), flags)
            for flux, err, flags in zip(self.flux, error, self.flags, strict=True)
        ]

    def chosen(self, settings=SETTINGS):
        stars = CatalogueStars(self.g, self.colour, self.blended, self.neighbours, self.crowding)
        return choose_calibrators(self.frames(), stars, settings)

    def zero(self, settings=SETTINGS):
        found = self.chosen(settings)
        g = np.where(found.chosen, self.g, np.nan)
        stars = StarFluxes(found.flux, found.flux_err, g, self.colour)
        return fit_zero_point(stars, settings, "TMQ1", found.sentence)


@pytest.mark.parametrize("flag", [Flag.SATURATED, Flag.EDGE, Flag.DEAD_PIXEL])
@pytest.mark.parametrize(("bad", "kept"), [(1, True), (4, True), (5, False)])
def test_a_star_calibrates_where_it_is_good_on_four_fifths_of_the_frames(flag, bad, kept):
    exposure = Exposure()
    exposure.flags[:bad] |= np.uint16(flag)
    exposure.flags[bad:, :10] |= np.uint16(flag)  # ten that are never good
    found = exposure.chosen()
    assert found.chosen[10:].all() == found.chosen[10:].any() == kept
    assert not found.chosen[:10].any()
    assert sum(found.removed.values()) + found.chosen.sum() == found.known == STARS


def test_a_star_that_misses_the_bright_frames_is_not_taken_for_a_fainter_one():
    exposure = Exposure()
    for star in range(STARS):
        exposure.flags[[(star + k) % FRAMES for k in range(star % 5)], star] |= np.uint16(Flag.EDGE)
    exposure.flux[exposure.flags > 0] *= 0.3  # half of the star is off the frame
    found = exposure.chosen()
    np.testing.assert_allclose(-2.5 * np.log10(found.flux / found.flux[0]), exposure.g - exposure.g[0], atol=0.002)
    assert exposure.zero().scatter < 0.002
    assert found.chosen.all()


def test_every_rule_is_counted_and_named_where_too_few_are_left():
    exposure = Exposure()
    exposure.flags[:, :3] |= np.uint16(Flag.SATURATED)
    exposure.flags[::2, 3:5] |= np.uint16(Flag.EDGE)
    exposure.flags[:9, 5] |= np.uint16(Flag.DEAD_PIXEL)
    exposure.flux[:, 6:13] /= 1e5
    exposure.g[13] = np.nan
    exposure.colour[14:16] = np.nan
    exposure.blended[16:20] = True
    found = exposure.chosen(CalibrationSettings(minimum_stars=10))
    assert found.removed == {
        "saturated": 3,
        "edge": 2,
        "dead pixel": 1,
        "blended": 4,
        "no colour": 2,
        "too faint": 7,
    }
    with pytest.raises(TooFewCalibrators) as refused:
        exposure.zero(CalibrationSettings(minimum_stars=29))
    for words in ("3 saturated", "2 edge", "1 dead pixel", "of 29 stars with a reference magnitude"):
        assert words in str(refused.value)


def test_where_all_are_blended_the_least_blended_serve():
    exposure = Exposure()
    exposure.blended[:] = True
    exposure.neighbours = np.linspace(0.9, 0.03, STARS)
    exposure.crowding = np.zeros(STARS)
    exposure.crowding[-1] = 0.8
    found = exposure.chosen()
    assert found.blended
    assert list(np.flatnonzero(found.chosen)) == list(range(19, 29))
    assert found.removed["blended"] == 20
    assert "the least blended stars are used" in found.sentence
    assert exposure.zero().stars == 10


def test_blended_stars_do_not_serve_where_enough_stand_alone():
    exposure = Exposure()
    exposure.blended[5:] = True
    found = exposure.chosen()
    assert not found.blended
    assert found.chosen.sum() == 5


def test_nothing_is_left_of_no_stars():
    found = Exposure(0).chosen()
    assert (found.known, found.chosen.sum()) == (0, 0)
