"""Test the way from raw calibration frames to masters, and which masters a commit names: small frames without stars.

Every frame goes through intake, masters and reduction, as in the commands; the results of sky frames are not checked.
The rules for the choice of a master: `test_master_search`.
"""

from __future__ import annotations

import datetime as dt
import io

import numpy as np
import pytest
from astropy.io import fits

from gozen.archive.commit import read_commit
from gozen.archive.keys import Processing
from gozen.archive.stores.open_store import open_store
from gozen.calibration.calibrate_frame import calibrate, detector_of
from gozen.calibration.master_match import CalibrationSetup
from gozen.calibration.master_search import find_masters
from gozen.errors import BadRequest, UnreadableInput
from gozen.frames.raw import assemble, parse_file
from gozen.instrument.profile import parse_profile, section_slices
from gozen.observing.raw_for_steps import works_of_exposures
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.reduction.sensor_masters import make_sensor_masters, masters_wanted
from gozen.reduction.sensor_work import SharedInputs
from gozen.settings import Settings
from gozen.workflow.take_in_files import take_in_files

SHAPE, BIAS, EVENING = (40, 48), 1000.0, dt.datetime(2024, 3, 1, 20)
PROFILE = """
name: {name}
site: {{name: Hill, longitude_deg: 0.0, latitude_deg: 40.0, height_m: 100, time_zone: UTC}}
raw: frames
shape: [40, 48]
active: "[1:48,1:40]"
pixel_scale_arcsec: 1.0
gains:
  high: {{e_per_adu: 0.5, read_noise_e: 6, saturation_adu: 60000}}
  low: {{e_per_adu: 2.0, read_noise_e: 6, saturation_adu: 60000}}
default_gain: high
masters: {masters}
sensors: [{{id: "1"}}]
header:
  object: {{word: OBJECT}}
  data_type: {{word: IMAGETYP}}
  utc_start: {{word: DATE-OBS, kind: utc}}
  exposure_s: {{word: EXPTIME, kind: number}}
  ra: {{word: RA, kind: degrees}}
  dec: {{word: DEC, kind: degrees}}
  gain: {{word: GAINMODE, optional: true}}
  filter: {{word: FILTER, optional: true}}
  binning: {{word: BINNING, optional: true}}
  window: {{word: WINDOW, optional: true}}
"""
RAMP = np.linspace(0.7, 1.3, SHAPE[1])[np.newaxis, :] * np.ones((SHAPE[0], 1))
GLOW = np.where(np.arange(SHAPE[1]) < 12, 200.0, 0.0) * np.ones((SHAPE[0], 1))
"""Dark current, ADU a second."""


def camera(masters="[bias, flat]", name="tiny"):
    return parse_profile(PROFILE.format(masters=masters, name=name), name)


