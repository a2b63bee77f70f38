"""A transit observed for six hours with a 15 cm telescope: 21 frames that drift and rotate, without calibration frames.

The times of the transit follow from the planet's published orbit (Hartman et al. 2011, ApJ 742, 59): transits last 3.1
hours, 2.3 of them at full depth, every 2.150008 days. The published depth is 2.2 %.
"""

from __future__ import annotations

import io

import numpy as np
import pyarrow.parquet as pq
import pytest

from gozen.archive import keys
from gozen.archive.keys import Processing
from gozen.archive.stores.open_store import open_store
from gozen.catalog.format.schema import Flag
from gozen.catalog.reference.reference_catalog import read_reference
from gozen.instrument.profile import load_profile
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.reduction.sensor_work import SensorWork, SharedInputs
from gozen.settings import AstrometrySettings, Settings

from .conftest import PROFILES

NIGHT = "20171219"
FRAMES = 21
TARGET = 31.0427, 46.6878
MIDDLE = 58107.206  # of the transit, MJD (UTC) at the telescope
FULL_D, WHOLE_D = 2.3 / 24, 3.2 / 24
SPOILED = int(Flag.SATURATED | Flag.EDGE | Flag.DEAD_PIXEL)


@pytest.fixture(scope="session")
def reduced(observed, tmp_path_factory):
    folder = observed("hatp32")
    store = open_store(tmp_path_factory.mktemp("hatp32"))
    for path in folder.glob("*.FITS.gz"):
        store.write(keys.raw(NIGHT, "hatp-32", path.name.removesuffix(".FITS.gz")), path.read_bytes())
    raw = tuple(store.list(keys.raw_folder(NIGHT, "hatp-32")))
    settings = Settings(astrometry=AstrometrySettings(index_files=()))
    shared = SharedInputs(
        store,
        load_profile(str(PROFILES / "microobservatory.yaml")),
        settings,
        read_reference(folder / "tycho2.csv"),
    )
    work = SensorWork(Processing(NIGHT, "hatp-32"), "1", raw, pipelines=("wcs", "neo"))
    commit = reduce_sensor(work, shared)
    rows = pq.read_table(io.BytesIO(store.read(commit.products["staging"].key))).to_pandas()
    rows = rows[rows.origin == "stack"]
    return commit, {name: rows[name].to_numpy().reshape(FRAMES, -1) for name in rows.columns}


@pytest.fixture(scope="session")
def curves(reduced):
    """Return time, the target's magnitudes and those of stars of its brightness, less the common trend."""
    _, table = reduced
    away = np.hypot((table["ra_meas"][0] - TARGET[0]) * np.cos(np.deg2rad(TARGET[1])), table["dec_meas"][0] - TARGET[1])
    target = int(np.argmin(away))
    assert away[target] * 3600 < 3
    mag, clean = table["mag"], (table["flags"] & SPOILED == 0).all(axis=0)
    alike = clean & (np.abs(np.mean(mag, axis=0) - np.mean(mag[:, target])) < 0.5)
    alike[target] = False
    assert clean[target]
    assert alike.sum() >= 8
    others = mag[:, alike] - np.median(mag[:, alike], axis=0)
    trend = np.median(others, axis=1)
    return table["mjd"][:, 0], mag[:, target] - trend, others - trend[:, None]


def test_every_frame_is_reduced_and_has_magnitudes(reduced):
    commit, table = reduced
    assert (commit.status, commit.nframe, commit.summary.wcs_method) == ("reduced", FRAMES, "hint")
    assert all(frame.rejected is None for frame in commit.frames)
    measured = table["flags"] & (SPOILED | int(Flag.NOT_DETECTED)) == 0
    assert np.isfinite(table["mag"][measured]).all()
    assert (np.isfinite(table["mag"]) & measured).sum(axis=1).min() > 300


def test_the_missing_calibration_frames_are_in_the_record(reduced):
    commit, _ = reduced
    assert any("calibration" in warning or "masters" in warning for warning in commit.warnings)


def test_the_field_turns_by_half_a_degree_and_stars_stay_where_they_are_put(reduced):
    commit, _ = reduced
    turn = [frame.rotation_deg or 0.0 for frame in commit.frames]
    assert turn[0] - turn[-1] == pytest.approx(0.56, abs=0.03)
    assert (np.diff(turn) < 0).all()
    assert max(frame.shift_residual_px for frame in commit.frames) < 0.15
    assert min(frame.n_stars for frame in commit.frames) > 40


def test_a_field_that_drifts_and_turns_shows_hardly_a_false_flare(reduced):
    commit, _ = reduced
    assert commit.summary.n_flares <= 1


def test_blended_calibrators_are_flagged_and_said(reduced):
    commit, table = reduced
    assert (table["flags"] & int(Flag.BLENDED_CALIBRATORS) > 0).all()
    assert any("light of other stars" in warning for warning in commit.warnings)


def test_what_each_rule_removed_is_recorded(reduced):
    commit, _ = reduced
    (gate,) = [gate for gate in commit.gates if gate.name == "TooFewCalibrators"]
    assert gate.passed
    assert gate.value >= 5
    for rule in ("saturated", "edge", "blended", "no colour", "too faint"):
        assert f" {rule}" in gate.message


def test_the_transit_is_as_deep_as_published(curves):
    mjd, target, _ = curves
    away = np.abs(mjd - MIDDLE)
    inside, outside = away < FULL_D / 2, away > WHOLE_D / 2
    assert (inside.sum(), outside.sum()) >= (5, 10)
    depth = 1 - 10 ** (-0.4 * (np.median(target[inside]) - np.median(target[outside])))
    assert depth == pytest.approx(0.022, abs=0.006)


def test_the_zero_points_of_the_frames_take_the_common_trend_out(reduced):
    commit, table = reduced
    mjd, zero = table["mjd"][:, 0], np.array([frame.zero_point for frame in commit.frames])
    away = np.hypot((table["ra_meas"][0] - TARGET[0]) * np.cos(np.deg2rad(TARGET[1])), table["dec_meas"][0] - TARGET[1])
    relative = table["mag"][:, int(np.argmin(away))] + zero - table["zp"][0, 0]
    inside, outside = np.abs(mjd - MIDDLE) < FULL_D / 2, np.abs(mjd - MIDDLE) > WHOLE_D / 2
    assert relative[outside].std() < 0.009
    assert np.mean(relative[inside]) - np.mean(relative[outside]) == pytest.approx(0.024, abs=0.007)


def test_stars_of_its_brightness_scatter_by_less_than_a_hundredth(curves):
    _, _, others = curves
    scatter = np.std(others, axis=0)
    assert np.median(scatter) < 0.008
    assert (scatter < 0.01).mean() > 0.9
