"""Test instrument profiles and headers: errors of wrong profiles, and conversion of header values.

Covered: the rules of the model, each kind of conversion, the night, and `check_file`. Real headers are in
`tests/real/test_instrument_check.py`, generated ones in `tests/property/test_header.py`.
"""

import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from gozen.errors import CorruptFile, UnreadableInput
from gozen.instrument.header_rules import WordRule
from gozen.instrument.profile import Profile, load_profile, parse_profile, section_slices, shipped_profiles
from gozen.instrument.profile_check import check_file
from gozen.instrument.read_header import convert, mjd_of_utc, night_of_mjd, read_header, utc_of_mjd

SMALL = """
name: small
site: {name: Here, longitude_deg: 137.6, latitude_deg: 35.8, height_m: 1132, time_zone: Asia/Tokyo}
raw: cube
shape: [20, 30]
active: "[1:20,1:20]"
reference: "[21:30,1:20]"
pixel_scale_arcsec: 1.2
gains:
  high: {e_per_adu: 0.23, read_noise_e: 2.0, saturation_adu: 26000}
  low: {e_per_adu: 2.4, read_noise_e: 9.2, saturation_adu: 21700}
default_gain: high
header:
  object: {word: OBJECT}
  data_type: {word: DATA-TYP, values: {SKYFLAT: FLAT}}
  utc_start: {word: UTC, kind: utc}
  exposure_s: {word: EXPTIME, kind: number}
  ra: {word: RA, kind: hours, optional: true}
  dec: {word: DEC, kind: degrees, optional: true}
  sensor: {word: DET_ID}
  gain: {word: GAIN, optional: true}
  frame_id: {word: FRAME_ID, optional: true}
  pipelines: {word: PIPELINE, optional: true}
sensors: [{id: "111"}, {id: "112"}]
"""
WORDS = {
    "OBJECT": "J0118+2942",
    "DATA-TYP": "OBJECT",
    "UTC": "2024-01-05T12:00:00.5",
    "EXPTIME": 0.5,
    "RA": "01:18:00",
    "DEC": "-00:30:00",
    "DET_ID": "111",
    "PIPELINE": "wcs,stack , neo",
}


@pytest.fixture
def profile():
    return parse_profile(SMALL, "small.yaml")


