"""Asteroids in eighteen observed frames: found without a hint, measured, recorded in the log and exported.

Twelve more frames, on which the Moon rises and the seeing gets worse, must give no further objects. The reference
positions of (5945) and of the second mover were measured by others on each of the eighteen frames, with the frames'
WCS, which is tied to Gaia. Not covered: completeness as a function of signal-to-noise, for which objects are simulated.
"""

from __future__ import annotations

import csv
import io
from collections import Counter

import numpy as np
import pytest
from astropy.io import fits

from gozen.archive import keys
from gozen.archive.commit import put_product
from gozen.archive.keys import Processing
from gozen.archive.log.observation_log import rebuild_night
from gozen.archive.log.search_log import LogSelection, search_tracklets
from gozen.archive.stores.open_store import open_store
from gozen.calibration.calibrate_frame import detector_of
from gozen.calibration.combine_frames import dark_master, flat_master
from gozen.calibration.master_library import MasterImage, put_master
from gozen.catalog.reference.reference_catalog import read_reference
from gozen.frames.raw import assemble, parse_file
from gozen.instrument.profile import load_profile
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.reduction.sensor_work import SensorWork, SharedInputs
from gozen.resources.sky_circle import SkyCircle
from gozen.settings import Settings

from .conftest import PROFILES

NIGHT = "20190325"
FIRST = 150


class Reduced:
    def __init__(self, store, commit):
        self.store, self.commit = store, commit
        self.movers = [one for one in commit.tracklets if one.kind == "mover"]


