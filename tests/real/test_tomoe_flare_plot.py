"""The plot of a flare of an M dwarf that Tomo-e Gozen observed at 1 Hz: it has every point, and the peak in time."""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pytest

from gozen.catalog.format.schema import Flag, lightcurve_table
from gozen.plots.light_curve_plot import draw_lightcurves
from gozen.plots.style import picture


@pytest.fixture(scope="module")
def flare(observed):
    """Return MJD, flux normalised to the quiet star's scatter, and seconds since the peak, 3,240 points."""
    with gzip.open(observed("tomoe/14_Mdwarfs.csv.gz"), "rt") as lines:
        rows = list(csv.DictReader(lines))
    return tuple(np.array([float(row[name]) for row in rows]) for name in ("MJD_timestamps", "nor", "timestamps"))


@pytest.fixture(scope="module")
def figure(flare):
    mjd, flux, _ = flare
    count = len(mjd)
    rows = lightcurve_table(
        {
            "source_id": np.full(count, 1),
            "mjd": mjd,
            "flux": flux,
            "flux_err": np.ones(count),
            "flags": np.full(count, Flag.NO_CALIBRATION, np.uint16),
        }
    )
    return draw_lightcurves(rows, title="M dwarf", unit="")


def test_every_second_is_a_point_of_one_visit(figure, flare):
    mjd, flux, _ = flare
    (panel,) = figure.axes
    (line,) = [line for line in panel.lines if line.get_gid() == "matched"]
    assert len(line.get_xdata()) == 3240
    np.testing.assert_allclose(np.sort(line.get_ydata()), np.sort(flux.astype(np.float32)))
    assert line.get_xdata()[-1] == pytest.approx(np.ptp(mjd) * 86400, abs=1e-3)


def test_the_flare_peaks_where_the_observers_say(figure, flare):
    _, flux, since_peak = flare
    line = next(line for line in figure.axes[0].lines if line.get_gid() == "matched")
    elapsed = np.asarray(line.get_xdata())
    peak = elapsed[np.argmax(line.get_ydata())]
    assert peak - elapsed[0] == pytest.approx(since_peak[np.argmax(flux)] - since_peak.min(), abs=0.5)


def test_it_is_labelled_and_small_enough_to_send(figure):
    panel = figure.axes[0]
    assert panel.get_ylabel() == "relative flux"
    assert "2019-11-29 14:32:" in panel.get_xlabel()
    assert "not calibrated" in panel.get_title(loc="left")
    assert len(picture(figure, "png")) < 500_000
