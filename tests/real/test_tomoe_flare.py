"""An observed Tomo-e Gozen light curve of a flare in the light-curve table: appended, looked up, and read back equal.

Its fluxes are relative to the quiescent star, although the column's unit is ADU. Plots are tested elsewhere.
"""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pyarrow as pa
import pytest

from gozen.archive.stores.open_store import open_store
from gozen.catalog import open_catalog
from gozen.catalog.format import healpix
from gozen.catalog.format.schema import Flag, lightcurve_schema, lightcurve_table
from gozen.catalog.write.append import append_night
from gozen.instrument.profile import load_profile
from gozen.instrument.read_header import night_of_mjd

RA, DEC = 127.6, 27.2


@pytest.fixture(scope="module")
def flare(observed):
    """Return MJD and normalised flux of the 3,240 points, one each second."""
    with gzip.open(observed("tomoe/14_Mdwarfs.csv.gz"), "rt") as lines:
        rows = list(csv.DictReader(lines))
    return np.array([float(row["MJD_timestamps"]) for row in rows]), np.array([float(row["nor"]) for row in rows])


@pytest.fixture(scope="module")
def night(flare):
    return night_of_mjd(float(flare[0][0]), load_profile("tomoe").site)


def rows_of(flare, night):
    mjd, flux = flare
    count = len(mjd)
    source = int(healpix.pixels(np.array([RA]), np.array([DEC]), 12)[0]) << 35 | 14 << 7
    return source, lightcurve_table(
        {
            "source_id": np.full(count, source),
            "ra": np.full(count, RA),
            "dec": np.full(count, DEC),
            "ra_meas": np.full(count, RA),
            "dec_meas": np.full(count, DEC),
            "mjd": mjd,
            "flux": flux,
            "flags": np.full(count, Flag.NO_CALIBRATION, np.uint16),
            "origin": pa.repeat("stack", count),
            "night": pa.repeat(int(night), count),
            "exposure": pa.repeat("14", count),
            "run": pa.repeat("r1", count),
            "sensor": pa.repeat(111, count),
            "frame": np.arange(count),
        }
    )


def test_it_reads_back_equal_by_id_and_by_place(flare, night, tmp_path):
    mjd, flux = flare
    assert len(mjd) == 3240
    source, rows = rows_of(flare, night)
    store = open_store(tmp_path)
    report = append_night(store, "lightcurves", night, [rows])
    assert (report.rows_added, report.new_objects) == (3240, 0)
    catalog = open_catalog(store, "lightcurves")
    order = np.argsort(mjd, kind="stable")
    for found in (catalog.lightcurve(source), catalog.cone(RA, DEC, 1.0)):
        assert found.num_rows == 3240
        np.testing.assert_array_equal(found.column("mjd").to_numpy(), mjd[order])
        np.testing.assert_array_equal(found.column("flux").to_numpy(), flux[order].astype(np.float32))
        assert set(found.column("source_id").to_pylist()) == {source}
        assert found.column("mag").null_count == 3240
        assert set(found.schema.names) >= set(lightcurve_schema().names)


def test_the_flare_is_still_there(flare, night, tmp_path):
    source, rows = rows_of(flare, night)
    store = open_store(tmp_path)
    append_night(store, "lightcurves", night, [rows])
    found = open_catalog(store, "lightcurves").lightcurve(source, ["mjd", "flux"])
    flux = found.column("flux").to_numpy()
    quiet, noise = np.median(flux), 1.4826 * np.median(np.abs(flux - np.median(flux)))
    smooth = np.convolve(flux, np.ones(15) / 15, mode="valid")
    assert smooth.max() > quiet + 6 * noise / np.sqrt(15)


def test_appended_twice_it_is_there_once(flare, night, tmp_path):
    _, rows = rows_of(flare, night)
    store = open_store(tmp_path)
    append_night(store, "lightcurves", night, [rows])
    again = append_night(store, "lightcurves", night, [rows])
    assert again.rows_added == 0
    assert open_catalog(store, "lightcurves").cone(RA, DEC, 5.0).num_rows == 3240
