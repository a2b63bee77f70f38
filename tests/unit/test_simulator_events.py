"""Test simulated events as functions of time, and the times of the rows of a rolling shutter."""

from __future__ import annotations

import numpy as np
import pytest

from gozen.simulator.camera import render_stars
from gozen.simulator.camera.frame_light import sensor_field, sky_light
from gozen.simulator.camera.row_timing import Timing
from gozen.simulator.simulate_night import lone_stars
from gozen.simulator.sky.events import CloudEvent, Eclipse, Flare, Mover, exposure_mean
from gozen.simulator.sky.scene import Conditions, SimulatedSky
from gozen.simulator.truth_tables import frames_table, movers_table, stars_table, variables_table

from .simulator_samples import START, order

DAY_S = 86400.0
CALM = Conditions(dance_px=0.0, local_dance_px=0.0, fwhm_scatter=0.0)


def _at(seconds):
    return START + np.asarray(seconds, float) / DAY_S


def test_the_middle_of_a_row_is_start_plus_frames_plus_rows_plus_half_an_exposure():
    middle = Timing().row_middle(START, 3, np.array([0.0, 1127.0]))
    np.testing.assert_allclose((middle - START) * DAY_S, [1.5 + 0.249952, 1.5 + 0.46742325 + 0.249952], atol=2e-6)


def test_a_flare_rises_and_decays():
    flare = Flare("f", 1, START, amplitude=2.0, rise_s=0.5, decay_s=3.0)
    seen = flare.factor(_at([-10.0, -0.5, 0.0, 3.0, 60.0]))
    np.testing.assert_allclose(seen, [1.0, 1 + 2 / np.e, 3.0, 1 + 2 / np.e, 1.0], atol=1e-4)


def test_an_eclipse_is_flat_outside_deep_inside_and_comes_again():
    eclipse = Eclipse("e", 1, START, depth=0.4, duration_s=10.0, ingress_s=2.0, period_d=0.01)
    np.testing.assert_allclose(
        eclipse.factor(_at([-6.0, -4.0, 0.0, 2.9, 6.0, 864.0])), [1.0, 0.8, 0.6, 0.6, 1.0, 0.6], atol=1e-4
    )


def test_a_cloud_lets_everything_pass_before_and_after():
    cloud = CloudEvent("c", float(_at(0)), float(_at(10)), transmission=0.3, ramp_s=1.0)
    np.testing.assert_allclose(cloud.factor(_at([-1.0, 0.5, 5.0, 9.5, 11.0])), [1.0, 0.65, 0.3, 0.65, 1.0], atol=1e-4)


def test_the_mean_over_an_exposure_is_the_integral():
    flare = Flare("f", 1, START, amplitude=1.0, rise_s=0.5, decay_s=2.0)
    mean = exposure_mean(flare.factor, _at(1.0), 0.5)
    assert mean == pytest.approx(1 + 2.0 * (np.exp(-0.5) - np.exp(-0.75)) / 0.5, abs=1e-6)


def test_a_flare_is_brighter_on_rows_that_are_read_later_while_it_rises():
    """Two equal stars on the first and last row would differ: the same flare is asked at the rows' own times."""
    base = order()
    rising = Flare("f", 1, float(base.row_start(0)[-1] + 0.5 / DAY_S), amplitude=10.0, rise_s=0.2)
    factor = exposure_mean(rising.factor, base.row_start(0), base.timing.exposure_s)
    assert (np.diff(factor) > 0).all()
    assert factor[-1] > factor[0] * 1.2


