"""The same observed field solved blind, with an index of its own stars and without a pointing, and with a hint."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.astrometry.solve import Field, SensorPointing, solve_field
from gozen.calibration.calibrate_frame import calibrate, detector_of
from gozen.catalog.reference.reference_catalog import read_reference
from gozen.errors import AstrometryFailed
from gozen.frames.raw import assemble, parse_file
from gozen.instrument.profile import load_profile
from gozen.photometry.detect_sources import detect
from gozen.resources.sky_circle import separation_deg
from gozen.settings import AstrometrySettings, DetectionSettings

from .conftest import PROFILES

GRID = tuple(axis.ravel() for axis in np.meshgrid(np.linspace(5, 1360, 9), np.linspace(5, 1365, 9)))


@pytest.fixture(scope="module")
def profile():
    return load_profile(str(PROFILES / "lowell42.yaml"))


@pytest.fixture(scope="module")
def reference(observed):
    return read_reference(observed("lowell5945/truth/lowell5945_starcat_819.fits"))


@pytest.fixture(scope="module")
def index(observed):
    return AstrometrySettings(index_files=(observed("lowell5945/truth/lowell5945_astrometrynet_index.fits"),))


@pytest.fixture(scope="module")
def frame(observed, profile):
    path = observed("lowell5945/20190326.0158.fits.gz")
    cube = assemble([parse_file(path.read_bytes(), path.name)], profile)
    image, _ = calibrate(cube.frame(0), detector_of(profile, "1", "amp1"))
    sources, _ = detect(image, np.ones(image.shape, np.int16), DetectionSettings())
    return sources, image.shape, cube.header


def field(frame, pointing):
    sources, shape, _ = frame
    return Field(sources.x, sources.y, sources.flux, shape, pointing, 2019.23, "20190326.0158")


def apart_arcsec(one, other):
    (ra, dec), (ra2, dec2) = one.sky(*GRID), other.sky(*GRID)
    return np.hypot((ra - ra2) * np.cos(np.deg2rad(dec)), dec - dec2) * 3600


def test_blind_and_hinted_solutions_agree(frame, profile, reference, index):
    header = frame[2]
    hinted = solve_field(field(frame, SensorPointing(header.ra, header.dec)), reference, profile, index)
    blind = solve_field(field(frame, None), reference, profile, index)
    assert (hinted.method, blind.method) == ("hint", "blind")
    assert apart_arcsec(hinted, blind).max() < 0.02
    assert blind.rms_px < 0.1


def test_the_index_alone_gives_a_solution(frame, profile, reference, index):
    alone = solve_field(field(frame, None), None, profile, index)
    with_catalogue = solve_field(field(frame, None), reference, profile, index)
    assert alone.method == "blind"
    assert np.median(apart_arcsec(alone, with_catalogue)) < 0.15
    assert apart_arcsec(alone, with_catalogue).max() < 0.6


def test_a_pointing_that_is_degrees_off_falls_back_to_blind(frame, profile, reference, index):
    solution = solve_field(field(frame, SensorPointing(130.0, 20.0)), reference, profile, index)
    assert solution.method == "blind"
    assert separation_deg(solution.linear.ra, solution.linear.dec, 124.6245, 25.3287) < 0.01


def test_without_an_index_a_field_without_pointing_is_refused(frame, profile, reference):
    with pytest.raises(AstrometryFailed, match="the header gives no pointing; no index files"):
        solve_field(field(frame, None), reference, profile, AstrometrySettings(index_files=()))