def changed(**changes):
    """Return the small profile as YAML with entries replaced; dots go down, None removes."""
    content = yaml.safe_load(SMALL)
    for path, value in changes.items():
        place = content
        *folders, last = path.split("__")
        for name in folders:
            place = place[name]
        if value is None:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
    return yaml.safe_dump(content)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"pixel_scale_arcsec": -1}, "pixel_scale_arcsec: it should be greater than 0"),
        ({"shape": None}, "shape: it is missing"),
        ({"pixelscale": 1.0}, "pixelscale: this name is not known"),
        ({"active": "[1:20,1:21]"}, r"active \[1:20,1:21\] is outside the raw frame of 30 columns and 20 rows"),
        ({"reference": "[21:31,1:20]"}, "reference .* is outside"),
        ({"active": "1:20,1:20"}, r"is not a FITS section such as \[1:2000,1:1128\]"),
        ({"active": "[0:20,1:20]"}, "starts before pixel 1"),
        ({"default_gain": "mid"}, "default_gain 'mid' is not one of high, low"),
        ({"site__time_zone": "Asia/Kiso"}, "'Asia/Kiso' is not an IANA time zone such as Asia/Tokyo"),
        ({"site__latitude_deg": 95}, "site.latitude_deg: it should be less than or equal to 90"),
        ({"sensors": [{"id": "1"}, {"id": "1"}]}, "two sensors have the same id 1; give each sensor"),
        ({"sensors": [{"id": 111}]}, "sensors.0.id: it should be text"),
        ({"header__object": {"kind": "text"}}, "give exactly one of `word`, `words` and `value`"),
        ({"header__object": {"word": "OBJECT", "kind": "sexagesimal"}}, "header.object.kind: it should be 'text'"),
        *(
            (
                {"aperture_diameters_px": value},
                r"write auto, or a list of diameters such as \[21, 10\]: whole pixels from 2 to 101",
            )
            for value in ([], [21, 21], [1], [102], [10.5], ["21"], [True], 21, "automatic", ["auto", 10])
        ),
        ({"header__utc_start": None}, "header.utc_start: it is missing"),
    ],
)
def test_a_faulty_profile_is_told_which_entry_and_what_is_allowed(changes, says):
    with pytest.raises(UnreadableInput, match=says) as caught:
        parse_profile(changed(**changes), "camera.yaml")
    assert "the instrument profile camera.yaml is not valid" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"masters": ["flat"]}, r"masters \[flat\] has a flat without a dark or bias"),
        ({"reference": "[16:30,1:20]"}, "reference .* has columns of the active area"),
        (
            {"header__gain": {"word": "GAIN", "values": {"H": "hi"}}},
            "header.gain gives 'hi', which is not one of gains",
        ),
        ({"header__gain": {"value": "mid"}}, "header.gain gives 'mid'"),
        ({"header__gain": {"word": "GAIN", "kind": "number"}}, "gains.high can never match header.gain"),
        ({"header__sensor": None}, "header.sensor gives '1', which is not one of sensors: 111, 112"),
        ({"header__sensor": {"word": "CCD", "values": {"A": "113"}}}, "header.sensor gives '113'"),
        ({"header__data_type": {"word": "T", "values": {"L": "LIGHT"}}}, "header.data_type gives 'LIGHT', which is"),
        ({"header__ra": {"word": "RA"}}, "header.ra has kind text; its kind must be hours or degrees"),
        (
            {"header__utc_start": {"word": "UTC"}},
            "utc_start has `kind: text`, but it is a time; give one of the kinds utc",
        ),
        ({"header__exposure_s": {"word": "T", "kind": "utc"}}, "header.exposure_s has kind utc"),
        ({"header__exposure_s": {"word": "T", "kind": "number", "scale": 0}}, "scale 0"),
        ({"header__exposure_s": {"word": "T", "kind": "number", "values": {"a": "1"}}}, "so its values are never used"),
        ({"header__gain": {"word": "GAIN", "scale": 2}}, "header.gain has kind text, so its scale is never used"),
        (
            {"header__exposure_s": {"word": "T", "kind": "text"}},
            "header.exposure_s has kind text; its kind must be number",
        ),
        ({"header__object": {"word": " "}}, "the name of a header keyword is empty"),
        ({"pixel_scale_arcsec": float("inf")}, "pixel_scale_arcsec: it should be a finite number"),
        ({"binning": "two"}, "'two' is not a binning such as 2x2"),
        ({"hdu": -1}, "hdu"),
    ],
)
def test_a_profile_that_can_never_work_is_told_why(changes, says):
    with pytest.raises(UnreadableInput, match=says):
        parse_profile(changed(**changes), "camera.yaml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "shape: [20, 30]",
            "shape: [20, 30]\nshape: [20, 31]",
            "line 5: 'shape' is given twice, first on line 4; remove one",
        ),
        ("{word: RA,", "{word: RA, word: RB,", "line 17: 'word' is given twice"),
        ("longitude_deg: 137.6", "longitude_deg: -1:30", "write degrees as a decimal number, such as -1.5 .*'-1:30'"),
        ("height_m: 1132", "height_m: 11:32", r"height_m: it should be a number.*'11:32'"),
        (
            "default_gain: high",
            "default_gain: &g high",
            "the anchor or alias 'g' is not allowed; write the value in full",
        ),
        ("name: small", "name: !!python/name small", "tag .*; leave it out"),
        ("name: small", "name: other\n---\nname: small", "2 YAML documents; put each into a separate file"),
    ],
)
def test_a_profile_is_read_as_strictly_as_a_recipe(old, new, says):
    with pytest.raises(UnreadableInput, match=says):
        parse_profile(SMALL.strip().replace(old, new, 1), "camera.yaml")


def test_a_profile_is_yaml_of_version_1_2():
    profile = parse_profile(SMALL.replace("{SKYFLAT: FLAT}", "{SKYFLAT: FLAT, on: DARK, 1: BIAS}"), "camera.yaml")
    assert dict(profile.header.data_type.values) == {"SKYFLAT": "FLAT", "on": "DARK", "1": "BIAS"}
    assert read_header(WORDS | {"DATA-TYP": 1}, profile, "a.fits").data_type == "BIAS"


@pytest.mark.parametrize(
    ("gains", "rule", "said", "gain"),
    [
        ("High", {"word": "GAIN"}, "HIGH", "High"),
        ("high", {"word": "GAIN"}, "High", "high"),
        ("100", {"word": "GAIN", "kind": "integer"}, 100.0, "100"),
        ("1.5", {"word": "GAIN", "kind": "number"}, "1.50", "1.5"),
        ("2", {"word": "GAIN", "kind": "number"}, 2.0, "2"),
    ],
)
def test_a_gain_is_found_however_it_is_written(gains, rule, said, gain):
    setting = {"e_per_adu": 1.0, "read_noise_e": 2.0, "saturation_adu": 60000}
    text = changed(gains={gains: setting}, default_gain=gains, header__gain=rule)
    assert read_header(WORDS | {"GAIN": said}, parse_profile(text, "small"), "a").gain == gain


