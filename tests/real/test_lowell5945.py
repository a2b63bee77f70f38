"""Eighteen observed frames of one field, reduced as one exposure of one sensor: positions and fluxes.

Positions are compared with the WCS in each raw header (tied to Gaia to 0.03 arcsec), whose values are text and refer to
the raw frame of 1432 columns. Fluxes are compared with the noise of photons, sky and read-out, computed here from the
sky level and not from the errors of the reduction.
"""

from __future__ import annotations

import io
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from gozen.archive import keys
from gozen.archive.keys import Processing
from gozen.archive.stores.open_store import open_store
from gozen.calibration.calibrate_frame import detector_of
from gozen.calibration.combine_frames import dark_master, flat_master
from gozen.calibration.master_library import MasterImage, put_master
from gozen.catalog.format.schema import Flag
from gozen.catalog.reference.reference_catalog import read_reference
from gozen.frames.raw import assemble, parse_file
from gozen.instrument.profile import load_profile
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.reduction.sensor_work import SensorWork, SharedInputs
from gozen.settings import AstrometrySettings, Settings

from .conftest import PROFILES

NIGHT = "20190325"
FIRST_COLUMN = 17  # of the active area, 0-based, in the raw frame
GAIN, READ_NOISE = 4.95, 9.3
FRAMES = range(150, 168)


class Reduced:
    """The exposure, reduced, with what the tests look at."""

    def __init__(self, store, commit, folder):
        self.store, self.commit, self.folder = store, commit, folder
        self.rows = pq.read_table(io.BytesIO(store.read(commit.products["staging"].key))).to_pandas()
        data = store.read(commit.products["stack"].key)
        with fits.open(io.BytesIO(data), checksum=True) as hdus:
            hdus.verify("exception")
            self.stack_header, self.stack = hdus[1].header.copy(), np.asarray(hdus[1].data)

    def table(self, column):
        """Return a column as (frames, sources)."""
        return self.rows[column].to_numpy().reshape(len(FRAMES), -1)


@pytest.fixture(scope="session")
def lowell(observed, tmp_path_factory):
    folder = observed("lowell5945")
    store = open_store(tmp_path_factory.mktemp("lowell"))
    profile = load_profile(str(PROFILES / "lowell42.yaml"))

    def cube(pattern):
        return assemble([parse_file(path.read_bytes(), path.name) for path in sorted(folder.glob(pattern))], profile)

    def master(kind, image, taken):
        put_master(store, Processing(NIGHT, kind), "1", MasterImage(kind, image, float(taken.start[0])))

    zero, lamp = cube("zero/*.gz"), cube("flat/*.gz")
    bias = dark_master(zero, detector_of(profile, "1", profile.default_gain))
    master("bias", bias, zero)
    master("flat", flat_master([lamp], detector_of(profile, "1", profile.default_gain, bias)), lamp)
    for path in folder.glob("2019*.gz"):
        store.write(keys.raw(NIGHT, "roach", path.name.removesuffix(".fits.gz")), path.read_bytes())
    raw = tuple(store.list(keys.raw_folder(NIGHT, "roach")))
    reference = read_reference(folder / "truth/lowell5945_starcat_819.fits")
    shared = SharedInputs(store, profile, Settings(astrometry=AstrometrySettings(index_files=())), reference)
    commit = reduce_sensor(SensorWork(Processing(NIGHT, "roach"), "1", raw), shared)
    return Reduced(store, commit, folder)


def header_wcs(path):
    """Return the WCS of a raw header as astropy understands it, with its numbers made numbers."""
    with fits.open(path) as hdus:
        header = hdus[0].header.copy()
    for word in list(header):
        if re.fullmatch(r"CRVAL\d|CRPIX\d|CD\d_\d|PV\d_\d+", word):
            header[word] = float(header[word])
    return WCS(header)


def test_every_frame_is_reduced(lowell):
    commit = lowell.commit
    assert (commit.status, commit.nframe, commit.rejection) == ("reduced", 18, None)
    assert all(frame.rejected is None for frame in commit.frames)
    assert commit.summary.wcs_method == "hint"
    assert commit.summary.wcs_rms_px < 0.1
    assert commit.summary.n_wcs_stars > 500


