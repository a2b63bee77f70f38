"""Test the search for movers on frames whose sky changes: no false ones at borders and saturated stars, no trail lost.

Covered: moonlight with a gradient, dithers, vignetting and saturated stars, alone and together, and trails that cross a
border. Real frames: tests/real.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from tests.moonlit_scenes import COLUMNS, ROWS, Sky, Trail, searched

from gozen.movers.candidates import FrameDifference, find_candidates, none_found
from gozen.movers.levelled_stack import LevelledMean
from gozen.movers.persistence import without_lasting
from gozen.movers.stack_template import Template
from gozen.movers.streaks import Streak, find_streaks, link_streaks
from gozen.movers.trace_trail import trace
from gozen.movers.trail_strip import KnownPixels
from gozen.photometry.frame_shift import Shift

from ..star_fields import gaussians

MOONLIT = Sky(moon=10, dither=25, vignetting=0.7, saturated=3)
NIGHTS = {
    "moonlight": Sky(moon=10),
    "dithers": Sky(dither=25),
    "both": Sky(moon=10, dither=25),
    "vignetted": Sky(moon=10, vignetting=0.7),
    "saturated": Sky(saturated=3),
    "all": MOONLIT,
    "all, three frames": Sky(moon=10, dither=25, vignetting=0.7, saturated=3, frames=3),
}
TRAILS = (
    Trail(3, ((-10.0, 245.0), (120.0, 310.0))),
    Trail(6, ((-10.0, 20.0), (510.0, 390.0)), 8.0),
    Trail(9, ((400.0, 405.0), (470.0, 250.0)), 8.0),
    Trail(10, ((150.0, 100.0), (260.0, 140.0)), 10.0),
)


def all_of(found):
    return [streak for chain in found.chains for streak in chain]


def is_along(streak, trail):
    """Tell whether both ends of a streak lie on a trail."""
    (x, y), (x2, y2) = trail.ends
    ux, uy = np.array([x2 - x, y2 - y]) / np.hypot(x2 - x, y2 - y)
    return streak.frame == trail.frame and bool(np.all(np.abs((streak.x - x) * uy - (streak.y - y) * ux) < 2))


@pytest.mark.parametrize("night", NIGHTS)
def test_nothing_is_claimed_where_nothing_moves(night):
    found = searched(1, NIGHTS[night])
    assert (found.tracks, all_of(found)) == ([], [])


@pytest.mark.parametrize("sky", [Sky(), MOONLIT], ids=["dark", "moonlit"])
def test_each_trail_is_found_once_also_where_it_crosses_the_border(sky):
    streaks = all_of(searched(2, sky, TRAILS))
    assert [streak.frame for streak in streaks] == [trail.frame for trail in TRAILS]
    for streak, trail in zip(streaks, TRAILS, strict=True):
        assert is_along(streak, trail)
        inside = np.clip(trail.ends, 0, (COLUMNS - 1, ROWS - 1))
        assert streak.length_px > 0.6 * np.hypot(*np.subtract(*inside))
        assert streak.kind == "streak"
    assert [bool(streak.whole[0]) for streak in streaks[:3]] == [False] * 3
    assert streaks[3].whole.all()


def noisy(shape=(200, 200), seed=0):
    return np.random.default_rng(seed).normal(0, 10, shape).astype(np.float32)


def line(rest, row, height, sigma=1.2):
    y = np.arange(len(rest))[:, None]
    rest[:, 40:160] += (height * np.exp(-((y - row) ** 2) / (2 * sigma**2))).astype(np.float32)


def traced(rest, cover, row):
    return trace(rest, cover, (100.0, row, 0.0, 60.0), 10.0, 2.8)


def whole(shape=(200, 200)):
    return KnownPixels(np.ones(shape, bool), 0, 0)


def test_a_step_and_a_ridge_of_uneven_sky_are_no_trails():
    step, uneven = noisy(), noisy()
    step[100:] += 30
    uneven += 30 * np.sin(np.arange(200) / 2.5)[:, None].astype(np.float32)
    rows = range(94, 107)
    widths = [trail.width for row in rows if (trail := traced(step, whole(), float(row)))]
    assert all(width > 9 for width in widths)
    assert [traced(uneven, whole(), float(row)) for row in (86, 102, 118)] == [None, None, None]


def test_a_trail_on_a_slope_is_one():
    rest = noisy()
    rest += np.arange(200, dtype=np.float32)[:, None] * 3
    line(rest, 100, 60)
    trail = traced(rest, whole(), 100.0)
    assert trail is not None
    assert trail.flux == pytest.approx(60 * 120 * 1.2 * np.sqrt(2 * np.pi), rel=0.1)


def test_where_the_stack_has_no_cover_nothing_is_said():
    rest = noisy()
    line(rest, 100, 60)
    beside, middle = np.ones((200, 200), bool), np.ones((200, 200), bool)
    beside[:97] = False
    middle[90:110, 95:110] = False
    assert traced(rest, KnownPixels(beside, 0, 0), 100.0) is None
    trail = traced(rest, KnownPixels(middle, 0, 0), 100.0)
    assert trail is not None, "a saturated star on a trail hides a part of it"
    assert trail.high - trail.low == pytest.approx(120, abs=4)
    assert trail.flux == pytest.approx(60 * 120 * 1.2 * np.sqrt(2 * np.pi), rel=0.1)
    cut = np.ones((200, 200), bool)
    cut[:, 130:] = False
    assert traced(rest, KnownPixels(cut, 0, 0), 100.0).whole.tolist() == [True, False]


def test_cover_follows_the_frame():
    known = np.zeros((50, 60), bool)
    known[10, 20] = True
    cover = KnownPixels(known, 3, -4)
    assert cover.at(np.array([23.0, 20.0, -1.0]), np.array([6.0, 10.0, 70.0])).tolist() == [True, False, False]


def test_without_candidates_there_are_no_trails():
    assert find_streaks(noisy(), whole(), none_found(0), 10.0, 2.8) == []


def streak_at(frame, x, y, length=40.0):
    half = length / 2
    ends = np.array([x - half, x + half]), np.array([y, y])
    return Streak(frame, *ends, 0.1, 900.0, 30.0, 2.8, "streak", np.ones(2, bool))


@pytest.mark.parametrize(
    ("heights", "kept"),
    [
        ([0, 0, 50, 0, 0, 0], True),
        ([0, 0, 50, 40, 0, 0], False),
        ([20, 0, 50, 0, 0, 20], False),
        ([0, 40, 0, 0, 50, 0], True),
    ],
    ids=["once", "on the next frame", "now and then", "once before, by another"],
)
def test_what_stays_at_a_place_of_the_sky_is_no_trail(heights, kept):
    shifts = [Shift(3.0 * k, -2.0 * k, 0.1, 50) for k in range(len(heights))]
    frames = [noisy(seed=k) / 10 for k in range(len(heights))]
    for rest, shift, height in zip(frames, shifts, heights, strict=True):
        y = np.arange(200)[:, None] - (100 + shift.dy)
        rest[:, round(60 + shift.dx) : round(100 + shift.dx)] += (height * np.exp(-(y**2) / 3)).astype(np.float32)

    def rest_at(index, x, y):
        return map_coordinates(frames[index], [y, x], order=1)

    at = int(np.argmax(heights))
    streak = streak_at(at, 80 + shifts[at].dx, 100 + shifts[at].dy)
    left = without_lasting([streak], list(range(len(heights))), shifts, rest_at, 2.8)
    assert (left == [streak]) is kept


def test_the_stack_of_dithered_frames_has_no_steps_once_they_have_lost_their_skies():
    shifts = [Shift(float(dx), 0.0, 0.1, 50) for dx in (0, 30, -30)]
    mean = LevelledMean.of((200, 200))
    for shift in shifts:
        rest = np.full((200, 200), 5.0, np.float32)
        mean.add(rest, shift)
    image = mean.image()
    assert np.unique(image).tolist() == [5.0]
    assert mean.weight[100, ::50].tolist() == [2, 3, 3, 3]
    assert mean.weight[100, 199] == 2


def film(gaps):
    """Return trails of 40 pixels a frame along y = 100; a gap cuts what lies in it from the trail that reaches it."""
    times, trails = np.arange(6.0), []
    for frame in range(6):
        low, high = 40.0 * frame, 40.0 * frame + 40
        whole = np.ones(2, bool)
        for first, last in gaps:
            if first < low < last:
                low, whole = last, whole & [False, True]
            if first < high < last:
                high, whole = first, whole & [True, False]
        one = streak_at(frame, (low + high) / 2, 100.0, high - low)
        trails.append(replace(one, whole=whole))
    return times, trails


def test_a_trail_that_a_saturated_star_cuts_belongs_to_the_whole_ones():
    times, trails = film([(110, 128)])
    (chain,) = link_streaks(trails, times, 1.0)
    assert [one.frame for one in chain] == list(range(6))
    assert [one.whole.all() for one in chain] == [True, True, False, False, True, True]


@pytest.mark.parametrize("moved", [{"y": 30.0}, {"x": 60.0}], ids=["beside the line", "at another time"])
def test_a_cut_trail_elsewhere_stays_alone(moved):
    times, trails = film([(110, 128)])
    other = replace(trails[2], x=trails[2].x + moved.get("x", 0), y=trails[2].y + moved.get("y", 0))
    chains = link_streaks([*trails[:2], other, *trails[3:]], times, 1.0)
    assert sorted(len(chain) for chain in chains) == [1, 5]


def test_trails_that_are_all_cut_stay_alone():
    times, trails = film([(30, 50), (70, 90), (110, 130), (150, 170), (190, 210)])
    assert len(link_streaks(trails, times, 1.0)) == 6


def test_a_frame_whose_whole_sky_is_brighter_is_searched_to_its_last_row():
    shape, noise = (1000, 800), 3.0
    rest = np.random.default_rng(1).normal(20, noise, shape).astype(np.float32)  # each of 800,000 boxes is a hit
    rest += gaussians(shape, np.array([400.0]), np.array([950.0]), np.array([900.0])).astype(np.float32)
    flat = np.zeros(shape, np.float32)
    template = Template(flat, flat, flat, 5, 3.3)
    frame = FrameDifference(0, rest, np.zeros(shape, np.uint8), template, Shift(0.0, 0.0, 0.0, 9), noise)
    found = find_candidates(frame, 0.7, 5.0)
    assert np.hypot(found.x - 400, found.y - 950).min() < 0.5