@pytest.mark.parametrize("value", [float("nan"), "NaN", " nan "])
def test_an_optional_number_that_is_nan_is_not_there(profile, value):
    header = read_header(WORDS | {"RA": value, "DEC": value}, profile, "a.fits")
    assert (header.ra, header.dec) == (None, None)


def test_an_exposure_time_is_a_number_without_being_told():
    text = changed(header__exposure_s={"word": "EXP_MS", "scale": 0.001})
    assert read_header(WORDS | {"EXP_MS": "500"}, parse_profile(text, "small"), "a").exposure_s == 0.5
    with pytest.raises(CorruptFile, match="EXP_MS = 'half' cannot be read as number for exposure_s"):
        read_header(WORDS | {"EXP_MS": "half"}, parse_profile(text, "small"), "a")


def test_long_words_are_found_by_their_name_with_and_without_hierarch():
    for name in ("HIERARCH ESO INS FILT1 NAME", "eso ins  filt1 name"):
        text = changed(header__filter={"word": name})
        assert read_header(WORDS | {"ESO INS FILT1 NAME": "R"}, parse_profile(text, "small"), "a").filter == "R"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"RA": 26.7}, "a.fits: the right ascension is 400.5 deg, outside 0 to 360"),
        ({"DEC": "95:00:00"}, "a.fits: the declination is 95 deg, beyond the pole"),
    ],
)
def test_a_check_finds_impossible_coordinates(profile, changes, says):
    assert check_file(WORDS | changes, (18, 20, 30), profile, "a.fits").problems == (says,)
    assert check_file(WORDS | changes | {"DATA-TYP": "DARK"}, (18, 20, 30), profile, "a.fits").problems == ()


@pytest.mark.parametrize("text", ["a: [1", "just text", "", "- a\n- b"])
def test_what_is_no_profile_is_named(text):
    with pytest.raises(UnreadableInput, match=r"camera\.yaml"):
        parse_profile(text, "camera.yaml")


def test_an_unknown_name_lists_what_ships(tmp_path):
    with pytest.raises(UnreadableInput, match="one of: tomoe"):
        load_profile("nosuch")
    binary = tmp_path / "p.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableInput, match=r"p\.yaml"):
        load_profile(str(binary))


def test_apertures_are_those_of_the_profile_and_else_chosen_by_the_seeing(profile):
    assert profile.aperture_diameters_px == "auto"
    assert load_profile("tomoe").aperture_diameters_px == (21, 10)
    named = parse_profile(changed(aperture_diameters_px=[9, 5, 15]), "camera.yaml")
    assert named.aperture_diameters_px == (9, 5, 15)
    assert Profile.model_validate(named.model_dump(mode="json")) == named


def test_every_profile_that_ships_is_valid_and_is_found_by_name():
    assert "tomoe" in shipped_profiles()
    for name in shipped_profiles():
        assert load_profile(name).name == name


def test_a_profile_survives_yaml(profile):
    again = yaml.safe_dump(profile.model_dump(mode="json", exclude_none=True))
    assert parse_profile(again, "again") == profile


def test_tomoe_is_the_camera_of_the_design():
    tomoe = load_profile("tomoe")
    assert (len(tomoe.sensors), tomoe.shape, tomoe.active_shape) == (84, (1128, 2156), (1128, 2000))
    by_quadrant = [sum(sensor.id.startswith(q) for sensor in tomoe.sensors) for q in "1234"]
    assert by_quadrant == [21] * 4
    assert {name: gain.e_per_adu for name, gain in tomoe.gains.items()} == {"high": 0.23, "mid": 0.94, "low": 2.4}
    rows, columns = tomoe.active_shape
    assert (columns * 1.189 / 60, rows * 1.189 / 60) == pytest.approx((39.7, 22.4), abs=0.1)
    assert tomoe.stack_skips_frames == 1


def test_sections_are_one_based_and_inclusive():
    assert section_slices("[18:1382, 1:1370]") == (slice(0, 1370), slice(17, 1382))