def test_every_frame_is_solved_within_3_tenths_of_an_arcsecond_of_its_header(lowell):
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(5, 1360, 19), np.linspace(5, 1365, 19)))
    stack = WCS(lowell.stack_header)
    worst = []
    for number, frame in zip(FRAMES, lowell.commit.frames, strict=True):
        truth = header_wcs(lowell.folder / f"20190326.0{number}.fits.gz")
        ra, dec = truth.all_pix2world(x + FIRST_COLUMN, y, 0)
        ours = stack.all_pix2world(x - frame.shift_x_px, y - frame.shift_y_px, 0)
        away = np.hypot((ours[0] - ra) * np.cos(np.deg2rad(dec)), ours[1] - dec) * 3600
        worst.append(away.max())
    assert len(worst) == 18
    assert max(worst) < 0.3, worst


def brightest(lowell, aperture_column):
    """Return the 100 brightest stars of the catalogue that stay below 50,000 ADU on every frame and off the edge."""
    folder = lowell.folder
    x, y = (np.rint(lowell.table(name)[0]).astype(int) for name in ("x", "y"))
    peak = np.zeros(len(x))
    for number, frame in zip(FRAMES, lowell.commit.frames, strict=True):
        with fits.open(folder / f"20190326.0{number}.fits.gz") as hdus:
            raw = hdus[0].data.astype(float)
        px = np.clip(x + round(frame.shift_x_px) + FIRST_COLUMN, 3, raw.shape[1] - 4)
        py = np.clip(y + round(frame.shift_y_px), 3, raw.shape[0] - 4)
        around = [raw[py + j, px + i] for j in range(-3, 4) for i in range(-3, 4)]
        peak = np.maximum(peak, np.max(around, axis=0))
    flags = lowell.table("flags")
    bad = np.any(flags & int(Flag.SATURATED | Flag.EDGE | Flag.DEAD_PIXEL), axis=0)
    flux = np.median(lowell.table(aperture_column), axis=0)
    bad |= flags[0] & int(Flag.UNMATCHED) > 0
    return np.argsort(np.where(bad | (peak >= 50000), np.inf, -flux))[:100]


def predicted(lowell, flux, diameter):
    """Return the noise of each magnitude: photons of the star, sky and read-out in the aperture.

    The sky is the level of the raw frame over its overscan.
    """
    area = np.pi * diameter**2 / 4
    sky = np.array([frame.background_adu for frame in lowell.commit.frames])[:, None]
    electrons = flux * GAIN
    variance = electrons + area * (sky * GAIN + READ_NOISE**2)
    return 1.0857 * np.sqrt(variance) / electrons


@pytest.mark.parametrize(("column", "diameter", "limit"), [("flux", 21, 1.3), ("flux_10", 10, 1.2)])
def test_the_scatter_of_light_curves_is_what_photons_allow(lowell, column, diameter, limit):
    chosen = brightest(lowell, column)
    flux = lowell.table(column)[:, chosen]
    assert (flux > 0).all()
    magnitude = -2.5 * np.log10(flux)
    relative = magnitude - np.median(magnitude, axis=0)
    relative -= np.median(relative, axis=1)[:, None]  # one zero point for each frame
    scatter = 1.4826 * np.median(np.abs(relative - np.median(relative, axis=0)), axis=0)
    ratio = float(np.median(scatter / np.median(predicted(lowell, flux, diameter), axis=0)))
    assert 0.8 < ratio <= limit


def test_the_sky_that_the_prediction_rests_on_is_that_of_the_raw_frames(lowell):
    for number in (150, 167):
        with fits.open(lowell.folder / f"20190326.0{number}.fits.gz") as hdus:
            raw = hdus[0].data.astype(float)
        above = np.median(raw[:, 17:1382]) - np.median(raw[:, 1387:1432])
        assert lowell.commit.frames[number - 150].background_adu == pytest.approx(above, rel=0.03)


def test_the_stated_errors_are_those_of_the_frames(lowell):
    # Two frames differ by 1.12 times what the gain of 4.95 predicts of their sky, and the stated errors know it.
    chosen = brightest(lowell, "flux")
    flux, error = lowell.table("flux")[:, chosen], lowell.table("flux_err")[:, chosen]
    ratio = 1.0857 * error / flux / predicted(lowell, flux, 21)
    assert np.median(ratio) == pytest.approx(1.0, abs=0.15)


def test_times_are_the_middles_of_the_exposures(lowell):
    # A global shutter: all sources of a frame at once. 04:31:07.72 and half of 300 s.
    mjd = lowell.table("mjd")
    assert np.ptp(mjd, axis=1).max() == 0
    assert (mjd[0, 0] - 58568) * 86400 == pytest.approx(4 * 3600 + 31 * 60 + 7.72 + 150, abs=1e-3)
