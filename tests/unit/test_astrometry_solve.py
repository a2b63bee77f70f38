"""Test the astrometric solution with a wrong and rotated hint, among false detections; refusals state value and limit.

Also tested: no solution by chance, and refinement, with distortion only if there is any. Blind solutions are tested
with a real index in tests/real.
"""

from __future__ import annotations

import numpy as np
import pytest

from gozen.astrometry.hinted import FieldStars, pair, solve_with_hint, tree_of
from gozen.astrometry.refine import refine
from gozen.astrometry.solve import Field, SensorPointing, solve_field
from gozen.errors import AstrometryFailed
from gozen.instrument.profile import load_profile
from gozen.settings import AstrometrySettings

from ..sky_fields import SHAPE, barrel, sky_field

RADIUS_PX = 60 / 1.189
NO_INDEX = AstrometrySettings(index_files=())
GRID = tuple(axis.ravel() for axis in np.meshgrid(np.linspace(0, 1999, 15), np.linspace(0, 1127, 9)))


def hinted(field, radius_px=RADIUS_PX, minimum=6):
    stars = FieldStars(field.x, field.y, field.ra, field.dec)
    return solve_with_hint(stars, field.nominal, radius_px, minimum)


def refined(field, order=3):
    match = hinted(field)
    return refine(match.projection, FieldStars(field.x, field.y, field.ra, field.dec), SHAPE, order, "hint")


