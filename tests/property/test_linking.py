"""Linking on any field: no point is in two lines, no frame twice in a line, and the order of points does not matter."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.moving_points import SHAPE, field

from gozen.movers.link_tracklets import LineLimits, Points, link

FIELDS = st.builds(
    field,
    seed=st.integers(0, 10_000),
    objects=st.integers(0, 6),
    distractors=st.integers(0, 60),
    rate=st.sampled_from([(0.2, 1.0), (1.0, 20.0), (25.0, 40.0)]),
    error=st.sampled_from([0.0, 0.1, 0.5]),
    missing=st.sampled_from([0.0, 0.3, 0.7]),
)


@settings(max_examples=60, deadline=None)
@given(FIELDS)
def test_lines_share_no_point_and_hold_one_of_a_frame(made):
    points, times, _ = made
    lines = link(points, times, SHAPE, LineLimits(30.0))
    members = np.concatenate([line.members for line in lines]) if lines else np.zeros(0, int)
    assert len(np.unique(members)) == len(members)
    for line in lines:
        frames = points.frame[line.members]
        assert np.all(np.diff(frames) > 0)
        assert len(frames) >= 4
        assert line.significance >= 3
        assert line.rate < 45


@settings(max_examples=40, deadline=None)
@given(FIELDS, st.integers(0, 1000))
def test_the_order_of_the_points_does_not_matter(made, seed):
    points, times, _ = made
    order = np.random.default_rng(seed).permutation(len(points))
    mixed = Points(*(getattr(points, name)[order] for name in ("frame", "x", "y", "error_px", "snr")))
    one, other = link(points, times, SHAPE, LineLimits(30.0)), link(mixed, times, SHAPE, LineLimits(30.0))
    assert [line.members.tolist() for line in one] == [order[line.members].tolist() for line in other]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 25), st.integers(0, 40))
def test_a_whole_object_is_found(seed, speed, distractors):
    points, times, owner = field(seed=seed, objects=1, distractors=distractors, rate=(speed, speed), error=0.2)
    lines = link(points, times, SHAPE, LineLimits(30.0))
    assert any((owner[line.members] == 0).sum() >= 14 for line in lines)