def test_a_header_is_read_by_the_rules(profile):
    header = read_header(WORDS, profile, "a.fits")
    assert (header.object, header.data_type, header.sensor, header.gain) == ("J0118+2942", "OBJECT", "111", "high")
    assert header.utc_start == mjd_of_utc(datetime(2024, 1, 5, 12, 0, 0, 500_000, tzinfo=UTC))
    assert (header.ra, header.dec) == (19.5, -0.5)
    assert (header.exposure_s, header.frame_time_s, header.row_time_s) == (0.5, 0.5, 0.0)
    assert header.pipelines == ("wcs", "stack", "neo")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"UTC": None}, "the header has no keyword UTC, from which the profile reads utc_start"),
        ({"UTC": "  "}, "the header has no keyword UTC"),
        ({"UTC": "tomorrow"}, "UTC = 'tomorrow' cannot be read as utc for utc_start"),
        ({"UTC": "2024-01-05T25:00:00"}, "not a time of day"),
        ({"UTC": "2024-01-05T12:-1:00"}, "not a time of day"),
        ({"UTC": "0102-01-05T12:00:00"}, "not within the years 1900 to 2199"),
        ({"EXPTIME": "half"}, "EXPTIME = 'half' cannot be read as number for exposure_s"),
        ({"EXPTIME": float("nan")}, "not a finite number"),
        ({"EXPTIME": True}, "a logical value"),
        ({"EXPTIME": -0.5}, "the exposure time of a frame is -0.5 s"),
        ({"EXPTIME": 0.0}, "the exposure time of a frame is 0 s"),
        ({"DATA-TYP": "LAMP"}, "data_type is 'LAMP', which is not one of OBJECT, DARK, FLAT, BIAS"),
        ({"GAIN": "mid"}, "gain 'mid' is not one of the gains in the profile small: high, low"),
        ({"DEC": "-00:61:00"}, "minutes and seconds must be at least 0 and less than 60"),
        ({"FRAME_ID": "../../etc/passwd"}, "frame_id '../../etc/passwd' cannot be the name of a file"),
        ({"DET_ID": "1/2"}, "sensor '1/2' cannot be the name of a file"),
    ],
)
def test_a_faulty_header_is_a_corrupt_file_that_names_word_and_value(profile, changes, says):
    words = {word: value for word, value in (WORDS | changes).items() if value is not None}
    with pytest.raises(CorruptFile) as caught:
        read_header(words, profile, "a.fits")
    assert says in str(caught.value)
    assert str(caught.value).startswith("a.fits: ")


def test_other_names_for_a_data_type_are_taken_from_the_profile(profile):
    assert read_header(WORDS | {"DATA-TYP": "SKYFLAT"}, profile, "a").data_type == "FLAT"
    assert read_header(WORDS | {"DATA-TYP": "BIAS", "EXPTIME": 0}, profile, "a").exposure_s == 0
    assert read_header(WORDS | {"DATA-TYP": "dark"}, profile, "a").data_type == "DARK"


def test_optional_words_may_be_missing_and_words_may_be_lower_case():
    text = SMALL.replace("{word: OBJECT}", "{word: object}")
    words = {word: value for word, value in WORDS.items() if word not in ("RA", "DEC", "PIPELINE")}
    header = read_header(words, parse_profile(text, "small"), "a")
    assert (header.ra, header.dec, header.pipelines) == (None, None, ())


def rule(kind, **fields):
    return WordRule(word="X", kind=kind, **fields)


@pytest.mark.parametrize(
    ("raw", "kind", "value"),
    [
        ("-00:30", "degrees", -0.5),
        ("-00 30 36", "degrees", -0.51),
        (" +00:30:00", "degrees", 0.5),
        ("-0:0:36", "degrees", -0.01),
        ("12:30", "hours", 187.5),
        ("1 2 3.0", "hours", 15.5125),
        (12.5, "hours", 187.5),
        ("12.5", "degrees", 12.5),
        (-12.5, "degrees", -12.5),
        ("300.0", "number", 300.0),
        (" 7 ", "integer", 7),
        (7.0, "integer", 7),
    ],
)
def test_angles_and_numbers_are_converted(raw, kind, value):
    assert convert(raw, rule(kind)) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("2024-01-05T04:36:09.19", 9.19),
        ("2024-01-05T4:36:9.19", 9.19),
        ("2024-01-05 04:36:09.19Z", 9.19),
        ("2024-01-05T04:35:60.0", 0.0),
        ("2024-01-05T04:36:59.999999", 59.999999),
    ],
)
def test_times_of_day_are_read_as_real_headers_write_them(raw, seconds):
    expected = datetime(2024, 1, 5, 4, 36, tzinfo=UTC) + timedelta(seconds=seconds)
    assert abs(utc_of_mjd(convert(raw, rule("utc"))) - expected) < timedelta(microseconds=2)


