"""Test that movers are found on rotating frames, and that stars moved by the rotation are not taken for movers.

Not covered: flares in parts that only some frames cover, where the template has more noise.
"""

from __future__ import annotations

import numpy as np
import pytest

from gozen.calibration.calibrate_frame import detector_of
from gozen.frames.raw import RawFile, assemble
from gozen.instrument.profile import parse_profile
from gozen.photometry.forced_photometry import ApertureSet
from gozen.photometry.frame_shift import Shift
from gozen.photometry.frame_turn import Turn
from gozen.reduction.align_frames import align, align_roughly
from gozen.reduction.buffers import Workspace
from gozen.reduction.calibrated_frames import calibrate_cube
from gozen.reduction.find_movers import find_moving
from gozen.reduction.measure_stars import measure_frames
from gozen.settings import Settings

from ..reductions import SMALL
from ..star_fields import gaussians, scattered

ROWS, COLUMNS, FRAMES = 400, 500, 12
NOISE = 12.0
RATE = 2.5, 1.0
WORDS = {
    "OBJECT": "field", "DATA-TYP": "OBJECT", "UTC": "2026-01-15T13:00:00", "EXPTIME1": 9.0, "TFRAME": 10.0,
    "TRLSTEP1": 0.0, "RA": "01:19:00", "DEC": "+29:42:00", "DET_ID": "111", "GAIN": "high",
    "UTC-EXP": "2026-01-15T12:59:59",
}  # fmt: skip


def turned(number, degrees):
    angle = np.deg2rad(degrees) * (number - FRAMES / 2)
    cos, sin = float(np.cos(angle)) - 1, float(np.sin(angle))
    return Shift(3.0 * number, -1.5 * number, 0.0, 50, Turn(cos, -sin, sin, cos, 249.5, 199.5))


def searched(degrees, moving):
    """Return what is found on frames that turn by so much from one to the next, and the frames' shifts."""
    rng = np.random.default_rng(4)
    x, y = scattered(rng, 110, (ROWS, COLUMNS), margin=8, apart=20)
    flux = 10 ** rng.uniform(3.2, 5, len(x))
    raw = np.full((FRAMES, 400, 540), 1000.0)
    raw += rng.normal(0, NOISE, raw.shape)
    for number in range(FRAMES):
        shift = turned(number, degrees)
        raw[number, :, :COLUMNS] += 200 + gaussians((ROWS, COLUMNS), *shift.place(x, y), flux)
        if moving:
            at = shift.place(np.array([200.0 + RATE[0] * number]), np.array([180.0 + RATE[1] * number]))
            raw[number, :, :COLUMNS] += gaussians((ROWS, COLUMNS), *at, 1500.0)
    profile = parse_profile(SMALL, "small")
    cube = assemble([RawFile("cube.fits", WORDS, np.rint(raw).astype(np.uint16), 0.0, "0" * 64)], profile)
    detector, settings = detector_of(profile, "111", "high"), Settings()
    calibrated = calibrate_cube(cube, detector, settings.gates, Workspace())
    aligned = align(align_roughly(calibrated, 0, settings.gates), settings.detection)
    skies, _ = measure_frames(aligned, ApertureSet((11,), settings.photometry.limit_sigma))
    return find_moving(aligned, skies, 11, settings.movers), aligned


def flares_where_all_frames_reach(found, aligned):
    weight = aligned.stack.weight
    return sum(weight[round(flare.y), round(flare.x)] == FRAMES for flare in found.flares)


@pytest.mark.parametrize("degrees", [0.05, 0.15])
def test_the_one_mover_is_found_at_its_rate(degrees):
    found, aligned = searched(degrees, moving=True)
    assert [shift.turn is not None for shift in aligned.shifts].count(True) >= FRAMES - 1
    assert (len(found.tracks), len(found.chains), flares_where_all_frames_reach(found, aligned)) == (1, 0, 0)
    (track,) = found.tracks
    assert (track.line.rate_x, track.line.rate_y) == (pytest.approx(RATE[0], abs=0.1), pytest.approx(RATE[1], abs=0.1))
    assert len(track.frame) >= 8
    assert np.median(track.flux) == pytest.approx(1500, rel=0.15)


def test_nothing_is_claimed_where_nothing_moves():
    found, aligned = searched(0.15, moving=False)
    assert (len(found.tracks), len(found.chains), flares_where_all_frames_reach(found, aligned)) == (0, 0, 0)
