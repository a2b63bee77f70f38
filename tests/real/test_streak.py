"""The trail of a satellite on a single observed frame: found among the stars, and measured at both ends.

The ends were measured on the frame by eye, to two pixels. The direction of flight is unknown from one frame.
"""

from __future__ import annotations

import numpy as np
import pytest

from gozen.calibration.calibrate_frame import detector_of
from gozen.frames.raw import assemble, parse_file
from gozen.instrument.profile import load_profile
from gozen.movers.streaks import heading
from gozen.photometry.forced_photometry import ApertureSet
from gozen.reduction.align_frames import align, align_roughly
from gozen.reduction.buffers import Workspace
from gozen.reduction.calibrated_frames import calibrate_cube
from gozen.reduction.find_movers import find_moving
from gozen.reduction.measure_stars import measure_frames
from gozen.settings import Settings

from .conftest import PROFILES

LEFT, RIGHT = (22.0, 338.0), (339.0, 310.0)


@pytest.fixture(scope="module")
def found(observed):
    path, profile = observed("misc_wcs") / "long.fits.gz", load_profile(str(PROFILES / "ystar.yaml"))
    cube = assemble([parse_file(path.read_bytes(), path.name)], profile)
    detector, settings = detector_of(profile, "1", "normal"), Settings()
    calibrated = calibrate_cube(cube, detector, settings.gates, Workspace())
    aligned = align(align_roughly(calibrated, 0, settings.gates), settings.detection)
    skies, _ = measure_frames(aligned, ApertureSet((21,), settings.photometry.limit_sigma))
    return find_moving(aligned, skies, 21, settings.movers)


def test_the_one_trail_is_found_and_no_star_is_taken_for_one(found):
    assert [len(chain) for chain in found.chains] == [1]
    (streak,) = found.chains[0]
    assert streak.kind == "streak"
    assert streak.flux > 50 * streak.flux_err
    assert (found.tracks, found.flares) == ([], [])


def test_both_its_ends_are_where_one_sees_them(found):
    (streak,) = found.chains[0]
    ends = np.column_stack([streak.x, streak.y])
    np.testing.assert_allclose(ends, [LEFT, RIGHT], atol=2.5)
    assert streak.whole.all()
    assert streak.length_px == pytest.approx(318, abs=3)


def test_its_direction_is_not_claimed(found):
    assert heading(found.chains[0]) == 0
