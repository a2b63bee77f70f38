"""Test the comparison of recovered with injected values: correct values pass, and each kind of error fails a check.

The night of one sensor is made up here, exact except for noise. The demo itself is tested in tests/services.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pytest

from gozen.archive.commit import FrameRecord, Rejection, SensorCommit
from gozen.archive.provenance import Provenance
from gozen.catalog.format.schema import Flag, lightcurve_table
from gozen.demo.compare_stars import compare, fit_flare, happened
from gozen.demo.pair_with_truth import SensorTruth, pair_stars, predicted_scatter
from gozen.simulator.sky.events import Eclipse, Flare, exposure_mean

MJD, FRAME_S, EXPOSURE_S, NFRAME, ZP = 61055.5, 0.5, 0.499904, 18, 24.7
DAY_S, SHAPE, DIAMETER = 86400.0, (1128, 2000), 21.0
FLARE = Flare("flare", 1, peak_mjd=MJD + 3.6 / DAY_S, amplitude=1.5, rise_s=0.4, decay_s=2.0)
ECLIPSE = Eclipse("eclipse", 2, mid_mjd=MJD + 5.4 / DAY_S, depth=0.5, duration_s=4.0, ingress_s=1.0)
STARS = 80


def made_up(exposure="00000003", transmission=1.0) -> SensorTruth:
    rng = np.random.default_rng(7)
    source = np.arange(1, STARS + 1)
    g = np.concatenate([[14.0, 13.3], rng.uniform(11, 15, STARS - 2)])
    x, y = rng.uniform(50, 1950, STARS), rng.uniform(50, 1078, STARS)
    flux = 10 ** (0.4 * (ZP - g))
    first = MJD + (0.25 + y * 0.00041475) / DAY_S
    stars = pa.table(
        {
            "source_id": source,
            "ra": 20 + x * 3.3e-4,
            "dec": 30 + y * 3.3e-4,
            "g": g,
            "x": x,
            "y": y,
            "mjd_first": first,
            "flux_adu": flux,
            "neighbour_flux_adu": np.where(source == 5, 0.3 * flux, 0.0),
        }
    )
    frames = np.arange(NFRAME)
    variables = []
    for event in (FLARE, ECLIPSE):
        mjd = first[event.source_id - 1] + frames * FRAME_S / DAY_S
        factor = exposure_mean(event.factor, mjd - EXPOSURE_S / 2 / DAY_S, EXPOSURE_S)
        for frame in frames:
            row = {"event": event.name, "source_id": event.source_id, "frame": frame, "mjd": mjd[frame]}
            variables.append({**row, "factor": factor[frame]})
    constants = {"frame_s": FRAME_S, "exposure_s": EXPOSURE_S, "sky_adu": 70.0}
    passed = np.broadcast_to(transmission, NFRAME).astype(float)
    table = pa.table({"frame": frames, "transmission": passed})
    sensor, movers = pa.Table.from_pylist([constants]), pa.table({"event": pa.array([], pa.string())})
    return SensorTruth(exposure, "111", 0.23, 2.0, sensor, table, stars, pa.Table.from_pylist(variables), movers)


def recovered(truth: SensorTruth) -> dict[str, np.ndarray]:
    """Return the columns of perfect light curves, with noise; shape (frames * stars,)."""
    rng = np.random.default_rng(11)
    stars = {name: truth.stars[name].to_numpy() for name in truth.stars.column_names}
    frame, star = np.divmod(np.arange(NFRAME * STARS), STARS)
    factor = np.ones(NFRAME * STARS)
    for row in truth.variables.to_pylist():
        factor[row["frame"] * STARS + row["source_id"] - 1] = row["factor"]
    sigma = predicted_scatter(stars["flux_adu"], truth, DIAMETER)[star]
    passed = truth.frames["transmission"].to_numpy()[frame]
    return {
        "source_id": stars["source_id"][star],
        "exposure": np.full(len(star), truth.exposure, object),
        "sensor": np.full(len(star), 111),
        "frame": frame,
        "mjd": stars["mjd_first"][star] + frame * FRAME_S / DAY_S,
        "mag": stars["g"][star] - 2.5 * np.log10(factor * passed) + sigma * rng.normal(size=len(star)),
        "mag_err": sigma,
        "ra_meas": stars["ra"][star] + rng.normal(0, 0.02 / 3600, STARS)[star],
        "dec_meas": stars["dec"][star] + rng.normal(0, 0.02 / 3600, STARS)[star],
        "flags": np.zeros(len(star), np.uint16),
    }


def commit(exposure="00000003", transmission=1.0) -> SensorCommit:
    passed = np.broadcast_to(transmission, NFRAME)
    frames = tuple(FrameRecord(frame=n, zero_point=ZP + 2.5 * np.log10(passed[n])) for n in range(NFRAME))
    return SensorCommit(
        night="20260115",
        exposure=exposure,
        run="r1",
        sensor="111",
        frame_id="f",
        object="o",
        data_type="OBJECT",
        nframe=NFRAME,
        status="reduced",
        frames=frames,
        provenance=Provenance(code_version="1"),
    )


def events() -> pa.Table:
    both = (FLARE, ECLIPSE)
    return pa.table(
        {
            "name": [one.name for one in both],
            "kind": [one.kind for one in both],
            "parameters": [json.dumps(asdict(one)) for one in both],
        }
    )


def checks(columns, truths=None, commits=None):
    found = compare(
        lightcurve_table(columns),
        truths or [made_up()],
        events(),
        commits or [commit()],
        diameter_px=DIAMETER,
        shape=SHAPE,
    )
    return {check.name: check for check in found}


def failed(found):
    return {name for name, check in found.items() if not check.passed}


BIAS, SCATTER = "magnitudes, bias", "scatter, divided by the noise of photons and read-out"
PLACE, TIME = "positions, rms of the worse axis", "times, largest error"
FOUND, REDUCED = "stars found and matched", "sensors reduced"
AMPLITUDE, PEAK = "flare, recovered over injected amplitude − 1", "flare, error of the time"
DEPTH, CLOUD = "eclipse, error of the depth", "cloud, rms of the zero points"


def test_what_was_injected_passes():
    found = checks(recovered(made_up()))
    assert set(found) == {REDUCED, BIAS, SCATTER, PLACE, TIME, FOUND, AMPLITUDE, PEAK, DEPTH}
    assert failed(found) == set()
    assert found[SCATTER].measured == pytest.approx(1.0, abs=0.08)
    assert all(check.basis for check in found.values())


def of_source(columns, source):
    return columns["source_id"] == source


def shifted_magnitudes(columns):
    columns["mag"] = columns["mag"] + 0.02


def noisier(columns):
    columns["mag"] = columns["mag"] + columns["mag_err"] * np.random.default_rng(3).normal(size=len(columns["mag"]))


def displaced(columns):
    columns["dec_meas"] = columns["dec_meas"] + 0.1 / 3600


def half_a_row_late(columns):
    columns["mjd"] = columns["mjd"] + 0.002 / DAY_S


def one_frame_late(columns):
    which = of_source(columns, 1)
    columns["mag"][which] = np.roll(columns["mag"][which], 1)


def shallow_flare(columns):
    which = of_source(columns, 1)
    columns["mag"][which] = 14.0 - 2.5 * np.log10(1 + 0.9 * (10 ** (-0.4 * (columns["mag"][which] - 14.0)) - 1))


def shallow_eclipse(columns):
    columns["mag"][of_source(columns, 2)] -= 0.1


def lost_stars(columns):
    keep = columns["source_id"] > 6
    keep |= columns["source_id"] < 3
    for name in columns:
        columns[name] = columns[name][keep]


@pytest.mark.parametrize(
    ("spoil", "red"),
    [
        (shifted_magnitudes, {BIAS}),
        (noisier, {SCATTER}),
        (displaced, {PLACE}),
        (half_a_row_late, {TIME}),
        (one_frame_late, {PEAK}),
        (shallow_flare, {AMPLITUDE}),
        (shallow_eclipse, {DEPTH}),
        (lost_stars, {FOUND}),
    ],
)
def test_what_is_wrong_goes_red(spoil, red):
    columns = recovered(made_up())
    spoil(columns)
    assert failed(checks(columns)) >= red
    assert len(failed(checks(columns))) <= len(red) + 1


def test_a_sensor_that_was_refused_is_counted():
    refused = commit().model_copy(update={"status": "rejected", "rejection": Rejection(name="NoisyFrame", message="m")})
    assert failed(checks(recovered(made_up()), commits=[refused])) == {REDUCED}


def test_nothing_recovered_fails_every_number_and_says_so():
    columns = {name: values[:0] for name, values in recovered(made_up()).items()}
    found = checks(columns)
    assert failed(found) == set(found) - {REDUCED}
    assert found[BIAS].recovered == "nothing measured"


def test_a_cloud_is_left_out_of_the_magnitudes_and_compared_by_itself():
    passing = np.r_[np.ones(6), np.full(6, 0.8), np.ones(6)]
    cloudy = made_up("00000004", passing)
    columns = [recovered(made_up()), recovered(cloudy)]
    both = {name: np.concatenate([one[name] for one in columns]) for name in columns[0]}
    truths = [made_up(), cloudy]
    found = checks(both, truths, [commit(), commit("00000004", passing)])
    assert failed(found) == set()
    assert CLOUD in found
    assert failed(checks(both, truths, [commit(), commit("00000004")])) == {CLOUD}


def test_an_event_counts_where_the_sky_was_clear_and_it_happened():
    truth = made_up()
    assert happened(truth, "flare")
    assert not happened(made_up(transmission=0.8), "flare")
    quiet = truth.variables.set_column(4, "factor", pa.array(np.ones(len(truth.variables))))
    assert not happened(replace(truth, variables=quiet), "flare")
    assert not happened(truth, "nova")


def test_a_flare_is_timed_finer_than_a_frame():
    mjd = MJD + (0.25 + np.arange(NFRAME) * FRAME_S) / DAY_S
    for delay in (-1.2, -0.13, 0.0, 0.31):
        seen = exposure_mean(FLARE.factor, mjd - (EXPOSURE_S / 2 + delay) / DAY_S, EXPOSURE_S)
        amplitude, found = fit_flare(mjd, 1 + 0.8 * (seen - 1), np.full(NFRAME, 0.02), FLARE, EXPOSURE_S)
        assert found == pytest.approx(delay, abs=0.006)
        assert amplitude == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("flag", [Flag.SATURATED, Flag.EDGE, Flag.DEAD_PIXEL])
def test_flagged_blended_and_variable_stars_are_not_compared(flag):
    columns = recovered(made_up())
    columns["flags"][of_source(columns, 9)] = flag
    stars = pair_stars(lightcurve_table(columns), made_up(), DIAMETER)
    assert set(stars.source_id[~stars.isolated].tolist()) == {1, 2, 5, 9}


def test_the_limit_is_that_of_photons_where_stars_are_bright():
    truth = made_up()
    bright = predicted_scatter(np.array([1e7]), truth, DIAMETER)[0]
    assert bright == pytest.approx(2.5 / np.log(10) / np.sqrt(1e7 * 0.23), rel=0.01)
