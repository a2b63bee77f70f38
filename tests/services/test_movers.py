"""A simulated film with moving objects and a flash: found, measured, and recorded in the log and in the table.

Covered: the pipeline `neo` from raw frames to tables. Not covered: completeness on complete sensors, which
benchmarks/movers.py measures, and observed asteroids (tests/real).
"""

from __future__ import annotations

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.reductions import NIGHT, SENSOR, SMALL, simulated_night

from gozen.archive.commit import read_commit
from gozen.archive.keys import Processing
from gozen.archive.log.observation_log import rebuild_night
from gozen.archive.log.search_log import search_exposures, search_tracklets
from gozen.catalog.format.schema import Flag
from gozen.instrument.profile import parse_profile
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.reduction.sensor_work import SensorWork
from gozen.simulator import truth_tables
from gozen.simulator.sky.events import Mover, Transient

NFRAME = 18
PROCESSING = Processing(NIGHT, "00000003")


def events(order):
    """Put a fast and a faint mover, a satellite and a flash onto the sensor."""

    def sky(x, y):
        ra, dec = order.projection.sky(np.array([x]), np.array([y]))
        return float(ra[0]), float(dec[0])

    middle = order.utc_mjd + NFRAME * 0.25 / 86400
    for name, x, y, rate, g in (
        ("bright", 150, 120, (8.0, 5.0), 13.5),
        ("faint", 330, 250, (-4.0, 7.0), 15.8),
        ("satellite", 250, 200, (-40.0, 18.0), 11.0),
    ):
        yield Mover(name, *sky(x, y), middle, *rate, g)
    yield Transient("flash", *sky(400, 90), 15.9, middle, rise_s=0.3, decay_s=0.6)


def reduce(night, pipelines=("wcs", "neo"), run="r1"):
    processing = Processing(NIGHT, "00000003", run)
    return reduce_sensor(SensorWork(processing, SENSOR, (night.raw_key,), pipelines), night.shared_inputs())


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moving")
    return simulated_night(folder, parse_profile(SMALL, "small"), nframe=NFRAME, events=events)


@pytest.fixture(scope="module")
def commit(night):
    done = reduce(night)
    assert done.status == "reduced", done.rejection
    return done


@pytest.fixture(scope="module")
def injected(night):
    rows = truth_tables.read_truth(
        night.store, truth_tables.sensor_key(NIGHT, "00000003", SENSOR, "movers")
    ).to_pandas()
    return dict(list(rows.groupby("event")))


def of_mover(commit, rows):
    """Return the tracklet that goes where a mover went."""

    def away(record):
        frames = {p.frame: p for p in record.points}
        near = [(frames[r.frame].x - r.x, frames[r.frame].y - r.y) for r in rows.itertuples() if r.frame in frames]
        return np.median(np.hypot(*np.array(near).T)) if near else np.inf

    best = min((one for one in commit.tracklets if one.kind == "mover"), key=away)
    assert away(best) < 1
    return best


@pytest.mark.parametrize("name", ["bright", "faint"])
def test_a_mover_is_found_on_almost_every_frame_at_its_true_places_and_times(commit, injected, name):
    rows = injected[name].set_index("frame")
    record = of_mover(commit, injected[name])
    assert record.n_frames >= 0.85 * len(rows)
    for point in record.points:
        row = rows.loc[point.frame]
        cosine = np.cos(np.radians(row.dec))
        off = np.hypot((point.ra - row.ra) * cosine, point.dec - row.dec) * 3600
        assert off < max(6 * point.position_err_arcsec, 0.3)
        assert abs(point.mjd - row.mjd) * 86400 < 2e-3
        assert point.flux == pytest.approx(row.flux_adu, abs=6 * point.flux_err + 0.1 * row.flux_adu)


def test_rates_and_angles_are_the_injected_ones(commit, injected):
    for name, (east, north) in (("bright", (8.0, 5.0)), ("faint", (-4.0, 7.0))):
        record = of_mover(commit, injected[name])
        assert record.rate_arcsec_min == pytest.approx(60 * np.hypot(east, north), rel=0.005)
        assert record.position_angle_deg == pytest.approx(np.degrees(np.arctan2(east, north)) % 360, abs=0.5)


def test_a_satellite_is_one_streak_with_both_ends_of_every_frame(commit, injected):
    (streak,) = [one for one in commit.tracklets if one.kind == "streak"]
    rows = injected["satellite"].set_index("frame")
    ends = {(point.frame, point.end): point for point in streak.points}
    checked = 0
    for frame in {point.frame for point in streak.points}:
        for end in ("start", "end"):
            row, point = rows.loc[frame], ends[frame, end]
            assert np.hypot(point.x - row[f"x_{end}"], point.y - row[f"y_{end}"]) < 1.5
            checked += 1
    assert checked >= 12
    assert streak.rate_arcsec_min == pytest.approx(60 * np.hypot(40, 18), rel=0.05)


def test_nothing_else_moves(commit):
    assert commit.summary.n_tracklets == len(commit.tracklets) == 3


def test_a_flash_is_in_the_light_curve_table_and_nothing_else_is(night, commit):
    assert commit.summary.n_flares == 1
    rows = pq.read_table(io.BytesIO(night.store.read(commit.products["staging"].key))).to_pandas()
    flash = rows[rows["origin"] == "frame"]
    assert len(flash) == NFRAME
    assert np.hypot(flash["x"].iloc[0] - 400, flash["y"].iloc[0] - 90) < 1.5
    assert all(flash["flags"] & int(Flag.NOT_ON_STACK))
    assert flash["flux"].argmax() in range(7, 12)
    assert flash["flux"].max() > 5 * flash["flux_err"].iloc[0]
    assert not any(rows[rows["origin"] == "stack"]["flags"] & int(Flag.NOT_ON_STACK))


def test_the_log_lists_them(night, commit):
    rebuild_night(night.store, NIGHT)
    (row,) = search_exposures(night.store).to_pylist()
    assert (row["n_tracklets"], row["n_flares"], row["neo"]) == (3, 1, commit.products["neo"].key)
    assert len(search_tracklets(night.store)) == 3
    assert len(search_tracklets(night.store, points=True)) == sum(len(one.points) for one in commit.tracklets)


def test_the_same_raw_data_give_the_same_bytes(night, commit, tmp_path):
    again = night.copy(tmp_path)
    assert reduce(again).to_json() == commit.to_json()
    key = commit.products["neo"].key
    assert again.store.read(key) == night.store.read(key)
    assert read_commit(again.store, PROCESSING, SENSOR) == commit


def test_without_neo_nothing_is_looked_for(night):
    done = reduce(night, ("wcs",), "r0")
    assert (done.summary.n_tracklets, done.tracklets, "neo" in done.products) == (None, (), False)
