"""A simulated exposure of a complete Tomo-e sensor, reduced, and compared with its true values.

Covered: magnitudes, their scatter compared with the noise of star, sky and read-out, times by row, positions, and a
flare; then the same sensor while the telescope drifts by 40 pixels over the sequence. Not covered: clouds and movers.
"""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gozen.archive.keys import Processing
from gozen.catalog.format.schema import Flag
from gozen.instrument.profile import load_profile
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.reduction.sensor_work import SensorWork
from gozen.simulator import truth_tables
from gozen.simulator.simulate_night import lone_stars
from gozen.simulator.sky.events import Flare
from gozen.simulator.sky.scene import Conditions

from ..reductions import NIGHT, SENSOR, simulated_night

pytestmark = pytest.mark.xdist_group("simulated truth")  # its exposures are reduced once
BAD = int(Flag.SATURATED | Flag.EDGE | Flag.DEAD_PIXEL | Flag.BLENDED)
DRIFT_PX_S = 40 / 8.5
"""40 pixels from the first to the last of 18 frames of 0.5 s."""


class Compared:
    """A reduced exposure beside its truth, row by row."""

    def __init__(self, night):
        self.night = night
        work = SensorWork(Processing(NIGHT, "00000003"), SENSOR, (night.raw_key,), pipelines=("wcs", "stack"))
        self.commit = reduce_sensor(work, night.shared_inputs())
        assert self.commit.rejection is None
        self.sensor = self.table("sensor").iloc[0]
        self.frames = self.table("frames")
        self.stars = self.table("stars")
        rows = pq.read_table(io.BytesIO(night.store.read(self.commit.products["staging"].key))).to_pandas()
        self.every_row = rows
        self.rows = rows.merge(self.stars, on="source_id", suffixes=("", "_true"))
        varying = set(self.table("variables").source_id.dropna())
        clean = self.rows["flags"].to_numpy() & BAD == 0
        lonely = self.rows.neighbour_flux_adu < 0.005 * self.rows.flux_adu
        self.clean = self.rows[clean & lonely & ~self.rows.source_id.isin(varying)]

    def table(self, kind):
        key = truth_tables.sensor_key(NIGHT, "00000003", SENSOR, kind)
        return truth_tables.read_truth(self.night.store, key).to_pandas()

    def magnitude_bin(self, low):
        return self.clean[(self.clean.g >= low) & (self.clean.g < low + 1)]


def flare_of(order):
    star = lone_stars(order, 12.5, 13.5).stars
    middle = order.utc_mjd + 0.45 * order.nframe * order.timing.frame_s / 86400
    return [Flare("flare", int(star.source_id[0]), peak_mjd=middle, amplitude=1.5, rise_s=0.4, decay_s=2.0)]


@pytest.fixture(scope="session")
def exposure(tmp_path_factory):
    night = simulated_night(
        tmp_path_factory.mktemp("truth"), load_profile("tomoe"), nframe=18, seed=11, events=flare_of
    )
    return Compared(night)


@pytest.fixture(scope="session")
def drifting(tmp_path_factory):
    night = simulated_night(
        tmp_path_factory.mktemp("drift"),
        load_profile("tomoe"),
        nframe=18,
        seed=11,
        conditions=Conditions(drift_px_s=DRIFT_PX_S),
    )
    return Compared(night)


@pytest.fixture(scope="session", params=["steady", "drifting"])
def compared(request):
    return request.getfixturevalue("exposure" if request.param == "steady" else "drifting")


def predicted_error(compared, rows):
    """Return the error of a magnitude that star, sky and read-out allow in the 21-pixel aperture.

    From the truth alone: the star's and the sky's ADU, and the profile's gain and read noise.
    """
    gain = load_profile("tomoe").gains[compared.sensor.gain]
    area = math.pi * 10.5**2
    star_e = rows.flux_adu * gain.e_per_adu
    sky_e = area * compared.sensor.sky_adu * gain.e_per_adu
    return 1.0857 * np.sqrt(star_e + sky_e + area * gain.read_noise_e**2) / star_e


@pytest.mark.parametrize("low", [11, 12, 13, 14])
def test_magnitudes_are_unbiased_to_a_hundredth(compared, low):
    rows = compared.magnitude_bin(low)
    assert len(rows.source_id.unique()) >= 4
    assert np.median(rows.mag - rows.g) == pytest.approx(0.0, abs=0.01)


def test_the_calibration_is_that_of_the_simulation(compared):
    summary = compared.commit.summary
    assert summary.zero_point == pytest.approx(compared.sensor.zp_adu, abs=0.01)
    assert summary.colour_term == pytest.approx(compared.sensor.colour_term, abs=0.01)


def scatter_over_limit(compared, rows):
    """Return each star's standard deviation over what star, sky and read-out allow; stars on 15 frames and more."""
    stars = rows.groupby("source_id")
    whole = stars.mag.count() >= 15
    return (stars.mag.std() / predicted_error(compared, stars.first()))[whole]


@pytest.mark.parametrize("low", [11, 12, 13, 14])
def test_the_scatter_is_what_star_sky_and_read_out_allow(exposure, low):
    ratio = scatter_over_limit(exposure, exposure.magnitude_bin(low))
    assert len(ratio) >= 4
    assert 0.8 < float(np.median(ratio)) <= 1.1


