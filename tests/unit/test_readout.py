"""Test binning and window in headers, and the profile adapted to such frames.

How such frames are reduced: `test_reduce_window.py`.
"""

import pytest

from gozen.errors import CorruptFile
from gozen.instrument.profile import parse_profile
from gozen.instrument.profile_check import check_file
from gozen.instrument.read_header import read_header
from gozen.instrument.readout import read_out

CAMERA = """
name: cut
site: {name: Here, longitude_deg: 137.6, latitude_deg: 35.8, height_m: 1132, time_zone: Asia/Tokyo}
raw: frames
shape: [100, 130]
active: "[11:110,1:100]"
reference: "[111:130,1:100]"
pixel_scale_arcsec: 1.0
gains: {normal: {e_per_adu: 1, read_noise_e: 2, saturation_adu: 60000}}
default_gain: normal
masters: [bias]
sensors: [{id: "1", x_arcsec: 100}]
header:
  object: {word: OBJECT}
  data_type: {value: OBJECT}
  utc_start: {word: UTC, kind: utc}
  exposure_s: {word: EXPTIME, kind: number}
"""
WORDS = {"OBJECT": "x", "UTC": "2024-01-05T12:00:00", "EXPTIME": 1.0}


def camera(*rules, **changes):
    """Return the camera with further header rules; changes replace or add an entry."""
    lines = [line for line in CAMERA.strip().splitlines() if line.partition(":")[0] not in changes]
    added = [f"{name}: {value}" for name, value in changes.items()]
    return parse_profile("\n".join([*added, *lines, *(f"  {rule}" for rule in rules)]), "cut.yaml")


def said(profile, **words):
    header = read_header(WORDS | words, profile, "a.fits")
    return header.binning, header.window


@pytest.mark.parametrize("text", [2, 2.0, "2", "2x2", "2X2", "2 2", "2,2", "2*2", "(2, 2)", " 2 x 2 "])
def test_binning_in_one_word(text):
    assert said(camera("binning: {word: BIN}"), BIN=text) == ("2x2", "")


@pytest.mark.parametrize(("x", "y", "binning"), [(2, 2, "2x2"), (1, "1", "1x1"), (3.0, 3, "3x3"), (1, 2, "1x2")])
def test_binning_in_two_words(x, y, binning):
    assert said(camera("binning: {words: [XBIN, YBIN]}"), XBIN=x, YBIN=y) == (binning, "")


def test_binning_that_has_a_name_or_is_not_said():
    profile = camera("binning: {word: MODE, values: {fast: 2x2}, optional: true}")
    assert said(profile, MODE="fast") == ("2x2", "")
    assert said(profile) == ("1x1", "")
    assert said(camera(binning="3x3"), BIN=1) == ("3x3", "")


@pytest.mark.parametrize("text", ["0", "two", "2x", "2x2x2", "-1", "1.5"])
def test_binning_that_is_none_is_named(text):
    with pytest.raises(CorruptFile, match=r"a\.fits: binning '.*' does not have the form"):
        said(camera("binning: {word: BIN}"), BIN=text)


@pytest.mark.parametrize(
    ("rule", "words", "window"),
    [
        ("{word: SEC}", {"SEC": "[21:60,11:50]"}, "[21:60,11:50]"),
        ("{word: SEC}", {"SEC": "[ 21:60, 11:50 ]"}, "[21:60,11:50]"),
        ("{words: [X1, X2, Y1, Y2]}", {"X1": 21, "X2": 60, "Y1": 11, "Y2": 50}, "[21:60,11:50]"),
        ("{words: [X, Y, W, H], form: size}", {"X": 21, "Y": 11, "W": "40", "H": 40.0}, "[21:60,11:50]"),
        ("{words: [X, Y, W, H], form: size, first: 0}", {"X": 20, "Y": 10, "W": 40, "H": 40}, "[21:60,11:50]"),
        (
            "{words: [X, Y, W, H], form: size, first: 0, binned: true}",
            {"X": 10, "Y": 5, "W": 20, "H": 20, "BIN": 2},
            "[21:60,11:50]",
        ),
        ("{word: SEC}", {"SEC": "[1:130,1:100]"}, ""),
        ("{word: SEC}", {"SEC": "[11:110,1:100]"}, ""),
        ("{word: SEC, optional: true}", {}, ""),
    ],
)
def test_windows_are_sections_in_full_pixels(rule, words, window):
    assert said(camera("binning: {word: BIN, optional: true}", f"window: {rule}"), **words)[1] == window


@pytest.mark.parametrize(
    ("rule", "words", "says"),
    [
        ("{word: SEC}", {"SEC": "[21:160,11:50]"}, "is outside the sensor of 130 columns and 100 rows"),
        ("{word: SEC}", {"SEC": "21-60"}, "not a FITS section"),
        ("{words: [X, Y]}", {"X": 1, "Y": 2}, "neither a FITS section .* nor four whole numbers"),
        ("{words: [X, Y, W, H], form: size}", {"X": 0, "Y": 1, "W": 5, "H": 5}, "starts before pixel 1"),
    ],
)
def test_a_window_that_cannot_be_is_named(rule, words, says):
    with pytest.raises(CorruptFile, match=f"a.fits: .*{says}"):
        said(camera(f"window: {rule}"), **words)