class Observatory:
    """An archive, and a folder that frames are written to and taken in from."""

    def __init__(self, folder):
        self.folder, self.store, self.number = folder, open_store(folder / "archive"), 0

    def take(self, kind, level=0.0, *, minutes, seconds=10.0, profile=None, **words):
        """Write one frame and take nothing in yet; `level` is the light, ADU or an image."""
        self.number += 1
        rng = np.random.default_rng(self.number)
        says = {"OBJECT": kind.lower(), "IMAGETYP": kind, "EXPTIME": seconds, "RA": 150.0, "DEC": 20.0, **words}
        header = fits.Header(says)
        header["DATE-OBS"] = (EVENING + dt.timedelta(minutes=minutes)).isoformat()
        pixels = BIAS + GLOW * seconds + level + rng.normal(0, 3, SHAPE)
        if "WINDOW" in words:
            pixels = pixels[section_slices(words["WINDOW"])]
        if words.get("BINNING") == "2x2":
            pixels = sum(pixels[y::2, x::2] for y in (0, 1) for x in (0, 1)) / 4
        path = self.folder / f"in/f{self.number:03d}.fits"
        path.parent.mkdir(exist_ok=True)
        fits.writeto(path, pixels.clip(0, 65535).round().astype(np.uint16), header)
        return path

    def several(self, kind, level=0.0, *, minutes, count=3, **words):
        for index in range(count):
            self.take(kind, level, minutes=minutes + index / 10, **words)

    def shared_inputs(self, profile):
        return SharedInputs(self.store, profile, Settings())

    def take_in(self, profile):
        """Take in all that was written since the last time."""
        exposures = take_in_files(self.store, profile, [self.folder / "in"])
        for path in (self.folder / "in").iterdir():
            path.unlink()
        return exposures

    def masters(self, profile, exposures=None):
        """Make the masters of what was written; return results and the headers of the masters by key."""
        works = masters_wanted(exposures or self.take_in(profile), profile.masters)
        results = [one for work in works for one in make_sensor_masters(work, self.shared_inputs(profile))]
        return results, {key: self.header(key) for one in results for _, key in one.made}

    def header(self, key):
        with fits.open(io.BytesIO(self.store.read(key))) as hdus:
            return hdus[0].header.copy()

    def image(self, key):
        with fits.open(io.BytesIO(self.store.read(key))) as hdus:
            return np.asarray(hdus[0].data)

    def sky(self, profile, minutes=60.0, **words):
        """Take a frame of the sky and return its commit; without stars it is rejected, which is no matter here."""
        self.take("OBJECT", 500.0, minutes=minutes, **{"OBJECT": f"field {minutes:g}", **words})
        (work,) = works_of_exposures(self.take_in(profile), [], [], "r1")
        return reduce_sensor(work, self.shared_inputs(profile))

    def calibrated(self, profile, **words):
        """Return a calibrated frame of even light, taken last."""
        path = self.take("OBJECT", 10000 * RAMP, minutes=300, **words)
        cube = assemble([parse_file(path.read_bytes(), path.name)], profile)
        wanted = CalibrationSetup.of_header(cube.header)
        found = find_masters(self.store, profile, "1", "20240301", float(cube.start[0]), wanted)
        level, flat = found.get("dark") or found["bias"], found["flat"]
        image, _ = calibrate(
            cube.frame(0), detector_of(cube.read_out(profile), "1", cube.header.gain, level.image, flat.image)
        )
        return image

    def used(self, commit):
        """Return the headers of the masters that a commit names."""
        return {kind: self.header(one.key) for kind, one in commit.provenance.calibration.items()}


@pytest.fixture
def place(tmp_path):
    return Observatory(tmp_path)


def test_flats_of_two_filters_within_half_an_hour_give_a_master_each(place):
    profile = camera()
    place.several("BIAS", minutes=0, seconds=0.0)
    for turn in range(3):
        place.take("FLAT", 20000 * RAMP, minutes=10 + turn, seconds=3.0, FILTER="R")
        place.take("FLAT", 20000 * RAMP[:, ::-1], minutes=10.5 + turn, seconds=3.0, FILTER="V")
    results, headers = place.masters(profile)
    assert [one.problem for one in results if one.problem] == []
    flats = {header["FILTER"]: key for key, header in headers.items() if header["OBJECT"] == "FLAT"}
    assert {name: headers[key]["NCOMBINE"] for name, key in flats.items()} == {"R": 3, "V": 3}
    assert place.image(flats["R"])[20, 40] > 1.1
    assert place.image(flats["V"])[20, 40] < 0.9


@pytest.mark.parametrize("filter_", ["B", "R"])
def test_the_sky_is_divided_by_the_last_flat_in_its_filter(place, filter_):
    profile = camera()
    place.several("BIAS", minutes=0, seconds=0.0)
    place.several("FLAT", 20000 * RAMP, minutes=5, seconds=3.0, FILTER="B")
    place.several("FLAT", 20000 * RAMP, minutes=15, seconds=3.0, FILTER="R")
    place.masters(profile)
    commit = place.sky(profile, FILTER=filter_)
    assert place.used(commit)["flat"]["FILTER"] == filter_
    match = commit.provenance.calibration["flat"].match
    assert (match.fit, match.filter, match.gain, match.camera) == ("exact", filter_, "high", "tiny")


def test_a_filter_without_a_flat_is_refused_and_named(place):
    profile = camera()
    place.several("BIAS", minutes=0, seconds=0.0)
    place.several("FLAT", 20000 * RAMP, minutes=5, seconds=3.0, FILTER="R")
    place.masters(profile)
    with pytest.raises(UnreadableInput, match=r"no flat master of tiny for filter 'V', .*\(filter 'R'\)"):
        place.sky(profile, FILTER="V")


