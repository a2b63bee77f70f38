"""Test linking: slow and fast objects are found completely among false candidates, and chance makes no lines.

Also flares: points at one position are grouped, a single point is not.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.moving_points import FRAMES, SHAPE, field

from gozen.movers.group_flares import group_flares
from gozen.movers.link_tracklets import LineLimits, Points, link, log10_chance


def found(points, times):
    return link(points, times, SHAPE, LineLimits(30.0))


def recovered(lines, owner):
    """Return the objects that one line holds at least four fifths of."""
    whole = {number: (owner == number).sum() for number in set(owner) - {-1}}
    out = set()
    for line in lines:
        numbers, counts = np.unique(owner[line.members], return_counts=True)
        out |= {int(n) for n, c in zip(numbers, counts, strict=True) if n >= 0 and c >= 0.8 * whole[n]}
    return out


@pytest.mark.parametrize("distractors", [0, 50, 200])
def test_objects_are_found_among_distractors_and_nothing_else(distractors):
    points, times, owner = field(seed=distractors, objects=8, distractors=distractors)
    lines = found(points, times)
    assert recovered(lines, owner) == set(range(8))
    assert len(lines) == 8


def test_chance_makes_no_lines():
    counts = [len(found(*field(seed=seed, objects=0, distractors=200)[:2])) for seed in range(20)]
    assert sum(counts) <= 1


@pytest.mark.parametrize("rate", [(0.3, 0.5), (0.5, 2.0), (20.0, 29.0)])
def test_slow_and_fast_objects_are_found(rate):
    points, times, owner = field(seed=3, objects=6, distractors=30, rate=rate)
    assert recovered(found(points, times), owner) == set(range(6))


def test_objects_that_are_missing_on_a_third_of_the_frames_are_found():
    points, times, owner = field(seed=4, objects=10, distractors=50, missing=0.33)
    assert len(recovered(found(points, times), owner)) >= 9


def test_a_line_says_where_the_object_is_and_how_fast():
    t = np.arange(FRAMES, dtype=float)
    points = Points(np.arange(FRAMES), 500 + 3 * t, 400 - 2 * t, np.full(FRAMES, 0.1), np.full(FRAMES, 9.0))
    (line,) = found(points, t)
    assert (line.rate_x, line.rate_y) == pytest.approx((3, -2))
    assert (line.x, line.y) == pytest.approx((500 + 3 * line.time, 400 - 2 * line.time))
    assert line.rms_px == pytest.approx(0, abs=1e-9)
    assert line.members.tolist() == list(range(FRAMES))


def test_uneven_times_count_as_they_are():
    t = np.sort(np.random.default_rng(5).uniform(0, 30, FRAMES))
    points = Points(np.arange(FRAMES), 300 + 5 * t, 400 + 4 * t, np.full(FRAMES, 0.1), np.full(FRAMES, 9.0))
    (line,) = found(points, t)
    assert len(line.members) == FRAMES
    assert line.rate == pytest.approx(np.hypot(5, 4))


def test_crossing_objects_are_two():
    t = np.arange(FRAMES, dtype=float) - 8.7
    frame = np.tile(np.arange(FRAMES), 2)
    x, y = np.concatenate([1000 + 6 * t, 1000 - 6 * t]), np.concatenate([500 + 4 * t, 500 + 5 * t])
    lines = found(Points(frame, x, y, np.full(36, 0.1), np.full(36, 9.0)), t - t[0])
    assert sorted(len(line.members) for line in lines) >= [16, 16]
    assert len(lines) == 2


def test_few_points_are_no_line():
    t = np.arange(FRAMES, dtype=float)
    three = Points(np.arange(3), 500 + 3 * t[:3], 400 + t[:3], np.full(3, 0.1), np.full(3, 9.0))
    assert found(three, t) == []
    none = np.zeros(0)
    assert found(Points(np.zeros(0, np.int64), none, none, none, none), t) == []


def test_a_bound_on_chance_is_above_the_true_probability():
    from scipy.stats import poisson

    for expected in (0.01, 0.3, 2.0):
        for count in (1, 4, 9):
            (bound,) = log10_chance(np.array([count]), np.array([expected]))
            assert bound >= np.log10(poisson.sf(count - 1, expected)) - 1e-9


def test_a_flash_on_four_frames_is_one_flare_and_single_hits_are_none():
    rng = np.random.default_rng(6)
    hits = Points(
        np.arange(FRAMES),
        rng.uniform(0, 2000, FRAMES),
        rng.uniform(0, 1128, FRAMES),
        np.full(18, 0.2),
        np.full(18, 9.0),
    )
    assert group_flares(hits, FRAMES, 2000 * 1128, 1.5) == []
    frame = np.concatenate([hits.frame, [5, 6, 7, 8]])
    x, y = (
        np.concatenate([hits.x, [700.0, 700.6, 699.8, 700.2]]),
        np.concatenate([hits.y, [300.0, 300.3, 299.5, 300.2]]),
    )
    (flare,) = group_flares(Points(frame, x, y, np.full(22, 0.2), np.full(22, 9.0)), FRAMES, 2000 * 1128, 1.5)
    assert flare.members.tolist() == [18, 19, 20, 21]
    assert (flare.x, flare.y) == pytest.approx((700.15, 300.0))