@pytest.mark.parametrize(("raw", "kind"), [(60314.25, "mjd"), (2460314.75, "jd"), (1704434400, "unix")])
def test_counted_times_are_the_same_moment(raw, kind):
    assert convert(raw, rule(kind)) == pytest.approx(60314.25, abs=1e-9)


def test_words_are_joined_and_scaled_and_constants_stand_for_them(profile):
    joined = WordRule(words=("DATE-OBS", "UT"), kind="utc")
    text = SMALL.replace("{word: UTC, kind: utc}", "{words: [DATE-OBS, UT], kind: utc}")
    text = text.replace("{word: EXPTIME, kind: number}", "{word: EXP_MS, kind: number, scale: 0.001}")
    text = text.replace("{word: DET_ID}", "{value: '112'}")
    words = WORDS | {"DATE-OBS": "2024-01-05", "UT": "12:00:00", "EXP_MS": "500"}
    header = read_header(words, parse_profile(text, "small"), "a")
    assert (header.utc_start, header.exposure_s, header.sensor) == (60314.5, 0.5, "112")
    assert joined.sources == ("DATE-OBS", "UT")


@pytest.mark.parametrize(
    ("utc", "zone", "night"),
    [
        ("2024-01-05T02:59:59", "Asia/Tokyo", "20240104"),  # one second before local noon
        ("2024-01-05T03:00:00", "Asia/Tokyo", "20240105"),
        ("2024-01-05T20:00:00", "Asia/Tokyo", "20240105"),  # 5 in the morning of the 6th
        ("2024-01-05T04:00:00", "America/Phoenix", "20240104"),
        ("2024-01-05T06:29:59", "Asia/Kolkata", "20240104"),  # one second before noon, half past six in UTC
        ("2024-01-05T06:30:00", "Asia/Kolkata", "20240105"),
        ("2024-01-01T00:00:00", "Pacific/Honolulu", "20231231"),
    ],
)
def test_a_night_is_named_after_the_local_date_on_which_it_began(utc, zone, night):
    site = load_profile("tomoe").site.model_copy(update={"time_zone": zone})
    assert night_of_mjd(mjd_of_utc(datetime.fromisoformat(utc)), site) == night


def test_mjd_and_utc_are_inverse_to_a_microsecond():
    moment = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)
    assert abs(utc_of_mjd(mjd_of_utc(moment)) - moment) <= timedelta(microseconds=1)


def test_a_check_lists_every_quantity_and_every_problem(profile):
    good = check_file(WORDS, (18, 20, 30), profile, "a.fits")
    assert (good.problems, good.frames, good.night) == ((), 18, "20240105")
    read = {quantity.name: quantity for quantity in good.quantities}
    assert read["ra"].words == ("RA",)
    assert (read["ra"].value, read["ra"].converted) == ("01:18:00", "19.500000 deg")
    assert read["utc_start"].converted == "2024-01-05T12:00:00.500 UTC (MJD 60314.500006)"
    bad = check_file({"OBJECT": "x", "UTC-OBS": "12:00"}, (20, 31), profile, "b.fits")
    assert bad.night is None
    assert [
        problem
        for problem in bad.problems
        if "no keyword UTC, from which the profile reads utc_start" in problem and problem.endswith("has UTC-OBS")
    ]
    assert [problem for problem in bad.problems if "31 columns and 20 rows" in problem]
    assert len(bad.problems) == 5  # the four words without which nothing can be done, and the shape


def test_a_check_knows_the_sensors_and_the_form_of_the_raw_data(profile):
    (problem,) = check_file(WORDS | {"DET_ID": "999"}, (20, 30), profile, "a.fits").problems
    assert "sensor '999' is not in the profile small, which has 111, 112" in problem
    single = parse_profile(changed(raw="frames"), "small")
    (problem,) = check_file(WORDS, (18, 20, 30), single, "a.fits").problems
    assert "contains 18 frames" in problem
    (problem,) = check_file(WORDS | {"DATA-TYP": "LAMP"}, (20, 30), profile, "a.fits").problems
    assert "data_type is 'LAMP'" in problem


def test_the_example_in_the_documentation_is_a_valid_profile():
    page = Path(__file__).parents[2] / "docs" / "reference" / "instrument-profiles.md"
    example = page.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    assert isinstance(parse_profile(example, page.name), Profile)


def test_the_site_in_geocentric_coordinates() -> None:
    from astropy.coordinates import EarthLocation

    site = load_profile("tomoe").site
    place = EarthLocation.from_geodetic(site.longitude_deg, site.latitude_deg, site.height_m)
    assert site.geocentric_m == pytest.approx([place.x.value, place.y.value, place.z.value], abs=1e-3)