@pytest.mark.parametrize("in_turn", [True, False])
def test_darks_of_two_exposure_times_are_two_masters_and_each_frame_gets_its_own(place, in_turn):
    profile = camera("[dark]")
    for index in range(3):
        place.take("DARK", minutes=index if in_turn else index / 10, seconds=10.0)
        place.take("DARK", minutes=index + 0.5 if in_turn else 20 + index / 10, seconds=1.0)
    _, headers = place.masters(profile)
    assert sorted((header["EXPTIME1"], header["NCOMBINE"]) for header in headers.values()) == [(1.0, 3), (10.0, 3)]
    commit = place.sky(profile, seconds=10.0)
    key = commit.provenance.calibration["dark"].key
    assert headers[key]["EXPTIME1"] == 10.0
    assert np.median(place.image(key)[:, :12]) == pytest.approx(BIAS + 2000, abs=3)
    with pytest.raises(UnreadableInput, match=r"no dark master of tiny for 30 s"):
        place.sky(profile, minutes=200, seconds=30.0)


@pytest.mark.parametrize("gain", ["high", "low"])
def test_gains_in_turn_give_a_master_each_and_the_sky_takes_its_own(place, gain):
    profile = camera()
    for turn in range(3):
        for number, name in enumerate(("low", "high")):
            place.take("BIAS", minutes=turn + number / 2, seconds=0.0, GAINMODE=name)
            place.take("FLAT", 20000 * RAMP, minutes=20 + turn + number / 2, seconds=3.0, GAINMODE=name, FILTER="R")
    _, headers = place.masters(profile)
    assert len(headers) == 4
    commit = place.sky(profile, GAINMODE=gain, FILTER="R")
    assert {kind: one["GAINMODE"] for kind, one in place.used(commit).items()} == {"bias": gain, "flat": gain}


def test_twilight_flats_of_several_exposure_times_and_places_are_one_master(place):
    profile = camera()
    place.several("BIAS", minutes=0, seconds=0.0)
    for turn, seconds in enumerate((1.0, 2.0, 4.0, 8.0)):
        words = {"RA": 100.0 + 5 * turn, "DEC": 10.0 + turn, "FILTER": "R"}
        place.take("FLAT", 15000 * RAMP, minutes=5 + turn, seconds=seconds, **words)
    _, headers = place.masters(profile)
    assert [header["NCOMBINE"] for header in headers.values() if header["OBJECT"] == "FLAT"] == [4]


def test_each_flat_takes_the_dark_of_its_exposure_time(place):
    profile = camera("[dark, flat]")
    for number, seconds in enumerate((1.0, 10.0)):
        place.several("DARK", minutes=4 * number, seconds=seconds)
        place.several("FLAT", 12000 * RAMP, minutes=20 + number, seconds=seconds, FILTER="R")
    results, headers = place.masters(profile)
    (flat,) = (key for key, header in headers.items() if header["OBJECT"] == "FLAT")
    np.testing.assert_allclose(place.image(flat), RAMP / np.median(RAMP), atol=0.005)
    (commit,) = (one.commit for one in results if one.kind == "flat")
    times = {one.match.exposure_s for one in commit.provenance.calibration.values()}
    assert (times, commit.warnings) == ({1.0, 10.0}, ())
    assert {headers[flat]["DARKFIT"], headers[flat]["DARK2FIT"]} == {"exact"}


def test_masters_taken_after_the_sky_are_not_used_and_named(place):
    profile = camera("[bias]")
    place.several("BIAS", minutes=90, seconds=0.0)
    place.masters(profile)
    with pytest.raises(UnreadableInput, match=r"taken 0.021 d after the exposure"):
        place.sky(profile, minutes=60)


def test_masters_of_another_camera_in_the_same_archive_are_not_used(place):
    one, other = camera("[bias]", "one"), camera("[bias]", "other")
    place.several("BIAS", minutes=0, seconds=0.0, OBJECT="bias one")
    exposures = place.take_in(one)
    place.masters(one, exposures)
    with pytest.raises(UnreadableInput, match="of the camera one"):
        place.sky(other, minutes=40)
    place.several("BIAS", 500.0, minutes=50, seconds=0.0, OBJECT="bias other")
    _, headers = place.masters(other)
    assert {header["INSTRUME"] for header in headers.values()} == {"other"}
    assert place.used(place.sky(one, minutes=200))["bias"]["INSTRUME"] == "one"
    assert place.used(place.sky(other, minutes=300))["bias"]["INSTRUME"] == "other"
    ((again,), headers) = place.masters(other, exposures)
    assert headers == {}
    assert again.problem == "its frames are of the camera one, not other"