@pytest.mark.parametrize(
    ("binning", "window", "shape", "active", "reference", "place"),
    [
        ("1x1", "[21:60,11:50]", (40, 40), "[1:40,1:40]", None, (120.0, -20.0)),
        ("1x1", "[21:60,11:50]", (40, 70), "[11:50,1:40]", "[51:70,1:40]", (120.0, -20.0)),
        ("1x1", "[1:130,11:50]", (40, 130), "[11:110,1:40]", "[111:130,1:40]", (100.0, -20.0)),
        ("2x2", "", (50, 65), "[6:55,1:50]", "[56:65,1:50]", (100.0, 0.0)),
        ("3x3", "", (33, 43), "[5:36,1:33]", "[38:43,1:33]", (100.0, -0.5)),
        ("2x2", "[22:61,11:50]", (20, 20), "[1:20,1:20]", None, (119.0, -20.0)),
        ("1x1", "[1:20,1:100]", (100, 20), "[11:20,1:100]", None, (145.0, 0.0)),
    ],
)
def test_areas_scale_and_centre_are_those_of_the_pixels_that_are_left(binning, window, shape, active, reference, place):
    cut = read_out(camera(), binning, window, shape, "a.fits")
    assert (cut.shape, cut.active, cut.reference) == (shape, active, reference)
    assert cut.pixel_scale_arcsec == float(binning[0])
    assert (cut.sensors[0].x_arcsec, cut.sensors[0].y_arcsec) == pytest.approx(place)


def test_a_turned_or_mirrored_camera_sees_a_window_elsewhere():
    turned = read_out(camera(orientation_deg=90), "1x1", "[21:60,11:50]", (40, 40), "a").sensors[0]
    assert (turned.x_arcsec, turned.y_arcsec) == pytest.approx((100 - 20, -20))
    mirrored = read_out(camera(mirrored="true"), "1x1", "[21:60,11:50]", (40, 40), "a").sensors[0]
    assert (mirrored.x_arcsec, mirrored.y_arcsec) == pytest.approx((80, -20))


def test_a_profile_of_joined_pixels_serves_other_binnings():
    profile = camera(binning="2x2", pixel_scale_arcsec=2.0)
    assert read_out(profile, "2x2", "", (100, 130), "a") is profile
    fine = read_out(profile, "1x1", "", (200, 260), "a")
    assert (fine.active, fine.pixel_scale_arcsec) == ("[21:220,1:200]", 1.0)


@pytest.mark.parametrize(
    ("binning", "window", "shape", "says"),
    [
        ("1x1", "", (100, 131), "131 columns and 100 rows, but the profile cut has 130 and 100"),
        (
            "2x2",
            "",
            (100, 130),
            "130 columns and 100 rows, but its header has the full frame with binning 2x2.*65 and 50",
        ),
        ("1x1", "[21:60,11:50]", (40, 41), r"window \[21:60,11:50\] with binning 1x1, which gives 40 and 40"),
        ("1x1", "[1:10,1:100]", (100, 10), "none of these pixels is in the active area"),
    ],
)
def test_a_frame_that_does_not_fit_its_words_is_refused_and_named(binning, window, shape, says):
    with pytest.raises(CorruptFile, match=rf"a\.fits: .*{says}"):
        read_out(camera(), binning, window, shape, "a.fits")


@pytest.mark.parametrize(
    ("rule", "words"),
    [("{word: CCDSUM}", {"CCDSUM": "2 1"}), ("{words: [XBIN, YBIN]}", {"XBIN": 2, "YBIN": 1})],
)
def test_pixels_joined_unequally_are_refused_with_file_word_value_and_what_to_do(rule, words):
    (problem,) = check_file(WORDS | words, (100, 65), camera(f"binning: {rule}"), "a.fits").problems
    assert problem.startswith(f"a.fits: {' and '.join(words)} gives binning 2x1, whose pixels have another shape")
    assert problem.endswith(
        "use a binning with the same ratio of x to y as the profile, or write another profile with "
        "`binning: 2x1` for such frames"
    )


def test_a_check_shows_binning_and_window_as_they_are_used():
    profile = camera("binning: {words: [XB, YB]}", "window: {word: SEC, optional: true}")
    words = WORDS | {"XB": 2, "YB": 2, "SEC": "[21:60,11:50]"}
    found = check_file(words, (20, 20), profile, "a.fits")
    assert found.problems == ()
    read = {one.name: one.converted for one in found.quantities}
    assert (read["binning"], read["window"]) == ("2x2", "[21:60,11:50]")
    (problem,) = check_file(words, (40, 40), profile, "a.fits").problems
    assert "which gives 20 and 20" in problem
