"""Test the rows of one sensor's exposure: schema, nulls, calibrated values, flags, times by row and frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gozen.archive.keys import Processing
from gozen.catalog.format.schema import Flag, lightcurve_schema
from gozen.catalog.reference.reference_catalog import ReferenceCatalogue
from gozen.frames.row_times import mid_exposure
from gozen.lightcurves.sensor_rows import FrameRows, RowLabels, SensorSources, sensor_rows
from gozen.lightcurves.zero_point import ZeroPoint
from gozen.photometry.forced_photometry import ApertureSet, FrameFluxes

PROCESSING = Processing("20261120", "00000042", "r2")
ZERO = ZeroPoint(24.7, 0.01, 0.1, 0.02, 1.2, 0.005, np.ones(2, bool))
STARS = ReferenceCatalogue(
    source_id=np.array([5_000_000_000_000_000_001, 77]),
    ra=np.array([150.1, 150.2]),
    dec=np.array([2.1, 2.2]),
    pmra=np.array([5.0, np.nan]),
    pmdec=np.array([-3.0, np.nan]),
    parallax=np.array([1.5, np.nan]),
    ruwe=np.array([1.0, 1.1]),
    g=np.array([12.0, 13.0]),
    bp_rp=np.array([0.8, np.nan]),
)
SOURCES = SensorSources(
    x=np.array([10.0, 20.0, 30.0]),
    y=np.array([100.0, 200.0, 300.0]),
    ra=np.array([150.1001, 150.2001, 150.3]),
    dec=np.array([2.1, 2.2, 2.3]),
    star=np.array([1, 0, -1]),
    stars=STARS,
    blended=np.array([False, True, False]),
    scale_arcsec=1.189,
)


def frame(number, scale=1.0, flags=(0, 0, 0)):
    flux = np.array([[1000.0, 20000.0, -50.0], [800.0, 17000.0, -10.0]]) * scale
    return FrameRows(
        number,
        61364.5 + number * 0.5 / 86400 + SOURCES.y * 1e-9,
        FrameFluxes(
            flux,
            np.abs(flux) / 100,
            flux[0] * 1.02,
            np.array([8.0, 9.0, 10.0]),
            SOURCES.y,
            np.array(flags, np.uint16),
        ),
    )


def table(frames=None, zero=ZERO, sources=SOURCES, sensor="111"):
    labels = RowLabels(PROCESSING, sensor)
    return sensor_rows(sources, frames or [frame(0), frame(2, 0.5)], ApertureSet((21, 10), 5.0), zero, labels)


def rows(**given):
    return table(**given).to_pandas()


def test_the_table_has_the_schema_of_light_curves():
    found = table()
    assert found.schema.equals(lightcurve_schema((10,)), check_metadata=True)
    assert found.num_rows == 6
    assert set(found.column("origin").to_pylist()) == {"stack"}
    assert set(found.column("run").to_pylist()) == {"r2"}
    constant = {name: found.column(name)[0].as_py() for name in ("night", "exposure", "sensor")}
    assert constant == {"night": 20261120, "exposure": "00000042", "sensor": 111}
    assert found.column("frame").to_pylist() == [0, 0, 0, 2, 2, 2]


def test_fluxes_stand_where_they_were_measured():
    found = rows()
    assert found.flux.tolist() == [1000, 20000, -50, 500, 10000, -25]
    assert found.flux_10.tolist() == [800, 17000, -10, 400, 8500, -5]
    np.testing.assert_allclose(found.flux_err_10, np.abs(found.flux_10) / 100, rtol=1e-6)
    np.testing.assert_allclose(found.flux_auto, found.flux * 1.02, rtol=1e-6)
    assert found.x.tolist() == [10, 20, 30] * 2


def test_a_matched_source_has_its_star_and_an_unmatched_one_nulls():
    found = table().slice(0, 3).to_pydict()
    assert found["source_id"] == [77, 5_000_000_000_000_000_001, None]
    assert found["ra"] == [150.2, 150.1, None]
    assert found["dec"] == [2.2, 2.1, None]
    assert found["phot_g_mean_mag"] == [13.0, 12.0, None]
    assert found["pmra"] == [None, 5.0, None]
    assert found["bp_rp"][0] is None
    assert found["ra_meas"] == [150.1001, 150.2001, 150.3]
    assert found["_healpix_29"] == [None] * 3


def test_magnitudes_errors_and_limits():
    found = rows().iloc[:3]
    expected = -2.5 * np.log10([1000, 20000]) + 24.7 + 0.1 * np.array([1.2, 0.8])
    np.testing.assert_allclose(found.mag[:2], expected, atol=2e-6)
    np.testing.assert_allclose(found.mag_err[:2], 1.0857 / 100, rtol=1e-4)
    assert np.isnan(found.mag[2])
    assert np.isnan(found.mag_err[2])
    limit = -2.5 * np.log10(5 * np.array([8, 9, 10])) + 24.7 + 0.1 * np.array([1.2, 0.8, 1.2])
    np.testing.assert_allclose(found.limit, limit, atol=2e-6)
    np.testing.assert_allclose(found[["zp", "zp_err", "colour_term"]].iloc[0], [24.7, 0.01, 0.1], rtol=1e-6)


def test_flags_of_the_frame_and_of_the_source_come_together():
    found = rows(frames=[frame(0, flags=(Flag.SATURATED, 0, Flag.EDGE))])
    assert found["flags"].tolist() == [
        Flag.SATURATED | Flag.NO_COLOUR,
        Flag.BLENDED,
        Flag.EDGE | Flag.UNMATCHED | Flag.NO_COLOUR,
    ]


def test_without_a_calibration_magnitudes_are_null_and_the_flags_say_so():
    found = table(zero=None)
    for name in ("mag", "mag_err", "limit", "zp", "zp_err", "colour_term"):
        assert found.column(name).null_count == 6
    assert all(flags & Flag.NO_CALIBRATION for flags in found.column("flags").to_pylist())
    assert found.column("flux").null_count == 0


def test_without_a_catalogue_every_source_is_unmatched():
    none = np.zeros(0)
    empty = ReferenceCatalogue(np.zeros(0, np.int64), *(none,) * 8)
    found = table(sources=replace(SOURCES, stars=empty, star=np.full(3, -1)), zero=None)
    assert found.column("source_id").null_count == 6
    assert all(flags & Flag.UNMATCHED for flags in found.column("flags").to_pylist())


def test_no_sources_make_an_empty_table():
    none = np.zeros(0)
    nobody = SensorSources(none, none, none, none, np.zeros(0, np.intp), STARS, np.zeros(0, bool), 1.189)
    nothing = FrameFluxes(np.zeros((2, 0)), np.zeros((2, 0)), none, none, none, np.zeros(0, np.uint16))
    found = table([FrameRows(0, none, nothing)], sources=nobody)
    assert found.num_rows == 0
    assert found.schema.equals(lightcurve_schema((10,)))


def test_a_time_is_that_of_the_row_on_the_frame_to_the_microsecond():
    # UTC 2026-11-20T12:00:00.25, frame 7 of 0.5 s, row 812.25 of 0.00041475 s, half of 0.499904 s.
    start = 61364.5 + (0.25 + 7 * 0.5) / 86400
    by_hand = 43200 + 0.25 + 3.5 + 812.25 * 0.00041475 + 0.249952
    assert (float(mid_exposure(start, 812.25, 0.00041475, 0.499904)) - 61364) * 86400 == pytest.approx(
        by_hand, abs=1e-6
    )


def test_a_global_shutter_has_one_time_for_all_rows():
    times = mid_exposure(61364.5, np.array([0.0, 500.0, 1369.0]), 0.0, 300.0)
    np.testing.assert_array_equal(times, times[0])
    assert (times[0] - 61364.5) * 86400 == pytest.approx(150.0, abs=1e-5)