def test_made_again_nothing_changes(place):
    profile = camera()
    place.several("BIAS", minutes=0, seconds=0.0)
    for name in "RVRV":
        place.take("FLAT", 20000 * RAMP, minutes=5 + place.number / 10, seconds=3.0, FILTER=name)
    exposures = place.take_in(profile)
    first, headers = place.masters(profile, exposures)
    again, _ = place.masters(profile, exposures)
    assert [one.commit for one in again] == [one.commit for one in first]
    assert len(place.store.list("calib")) == len(headers) == 3


def test_flats_in_one_filter_that_saturate_do_not_cost_the_others(place):
    profile = camera()
    place.several("BIAS", minutes=0, seconds=0.0)
    for turn in range(3):
        place.take("FLAT", 20000 * RAMP, minutes=5 + turn, seconds=3.0, FILTER="R")
        place.take("FLAT", 64000.0, minutes=5.5 + turn, seconds=3.0, FILTER="V")
    results, headers = place.masters(profile)
    assert [header["FILTER"] for header in headers.values() if header["OBJECT"] == "FLAT"] == ["R"]
    said = [text for one in results for text in (*one.commit.warnings, one.problem or "")]
    assert any(
        "SaturatedField: no flat frame has a median between zero and 90 % of saturation" in text for text in said
    )


def test_a_calibration_file_that_cannot_be_read_is_left_out_and_named(place):
    profile = camera("[bias]")
    place.several("BIAS", minutes=0, seconds=0.0, count=4)
    exposures = place.take_in(profile)
    (key, *_) = exposures[0].sensors["1"]
    place.store.write(key, place.store.read(key)[:4000])
    ((result,), headers) = place.masters(profile, exposures)
    assert [header["NCOMBINE"] for header in headers.values()] == [3]
    assert any("CorruptFile: f001.fits: the pixels cannot be read" in text for text in result.commit.warnings)


def test_no_calibration_frames_are_a_choice_that_stands_in_the_record(place):
    profile = camera("[]")
    commit = place.sky(profile)
    kept = read_commit(place.store, Processing(commit.night, commit.exposure, "r1"), "1")
    assert kept.warnings == (
        "no dark or bias is subtracted (masters: [] in the profile tiny)",
        "pixels are not divided by a flat (masters: [] in the profile tiny)",
    )
    place.several("BIAS", minutes=100, seconds=0.0)
    with pytest.raises(BadRequest, match="requests no masters"):
        place.masters(profile)


def test_bias_and_flat_under_one_name_are_told_apart(place):
    profile = camera()
    place.several("BIAS", minutes=0, seconds=0.0, OBJECT="bias and flat")
    place.several("FLAT", 20000 * RAMP, minutes=5, seconds=3.0, OBJECT="bias and flat", FILTER="R")
    _, headers = place.masters(profile)
    assert sorted(header["OBJECT"] for header in headers.values()) == ["BIAS", "FLAT"]


def test_a_dark_of_another_time_is_scaled_where_the_profile_says_so_and_the_record_tells(place):
    profile = camera("[bias, dark]").model_copy(update={"dark_mismatch": "scaled"})
    place.several("BIAS", minutes=0, seconds=0.0)
    place.several("DARK", minutes=5, seconds=10.0)
    place.masters(profile)
    commit = place.sky(profile, seconds=30.0)
    assert commit.provenance.calibration["dark"].match.fit == "scaled"
    assert set(commit.provenance.calibration) == {"bias", "dark"}
    assert commit.warnings[-1].endswith("has an exposure time of 10 s, the frames have 30 s: scaled")


def test_a_rule_that_needs_a_bias_is_refused_without_one():
    with pytest.raises(
        UnreadableInput, match="`dark_mismatch: scaled` requires `bias` and `dark` in the list `masters`"
    ):
        parse_profile(PROFILE.format(masters="[dark, flat]", name="x") + "dark_mismatch: scaled\n", "x")


def test_biases_under_any_filter_wheel_are_one_master(place):
    profile = camera("[bias]")
    for turn in range(6):
        place.take("BIAS", minutes=turn / 10, seconds=0.0, FILTER="RV"[turn % 2])
    _, headers = place.masters(profile)
    assert [header["NCOMBINE"] for header in headers.values()] == [6]


@pytest.mark.parametrize("window", ["[9:40,5:24]", "[1:48,21:40]", "[5:12,1:40]"])
def test_full_frame_masters_serve_a_window_at_its_place(place, window):
    profile = camera("[dark, flat]")
    for kind, light, minutes in (("DARK", 0.0, 0), ("FLAT", 20000 * RAMP, 10)):
        place.several(kind, light, minutes=minutes, count=5, seconds=10.0)
    place.masters(profile)
    image = place.calibrated(profile, WINDOW=window)
    rows, columns = section_slices(window)
    assert image.shape == (rows.stop - rows.start, columns.stop - columns.start)
    np.testing.assert_allclose(image, 10000 * np.median(RAMP), rtol=0.005)