@pytest.fixture(scope="module")
def truth(observed):
    with (observed("lowell5945") / "truth" / "lowell5945_movers_truth.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if FIRST <= int(row["frame"]) < FIRST + 18]
    return {name: [row for row in rows if row["object"] == name] for name in ("5945", "unknown-B")}


@pytest.fixture(scope="module")
def shared_inputs(observed, tmp_path_factory):
    folder = observed("lowell5945")
    store, profile = open_store(tmp_path_factory.mktemp("movers")), load_profile(str(PROFILES / "lowell42.yaml"))

    def cube(names):
        return assemble([parse_file(path.read_bytes(), path.name) for path in sorted(folder.glob(names))], profile)

    bias = dark_master(cube("zero/*.gz"), detector_of(profile, "1", "amp1"))
    flat = flat_master([cube("flat/*.gz")], detector_of(profile, "1", "amp1", bias))
    for kind, image in (("bias", bias), ("flat", flat)):
        put_master(store, Processing(NIGHT, kind, "masters"), "1", MasterImage(kind, image, 58568.0))
    reference = read_reference(str(folder / "truth" / "lowell5945_starcat_819.fits"))
    return SharedInputs(store, profile, Settings(archive=str(store.url)), reference)


def reduce_frames(shared, exposure, paths):
    raw = []
    for path in paths:
        key = keys.raw(NIGHT, exposure, path.name.removesuffix(".fits.gz"))
        shared.store.write(key, path.read_bytes())
        raw.append(key)
    commit = reduce_sensor(SensorWork(Processing(NIGHT, exposure), "1", tuple(raw), ("wcs", "neo")), shared)
    assert commit.status == "reduced", commit.rejection
    return Reduced(shared.store, commit)


@pytest.fixture(scope="module")
def reduced(observed, shared_inputs):
    return reduce_frames(shared_inputs, "roachapproach", sorted(observed("lowell5945").glob("2019*.gz")))


@pytest.fixture(scope="module")
def moonlit(observed, shared_inputs):
    dark, moon = (sorted(observed(name).glob("2019*.gz")) for name in ("lowell5945", "lowell5945_moon"))
    return reduce_frames(shared_inputs, "moonrise", [*dark, *moon])


def offsets(record, rows):
    """Return right ascension and declination of a tracklet's points minus the truth's, arcsec."""
    by_frame = {int(row["frame"]) - FIRST: row for row in rows}
    assert [point.frame for point in record.points] == sorted(by_frame)
    d_ra = [(p.ra - float(by_frame[p.frame]["ra"])) * np.cos(np.radians(p.dec)) * 3600 for p in record.points]
    d_dec = [(p.dec - float(by_frame[p.frame]["dec"])) * 3600 for p in record.points]
    return np.array(d_ra), np.array(d_dec)


def nearest(reduced, rows):
    row = rows[9]
    ra, dec = float(row["ra"]), float(row["dec"])
    return min(reduced.movers, key=lambda one: (one.points[9].ra - ra) ** 2 + (one.points[9].dec - dec) ** 2)


@pytest.mark.parametrize("name", ["5945", "unknown-B"])
def test_a_mover_is_one_tracklet_whose_places_are_the_truths(reduced, truth, name):
    record = nearest(reduced, truth[name])
    assert record.n_frames == 18
    for offset in offsets(record, truth[name]):
        assert abs(offset.mean()) < 0.1
        assert offset.std() < 0.1
    assert record.significance > 10
    assert record.rms_arcsec < 0.1


def test_times_and_rates_are_those_of_the_truth(reduced, truth):
    for rows in truth.values():
        record = nearest(reduced, rows)
        mjd = np.array([float(row["mjd_mid"]) for row in rows])
        np.testing.assert_allclose([point.mjd for point in record.points], mjd, atol=2.0 / 86400)
        minutes = (mjd - mjd.mean()) * 1440
        ra, dec = (np.array([float(row[name]) for row in rows]) * 3600 for name in ("ra", "dec"))
        v_ra = np.polyfit(minutes, ra - ra.mean(), 1)[0] * np.cos(np.radians(record.dec_mid))
        v_dec = np.polyfit(minutes, dec - dec.mean(), 1)[0]
        assert record.rate_arcsec_min == pytest.approx(np.hypot(v_ra, v_dec), rel=0.01)
        assert record.position_angle_deg == pytest.approx(np.degrees(np.arctan2(v_ra, v_dec)) % 360, abs=1)
        assert record.rate_err_arcsec_min < 0.01 * record.rate_arcsec_min


def test_light_of_the_movers_changes_as_in_the_truth(reduced, truth):
    for rows in truth.values():
        record = nearest(reduced, rows)
        flux = np.array([point.flux for point in record.points])
        known = np.array([float(row["flux_r6"]) for row in rows])
        ratio = flux / known
        assert ratio.std() / ratio.mean() < 0.03


def test_no_more_than_two_further_tracklets(reduced):
    assert reduced.commit.summary.n_tracklets == len(reduced.commit.tracklets)
    assert len(reduced.movers) <= 4
    assert [one.kind for one in reduced.commit.tracklets if one.kind == "streak"] == []


def test_the_log_finds_them_by_place_and_rate(reduced, truth):
    rebuild_night(reduced.store, NIGHT)
    record = nearest(reduced, truth["5945"])
    around = LogSelection(NIGHT, NIGHT, circle=SkyCircle(record.ra_mid, record.dec_mid, 0.005))
    (row,) = search_tracklets(reduced.store, around).to_pylist()
    assert (row["tracklet"], row["n_frames"]) == (record.tracklet, 18)
    assert len(search_tracklets(reduced.store, around, points=True)) == 18
    slow = search_tracklets(reduced.store, rate=(0.1, 0.2))
    assert record.tracklet in slow["tracklet"].to_pylist()
    assert nearest(reduced, truth["unknown-B"]).tracklet not in slow["tracklet"].to_pylist()


def test_the_film_shows_the_mover_in_its_middle_on_every_frame(reduced, truth):
    product = reduced.commit.products["neo"]
    data = reduced.store.read(product.key)
    record = nearest(reduced, truth["5945"])
    with fits.open(io.BytesIO(data), checksum=True) as hdus:
        film = hdus[record.tracklet].data
        points = hdus["POINTS"].data
    assert film.shape[0] == 18
    half = film.shape[1] // 2
    for picture in film:
        row, column = np.unravel_index(np.nanargmax(picture), picture.shape)
        assert abs(row - half) <= 1
        assert abs(column - half) <= 1
    assert (points["tracklet"] == record.tracklet).sum() == 18


def test_the_product_is_the_same_bytes_again(reduced):
    assert put_product(reduced.store, "copy.fits", reduced.store.read(reduced.commit.products["neo"].key)).sha256 == (
        reduced.commit.products["neo"].sha256
    )


@pytest.mark.parametrize("name", ["5945", "unknown-B"])
def test_a_mover_is_followed_into_the_moonlight(moonlit, truth, name):
    rows = truth[name]
    record = nearest(moonlit, rows)
    assert [point.frame for point in record.points] == list(range(30))
    mjd = np.array([float(row["mjd_mid"]) for row in rows])
    middle = mjd.mean()
    for coordinate, scale in (("ra", np.cos(np.radians(record.dec_mid))), ("dec", 1.0)):
        line = np.polyfit(mjd - middle, [float(row[coordinate]) for row in rows], 1)
        away = [getattr(p, coordinate) - np.polyval(line, p.mjd - middle) for p in record.points]
        assert np.abs(away).max() * scale * 3600 < 2.0


def test_borders_and_saturated_stars_are_no_streaks_in_the_moonlight(moonlit):
    of_kind = Counter(record.kind for record in moonlit.commit.tracklets)
    assert of_kind["streak"] == 0
    assert of_kind["cosmic"] <= 3, "two hits are as long as the shortest trails"
    assert moonlit.commit.summary.n_flares == 0
    assert len(moonlit.movers) <= 5