def test_the_scatter_stays_so_for_stars_that_drift_over_the_sensor(drifting):
    bright = drifting.clean[(drifting.clean.g >= 11) & (drifting.clean.g < 15)]
    ratio = scatter_over_limit(drifting, bright)
    assert len(ratio) > 40
    assert float(np.median(ratio)) <= 1.1


def test_the_stated_errors_are_the_true_ones(compared):
    rows = compared.clean[(compared.clean.g > 11) & (compared.clean.g < 15)]
    assert np.median(rows.mag_err / predicted_error(compared, rows)) == pytest.approx(1.0, abs=0.06)


def test_times_are_true_to_a_millisecond_on_every_row(exposure):
    rows = exposure.rows
    expected = rows.mjd_first + rows.frame * exposure.sensor.frame_s / 86400
    assert np.abs((rows.mjd - expected) * 86400).max() < 1e-3
    assert np.ptp(rows[rows.frame == 0].mjd) * 86400 > 0.4  # the rolling shutter shows


def test_positions_are_true_to_5_hundredths_of_an_arcsecond(compared):
    one = compared.clean[(compared.clean.frame == 0) & (compared.clean.g < 14)]
    east = (one.ra_meas - one.ra_true) * np.cos(np.deg2rad(one.dec_true)) * 3600
    north = (one.dec_meas - one.dec_true) * 3600
    assert len(one) > 30
    assert abs(np.median(east)) < 0.02
    assert abs(np.median(north)) < 0.02
    assert np.sqrt(np.mean(east**2)) <= 0.05
    assert np.sqrt(np.mean(north**2)) <= 0.05


def test_the_solution_holds_over_the_whole_sensor(exposure):
    summary = exposure.commit.summary
    assert summary.wcs_rms_px < 0.1
    seen = exposure.rows[(exposure.rows.frame == 0) & (exposure.rows.g < 15)]
    corner = seen[(np.abs(seen.x - 1000) > 700) & (np.abs(seen.y - 564) > 350)]
    assert len(corner) > 10
    away = np.hypot(
        (corner.ra_meas - corner.ra_true) * np.cos(np.deg2rad(corner.dec_true)), corner.dec_meas - corner.dec_true
    )
    assert np.median(away) * 3600 < 0.08


def test_every_frame_is_registered(compared):
    found = pd.DataFrame([frame.model_dump() for frame in compared.commit.frames])
    dx = found.shift_x_px - compared.frames.dx
    dy = found.shift_y_px - compared.frames.dy
    # The stack has a place of its own; what is left is the error of each frame.
    assert np.std(dx) < 0.03
    assert np.std(dy) < 0.03
    assert np.ptp(found.shift_x_px) == pytest.approx(np.ptp(compared.frames.dx), abs=0.1)


def test_the_drift_is_40_pixels(drifting):
    assert np.ptp(drifting.frames.dx) == pytest.approx(40, abs=1.5)
    on_every_frame = drifting.every_row.groupby(["x", "y"]).frame.count()
    assert (on_every_frame == 18).all()


def test_times_follow_a_drifting_star_over_the_rows(drifting):
    rows = drifting.clean
    expected = rows.mjd_first + rows.frame * drifting.sensor.frame_s / 86400
    assert np.abs((rows.mjd - expected) * 86400).max() < 1e-3


def test_the_flare_is_recovered(exposure):
    true = exposure.table("variables")
    star = exposure.rows[exposure.rows.source_id == true.source_id.iloc[0]].sort_values("frame")
    assert len(star) == 18
    factor = star.flux.to_numpy() / star.flux_adu.to_numpy()
    error = star.flux_err.to_numpy() / star.flux_adu.to_numpy()
    assert np.abs((star.mjd.to_numpy() - true.mjd.to_numpy()) * 86400).max() < 1e-3
    # Each point within its error (and the flat's half a percent), the height to 3 %, the brightest frame the true one.
    pull = (factor - true.factor.to_numpy()) / np.hypot(error, 0.005 * factor)
    assert np.sqrt(np.mean(pull**2)) < 1.5
    assert factor.max() == pytest.approx(true.factor.max(), rel=0.03)
    assert int(np.argmax(factor)) == int(np.argmax(true.factor))


def test_limits_are_5_sigma_of_the_sky(exposure):
    faint = exposure.rows[(exposure.rows.g > 16) & exposure.rows.limit.notna()]
    gain = load_profile("tomoe").gains["high"]
    area = math.pi * 10.5**2
    noise = math.sqrt(area * (exposure.sensor.sky_adu * gain.e_per_adu + gain.read_noise_e**2)) / gain.e_per_adu
    expected = exposure.sensor.zp_adu - 2.5 * math.log10(5 * noise)
    assert np.median(faint.limit - exposure.sensor.colour_term * faint.bp_rp) == pytest.approx(expected, abs=0.05)


def test_what_is_not_detected_says_so(exposure):
    rows = exposure.every_row
    missed = rows["flags"].to_numpy() & int(Flag.NOT_DETECTED) > 0
    np.testing.assert_array_equal(missed, rows.flux < 5 * rows.flux_err)
    assert 0.1 < missed.mean() < 0.9