LIT = np.arange(SHAPE[1]) < 40
CUT = "[9:40,5:24]"


def with_columns():
    """Return the camera with overscan columns, which a window may be read without."""
    text = PROFILE.format(masters="[bias, flat]", name="tiny")
    return parse_profile(text.replace('"[1:48,1:40]"', '"[1:40,1:40]"\nreference: "[41:48,1:40]"'), "tiny")


@pytest.mark.parametrize("window", ["", CUT])
def test_masters_of_frames_with_overscan_do_not_serve_a_window_without_it(place, window):
    profile, words = with_columns(), {"WINDOW": window} if window else {}
    place.several("BIAS", minutes=0, seconds=0.0)
    place.several("FLAT", 20000 * RAMP * LIT, minutes=10, seconds=0.01, count=5)
    results, _ = place.masters(profile)
    assert [one.problem for one in results if one.problem] == []
    if not window:
        assert place.sky(profile, **words).rejection.name != "UnreadableInput"
        return
    with pytest.raises(UnreadableInput) as refused:
        place.sky(profile, **words)
    said = str(refused.value)
    assert f"the window {CUT} was read without the reference columns" in said
    assert "calib/bias/20240301/bias/1.fits does not contain the bias level" in said
    assert "take dark or bias exposures of the same window and run `gozen masters`" in said


def test_masters_of_the_same_window_hold_the_level_that_overscan_would_give(place):
    profile = with_columns()
    place.several("BIAS", minutes=0, seconds=0.0, count=5, WINDOW=CUT)
    place.several("FLAT", 20000 * RAMP * LIT, minutes=10, seconds=0.01, count=5, WINDOW=CUT)
    results, _ = place.masters(profile)
    assert [one.problem for one in results if one.problem] == []
    commit = place.sky(profile, WINDOW=CUT)
    assert not any("reference columns" in warning for warning in commit.warnings)
    rows, columns = section_slices(CUT)
    image = place.calibrated(profile, seconds=0.01, WINDOW=CUT)
    np.testing.assert_allclose(image, 10000 * np.median(RAMP[rows, columns]), rtol=0.005)


def test_a_flat_of_a_window_without_overscan_needs_a_bias_of_that_window(place):
    profile = with_columns()
    place.several("BIAS", minutes=0, seconds=0.0)
    place.several("FLAT", 20000 * RAMP * LIT, minutes=10, seconds=3.0, WINDOW=CUT)
    results, _ = place.masters(profile)
    (said,) = [one.problem for one in results if one.problem]
    assert "was read without the reference columns, and calib/bias/20240301/bias/1.fits does not contain" in said


def test_masters_of_a_window_do_not_serve_the_full_frame(place):
    profile = camera("[bias]")
    place.several("BIAS", minutes=0, seconds=0.0, WINDOW="[9:40,5:24]")
    place.masters(profile)
    with pytest.raises(UnreadableInput, match=r"full frame .*\(window \[9:40,5:24\]\)"):
        place.sky(profile)


def test_binned_and_full_frames_give_masters_each_and_are_calibrated_with_their_own(place):
    profile = camera("[dark, flat]")
    for turn in range(5):
        for number, binning in enumerate(("1x1", "2x2")):
            place.take("DARK", minutes=turn + number / 2, BINNING=binning)
            place.take("FLAT", 20000 * RAMP, minutes=10 + turn + number / 2, BINNING=binning)
    results, headers = place.masters(profile)
    assert [one.problem for one in results if one.problem] == []
    assert sorted(one["BINNING"] for one in headers.values()) == ["1x1", "1x1", "2x2", "2x2"]
    for binning, shape in (("1x1", (40, 48)), ("2x2", (20, 24))):
        image = place.calibrated(profile, BINNING=binning)
        assert image.shape == shape
        np.testing.assert_allclose(image, 10000 * np.median(RAMP), rtol=0.005)
    window = place.calibrated(profile, BINNING="2x2", WINDOW="[9:40,5:24]")
    assert window.shape == (10, 16)
    np.testing.assert_allclose(window, 10000 * np.median(RAMP), rtol=0.005)