def error_px(solution, field, distortion=None):
    """Return the largest error over the field of sky -> pixel, pixels."""
    x, y = GRID
    x0, y0 = (SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2
    ra, dec = field.true.sky(x, y)
    dx, dy = distortion(x - x0, y - y0) if distortion else (0.0, 0.0)
    px, py = solution.pixel(ra, dec)
    return float(np.hypot(px - x - dx, py - y - dy).max())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("offset", [(0.0, 0.0), (35.0, -30.0), (-48.0, 5.0)])
def test_any_offset_within_the_uncertainty_of_the_pointing(seed, offset):
    field = sky_field(offset_px=offset, turn_deg=0.2, seed=seed)
    found = hinted(field)
    assert error_px(found.projection, field) < 0.1
    assert len(found.source) > 300
    assert found.rms_px < 0.12


@pytest.mark.parametrize("turn", [-1.5, -1.0, 0.6, 1.0])
def test_a_field_that_is_turned(turn):
    field = sky_field(turn_deg=turn)
    assert error_px(hinted(field).projection, field) < 0.1


@pytest.mark.parametrize(("ra", "dec"), [(0.01, 10.0), (359.95, -45.0), (80.0, 89.6), (10.0, -89.9)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_anywhere_on_the_sky_in_either_parity(ra, dec, mirrored):
    field = sky_field(ra, dec, turn_deg=0.3, mirrored=mirrored)
    assert error_px(hinted(field).projection, field) < 0.1


def test_half_of_the_detections_are_no_stars_and_half_of_the_stars_are_missing():
    field = sky_field(false=1.0, missing=0.5, turn_deg=0.5)
    assert error_px(hinted(field).projection, field) < 0.15


def test_a_few_stars_are_enough():
    field = sky_field(stars=15, false=0.0, missing=0.0, seed=5)
    assert error_px(hinted(field).projection, field) < 0.5


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("stars", [8, 40, 500, 4000])
def test_another_field_is_not_matched_by_chance(seed, stars):
    field, other = sky_field(stars=stars, seed=seed), sky_field(stars=stars, seed=seed + 1000)
    assert solve_with_hint(FieldStars(field.x, field.y, other.ra, other.dec), field.nominal, RADIUS_PX, 6) is None


@pytest.mark.parametrize("seed", [3, 9, 12, 20])
@pytest.mark.parametrize("stars", [100, 500])
def test_the_pairs_that_a_vote_among_many_collects_are_no_solution(stars, seed):
    field, other = sky_field(stars=stars, seed=seed), sky_field(stars=stars, seed=seed + 1000)
    assert solve_with_hint(FieldStars(field.x, field.y, other.ra, other.dec), field.nominal, RADIUS_PX, 4) is None


def test_a_field_beyond_the_uncertainty_is_not_matched():
    assert hinted(sky_field(offset_px=(400.0, 300.0))) is None


def test_a_star_goes_to_its_nearest_detection_and_a_detection_has_one_star():
    detections = tree_of(np.array([0.0, 1.0, 50.0]), np.zeros(3))
    source, star = pair(detections, np.array([1.2, 0.9, 49.0, 200.0]), np.zeros(4), 2.0)
    assert (source.tolist(), star.tolist()) == ([1, 2], [1, 2])
    for nothing in pair(detections, np.zeros(0), np.zeros(0), 2.0):
        assert len(nothing) == 0


@pytest.mark.parametrize("strength", [0.3, 2.0, -4.0])
def test_distortion_is_recovered_to_2_hundredths_of_a_pixel(strength):
    field = sky_field(stars=2000, distortion=barrel(strength), noise_px=0.03, turn_deg=0.2)
    solution = refined(field)
    assert solution.order == 3
    assert error_px(solution, field, barrel(strength)) < 0.02
    assert solution.rms_px == pytest.approx(0.03, rel=0.25)


@pytest.mark.parametrize("seed", range(8))
def test_no_distortion_is_added_where_there_is_none(seed):
    field = sky_field(seed=seed, noise_px=0.1)
    solution = refined(field)
    assert solution.order == 1
    assert len(solution.a) == 0
    assert error_px(solution, field) < 0.06


def test_mismatches_do_not_bend_the_solution():
    field = sky_field(false=0.5, noise_px=0.05, seed=3)
    assert error_px(refined(field), field) < 0.03


def test_the_reference_pixel_is_the_middle():
    solution = refined(sky_field())
    assert (solution.linear.x, solution.linear.y) == ((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2)
    assert solution.linear.scale_arcsec == pytest.approx(1.189, rel=1e-4)
    assert solution.orientation_deg == pytest.approx(0.0, abs=0.01)


def looked_at(field, pointing, detections=None):
    some = slice(detections)
    where = None if pointing is None else SensorPointing(*pointing)
    return Field(field.x[some], field.y[some], field.flux[some], SHAPE, where, 2026.0, "TMQ1")


def test_solve_field_from_pointing_to_solution():
    field = sky_field(turn_deg=0.3, noise_px=0.05)
    profile = load_profile("tomoe")
    solution = solve_field(looked_at(field, (field.nominal.ra, field.nominal.dec)), field.reference, profile, NO_INDEX)
    assert solution.method == "hint"
    assert error_px(solution, field) < 0.03
    assert solution.rms_arcsec == pytest.approx(solution.rms_px * 1.189, rel=1e-3)


@pytest.mark.parametrize(
    ("detections", "pointing", "with_reference", "message"),
    [
        (5, (150.0, 2.0), True, "TMQ1: only 5 sources are on the stack, but a solution needs 6"),
        (None, None, True, "the header gives no pointing; no index files"),
        (None, (150.0, 2.0), False, "there is no reference catalogue"),
        (None, (153.0, 2.0), True, r"the stars near \(153.0000, \+2.0000\) deg do not fit the catalogue"),
    ],
)
def test_refusals_say_what_was_tried(detections, pointing, with_reference, message):
    field = sky_field()
    reference = field.reference if with_reference else None
    with pytest.raises(AstrometryFailed, match=message):
        solve_field(looked_at(field, pointing, detections), reference, load_profile("tomoe"), NO_INDEX)


def test_a_residual_beyond_the_limit_is_refused_with_its_value():
    field = sky_field(noise_px=0.3, seed=2)
    settings = AstrometrySettings(index_files=(), maximum_rms_px=0.2)
    with pytest.raises(
        AstrometryFailed, match=r"TMQ1: the rms distance of the reference stars .* is 0\.\d+ pixels; the limit is 0.2"
    ) as refused:
        solve_field(looked_at(field, (150.0, 2.0)), field.reference, load_profile("tomoe"), settings)
    assert refused.value.value == pytest.approx(0.3, rel=0.2)
    assert refused.value.limit == 0.2
