"""Test each quality gate: it passes just inside its limit and rejects just outside; messages have value and limit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gozen.errors import CorruptFile, InconsistentPointing, InconsistentTime, NoisyFrame, SaturatedField
from gozen.frames.raw import RawCube
from gozen.instrument.read_header import RawHeader
from gozen.quality.gates import (
    FrameLevel,
    check_coordinates,
    check_noise,
    check_pixels,
    check_pointing,
    check_time,
    frame_level,
)
from gozen.settings import GateSettings

from ..star_fields import detector

LIMITS = GateSettings()
HEADER = RawHeader(
    object="field",
    data_type="OBJECT",
    sensor="111",
    utc_start=61364.5,
    exposure_s=0.5,
    frame_time_s=0.5,
    row_time_s=0.0,
    utc_sequence=None,
    ra=19.5,
    dec=29.7,
    exposure_id=None,
    frame_id=None,
    gain="high",
    filter="",
    pipelines=(),
    project="",
    observer="",
)


def cube(start, **header):
    return RawCube(replace(HEADER, **header), "TMQ1", (), np.atleast_1d(np.asarray(start, float)))


def test_saturated_field():
    raw = np.full((60, 90), 20800, np.uint16)  # 0.8 of 26000
    assert check_pixels(raw, detector(), LIMITS, 3) == 20800
    with pytest.raises(SaturatedField, match="frame 3: the median is 20801 ADU, above 20800 ADU") as refused:
        check_pixels(raw + np.uint16(1), detector(), LIMITS, 3)
    assert (refused.value.value, refused.value.limit) == (20801, 20800)


def test_saturated_field_looks_at_the_active_area_only():
    raw = np.full((60, 90), 1000, np.uint16)
    raw[:, 80:] = 60000
    assert check_pixels(raw, detector(), LIMITS, 0) == 1000


@pytest.mark.parametrize(("missing", "passes"), [(0.40, True), (0.60, False)])
def test_pixels_that_are_no_numbers(missing, passes):
    raw = np.full((210, 290), 100.0, np.float32)
    raw[: int(210 * missing)] = np.nan
    given = detector((210, 280))
    if passes:
        assert check_pixels(raw, given, LIMITS, 0) == 100.0
        return
    with pytest.raises(
        CorruptFile, match=r"frame 0: 60% of the pixels are NaN \(not a number\); at most 50% are allowed"
    ) as refused:
        check_pixels(raw, given, LIMITS, 0)
    assert refused.value.value == pytest.approx(missing, abs=0.03)
    assert refused.value.limit == 0.5


@pytest.mark.parametrize(("factor", "passes"), [(2.99, True), (3.01, False)])
def test_noise_against_sky_and_read_out(factor, passes):
    # gain 2, read noise 4 e-: sky of 100 ADU is 200 e-, so the noise is sqrt(216) / 2 ADU
    predicted = math.sqrt(216) / 2
    level = FrameLevel(100.0, factor * predicted)
    if passes:
        assert check_noise(level, detector(), LIMITS, 1) == pytest.approx(factor)
        return
    with pytest.raises(NoisyFrame, match=r"frame 1: .* 22\.1 ADU, 3\.01 times the 7\.3 ADU .* limit is 3") as refused:
        check_noise(level, detector(), LIMITS, 1)
    assert refused.value.value == pytest.approx(factor)
    assert refused.value.limit == 3.0


def test_noise_that_is_no_number_is_refused():
    with pytest.raises(NoisyFrame):
        check_noise(FrameLevel(100.0, float("nan")), detector(), LIMITS, 0)


def test_the_level_of_a_frame_ignores_its_stars():
    image = np.random.default_rng(2).normal(50, 4, (700, 900)).astype(np.float32)
    image.flat[::20] += 500
    level = frame_level(image)
    assert level.background == pytest.approx(50, abs=0.4)
    assert level.noise == pytest.approx(4, rel=0.08)


def test_time_outside_the_age_of_cameras():
    assert check_time(cube(36934.1)) == 0
    for start in (36933.9, 88069.1):
        with pytest.raises(InconsistentTime, match=rf"TMQ1: .* MJD {start:.5f}, outside 1960 to 2100") as refused:
            check_time(cube(start))
        assert refused.value.value == start


def test_frames_that_do_not_follow_one_another():
    step = 0.5 / 86400
    assert check_time(cube(61364.5 + np.arange(4) * step)) == 0
    with pytest.raises(InconsistentTime, match="frame 2 does not start after the previous frame"):
        check_time(cube([61364.5, 61364.5 + step, 61364.5 + step, 61364.5 + 2 * step]))


def test_a_sequence_precedes_its_first_pixel():
    start = 61364.5
    assert check_time(cube(start, utc_start=start, utc_sequence=start - 0.3 / 86400)) == pytest.approx(0.3, abs=1e-5)
    with pytest.raises(
        InconsistentTime, match=r"2026-11-20T12:00:00\.2.* 0\.200 s later than its first pixel"
    ) as refused:
        check_time(cube(start, utc_start=start, utc_sequence=start + 0.2 / 86400))
    assert refused.value.value == pytest.approx(-0.2, abs=1e-5)
    assert refused.value.limit == 0.0


@pytest.mark.parametrize(("ra", "dec"), [(0.0, -90.0), (360.0, 90.0), (None, None)])
def test_possible_coordinates(ra, dec):
    check_coordinates(replace(HEADER, ra=ra, dec=dec), "TMQ1")


@pytest.mark.parametrize(
    ("ra", "dec", "message"),
    [(10.0, 90.1, "declination is 90.1 deg"), (10.0, -119.0, "-119 deg"), (360.5, 0.0, "360.5"), (-0.5, 0.0, "-0.5")],
)
def test_impossible_coordinates(ra, dec, message):
    with pytest.raises(InconsistentPointing, match=message) as refused:
        check_coordinates(replace(HEADER, ra=ra, dec=dec), "TMQ1")
    assert refused.value.value in (ra, dec)
    for kind in ("DARK", "FLAT"):
        check_coordinates(replace(HEADER, ra=ra, dec=dec, data_type=kind), "TMQ1")


def test_pointing_against_the_stars():
    assert check_pointing(0.999, LIMITS, "TMQ1") == 0.999
    with pytest.raises(InconsistentPointing, match=r"TMQ1: the stars are 1\.001 deg .* limit is 1 deg") as refused:
        check_pointing(1.001, LIMITS, "TMQ1")
    assert (refused.value.value, refused.value.limit) == (1.001, 1.0)