def test_the_flux_on_the_frame_is_the_flux_of_the_truth_at_the_row():
    quiet = order(sky=SimulatedSky(7, (), CALM, None), nframe=6)
    star = lone_stars(quiet, 10.0, 18.5)
    source, x, y = int(star.stars.source_id[0]), star.x[:1], star.y[:1]
    flare = Flare("f", source, quiet.utc_mjd + 1.3 / DAY_S, amplitude=3.0, rise_s=0.4, decay_s=1.0)
    cloud = CloudEvent("c", quiet.utc_mjd + 2.0 / DAY_S, quiet.utc_mjd + 9.0 / DAY_S, transmission=0.5, ramp_s=0.5)
    cloudy, seen = (order(sky=SimulatedSky(7, what, CALM, None), nframe=6) for what in ((cloud,), (cloud, flare)))
    alone = np.zeros((200, 300), np.float32)
    width = render_stars.moffat_width(quiet.frame_state(0).fwhm_px)
    render_stars.add_stars(alone, x, y, star.flux_e[:1], np.ones(200), width)
    expected = variables_table(seen, sensor_field(seen)).to_pylist()
    for frame in range(6):
        passed = exposure_mean(seen.sky.transmission, seen.row_start(frame)[round(y[0])], seen.timing.exposure_s)
        extra = sky_light(seen, sensor_field(seen), frame) - sky_light(cloudy, sensor_field(cloudy), frame)
        measured = passed + extra.sum(dtype=float) / alone.sum(dtype=float)
        assert measured == pytest.approx(expected[frame]["factor"], abs=2e-3)
    assert max(row["factor"] for row in expected) > 2.0
    assert min(row["factor"] for row in expected) < 1.0


def test_the_table_of_frames_has_starts_half_a_second_apart_and_the_transmission():
    cloud = CloudEvent("c", START, START + 1, transmission=0.25)
    table = frames_table(order(sky=SimulatedSky(7, (cloud,), CALM, None), nframe=8)).to_pydict()
    np.testing.assert_allclose(np.diff(table["mjd_start"]) * DAY_S, 0.5, atol=2e-6)
    assert table["transmission"][-1] == pytest.approx(0.25)
    assert table["dx"] == [0.0] * 8


def test_a_slow_mover_is_on_the_frame_where_the_truth_says():
    conditions = Conditions(dance_px=0.0, local_dance_px=0.0, fwhm_scatter=0.0, sky_mag=40.0)
    quiet = order(sky=SimulatedSky(7, (), conditions, None))
    ra, dec = quiet.projection.sky(np.array([150.0]), np.array([100.0]))
    mover = Mover("m", float(ra[0]), float(dec[0]), quiet.utc_mjd, 3.0, -2.0, g=8.0)
    seen = order(sky=SimulatedSky(7, (mover,), conditions, None))
    for row in movers_table(seen).to_pylist():
        without = sky_light(quiet, sensor_field(quiet), row["frame"]).astype(float)
        light = sky_light(seen, sensor_field(seen), row["frame"]) - without
        assert light.sum() / seen.amplifier.e_per_adu == pytest.approx(row["flux_adu"], rel=2e-3)
        rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
        assert (light * columns).sum() / light.sum() == pytest.approx(row["x"], abs=0.01)
        assert (light * rows).sum() / light.sum() == pytest.approx(row["y"], abs=0.01)


def test_stars_stand_on_the_frame_where_the_truth_says():
    """To 0.005 pixel, alone on a dark sky, as centroids of the expected light."""
    conditions = Conditions(dance_px=0.0, local_dance_px=0.0, fwhm_scatter=0.0, sky_mag=40.0)
    seen = order(sky=SimulatedSky(7, (), conditions, None))
    table = stars_table(seen, sensor_field(seen)).to_pandas().sort_values("g")
    inner = table[table.x.between(30, 270) & table.y.between(30, 170)]
    star = inner[inner.neighbour_flux_adu < 2e-4 * inner.flux_adu].iloc[0]
    light = sky_light(seen, sensor_field(seen), 0).astype(float)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
    light[np.hypot(columns - star.x, rows - star.y) > 8] = 0
    assert (light * columns).sum() / light.sum() == pytest.approx(star.x, abs=0.005)
    assert (light * rows).sum() / light.sum() == pytest.approx(star.y, abs=0.005)
    assert light.sum() / seen.amplifier.e_per_adu == pytest.approx(star.flux_adu, rel=0.01)
