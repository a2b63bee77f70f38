"""Profiles with real files: single frames with joined times and sexagesimal pointings, Rice and gzip, SIP.

Covered: `gozen instrument check` and the profiles of `tests/real/profiles`, compared with other keywords of the same
headers. Not covered: the pixels, which other modules reduce.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from gozen.cli.call import run
from gozen.frames.raw import read_words
from gozen.instrument.header_rules import WordRule
from gozen.instrument.profile import load_profile
from gozen.instrument.profile_check import check_file
from gozen.instrument.read_header import night_of_mjd, read_header, read_quantity

from ..observed_data import DATA

PROFILES = Path(__file__).parent / "profiles"
LOWELL = DATA / "lowell5945"
MISC = DATA / "misc_wcs"


def header_of(profile_name: str, path: Path):
    profile = load_profile(str(PROFILES / f"{profile_name}.yaml"))
    words, _ = read_words(path)
    return read_header(words, profile, path.name), profile, words


@pytest.fixture(scope="module")
def lowell():
    return load_profile(str(PROFILES / "lowell42.yaml"))


def test_every_lowell_frame_is_read_without_a_problem(lowell):
    paths = sorted(LOWELL.glob("2019*.gz")) + sorted(LOWELL.glob("flat/*.gz")) + sorted(LOWELL.glob("zero/*.gz"))
    assert len(paths) == 27
    checks = [check_file(*read_words(path), lowell, path.name) for path in paths]
    assert [check.problems for check in checks] == [()] * 27
    assert {check.night for check in checks} == {"20190325"}  # early evening in Arizona, past midnight in UTC


def test_the_times_of_lowell_follow_one_another_as_the_ends_in_the_headers_say(lowell):
    headers = [read_words(path)[0] for path in sorted(LOWELL.glob("2019*.gz"))]
    starts = [read_header(words, lowell, "x").utc_start for words in headers]
    assert starts[0] == pytest.approx(Time("2019-03-26T04:31:07.72", scale="utc").mjd, abs=1e-9)
    ends = [read_quantity(w, WordRule(words=("DATE-OBS", "UTCEND"), kind="utc"), "end", "x") for w in headers]
    lasted = (np.array(ends) - starts) * 86400
    assert np.all((lasted > 300) & (lasted < 303))
    assert np.all(np.array(starts[1:]) > ends[:-1])


def test_lowell_starts_are_the_same_from_the_words_of_the_middle_and_of_the_end(lowell):
    def by(rule):
        return lowell.model_copy(update={"header": lowell.header.model_copy(update={"utc_start": rule})})

    middle = by(WordRule(word="MIDTIMJD", kind="jd", moment="middle"))
    end = by(WordRule(words=("DATE-OBS", "UTCEND"), kind="utc", moment="end"))
    for path in sorted(LOWELL.glob("2019*.gz")):
        words, _ = read_words(path)
        start = read_header(words, lowell, path.name).utc_start
        assert read_header(words, middle, path.name).utc_start == pytest.approx(start, abs=0.01 / 86400)
        assert 0 < (read_header(words, end, path.name).utc_start - start) * 86400 < 3  # with the reading of the shutter


def test_lowell_pointing_is_hours_and_degrees_and_lies_on_the_frame(lowell):
    for path in sorted(LOWELL.glob("2019*.gz"))[::6]:
        words, _ = read_words(path)
        header = read_header(words, lowell, path.name)
        assert header.ra == pytest.approx(float(words["CRVAL1"]), abs=0.02)
        assert header.dec == pytest.approx(float(words["CRVAL2"]), abs=0.02)


def test_lowell_areas_gain_and_orientation_are_those_of_the_headers(lowell):
    words, shape = read_words(LOWELL / "20190326.0150.fits.gz")
    assert (shape, lowell.active, lowell.reference) == (lowell.shape, words["TRIMSEC"], words["BIASSEC"])
    gain = lowell.gains[lowell.default_gain]
    assert (gain.e_per_adu, gain.read_noise_e) == (words["AGAIN_01"], words["ARDNS_01"])
    cd = np.array([[float(words[f"CD{i}_{j}"]) for j in (1, 2)] for i in (1, 2)])
    assert np.sqrt(abs(np.linalg.det(cd))) * 3600 == pytest.approx(lowell.pixel_scale_arcsec, rel=1e-3)
    assert np.degrees(np.arctan2(cd[0, 1], cd[1, 1])) == pytest.approx(lowell.orientation_deg, abs=0.1)
    assert (np.linalg.det(cd) > 0) == lowell.mirrored


def test_twilight_flats_and_bias_frames_are_named_in_our_words():
    assert {header_of("lowell42", path)[0].data_type for path in LOWELL.glob("flat/*.gz")} == {"FLAT"}
    bias = [header_of("lowell42", path)[0] for path in LOWELL.glob("zero/*.gz")]
    assert {(header.data_type, header.exposure_s, header.filter) for header in bias} == {("BIAS", 0.0, "")}


def test_one_moment_in_three_forms_of_fram_is_one_moment():
    header, profile, words = header_of("fram", MISC / "fram.fits.gz")
    assert header.utc_sequence == pytest.approx(header.utc_start, abs=0.5 / 86400)  # whole seconds since 1970
    jd = read_quantity(words, WordRule(word="JD", kind="jd"), "jd", "fram")
    assert jd == pytest.approx(header.utc_start, abs=6 / 86400)
    assert (header.ra, header.dec) == (words["TELRA"], words["TELDEC"])
    assert night_of_mjd(header.utc_start, profile.site) == "20151224"


@pytest.mark.parametrize("name", ["solved.fits.fz", "unsolved.fits.gz"])
def test_panoptes_is_read_from_rice_and_gzip(name):
    header, profile, words = header_of("panoptes", MISC / name)
    assert check_file(*read_words(MISC / name), profile, name).problems == ()
    assert (header.object, header.exposure_s, header.sensor) == ("KIC 8462852", 120.4, "1")
    assert header.utc_start == pytest.approx(Time(words["DATE-OBS"], scale="utc").mjd, abs=1e-9)
    assert night_of_mjd(header.utc_start, profile.site) == "20160908"


def test_sip_headers_keep_their_distortion():
    assert "SIP" in read_words(MISC / "fram.fits.gz")[0].get("CTYPE1", "")


def test_a_date_of_year_102_is_2002_and_a_time_at_the_end_of_the_exposure_is_counted_back():
    header, profile, words = header_of("ystar", MISC / "long.fits.gz")
    assert (words["DATE-OBS"], words["TIME-OBS"], words["EXPTIME"]) == ("26/07/102", "19:36:37", 60)
    assert Time(header.utc_start, format="mjd", precision=6).isot == "2002-07-26T19:35:37.000000"
    end = read_quantity(words, WordRule(word="JD", kind="jd"), "end", "long")
    assert (end - header.utc_start) * 86400 == pytest.approx(60, abs=1)  # "Time at end of exposure", to five decimals
    assert check_file(*read_words(MISC / "long.fits.gz"), profile, "long.fits.gz").night == "20020726"
    assert read_quantity(words, WordRule(word="RA", kind="hours"), "ra", "long") == pytest.approx(232.14875)
    assert read_quantity(words, WordRule(word="DEC", kind="degrees"), "dec", "long") == 0.0


def test_a_date_without_its_time_is_refused_by_the_name_of_its_word():
    _, profile, _ = header_of("panoptes", MISC / "solved.fits.fz")
    problems = check_file(*read_words(MISC / "long.fits.gz"), profile, "long.fits.gz").problems
    assert any("DATE-OBS = '26/07/102'" in problem and "without a time of day" in problem for problem in problems)
    assert any("512 columns and 512 rows" in problem for problem in problems)


def test_the_start_of_hatp32_is_one_moment_in_local_time_in_utc_and_counted():
    paths = sorted((DATA / "hatp32").glob("*.gz"))
    assert len(paths) == 21
    for path in paths:
        words, _ = read_words(path)
        starts = [
            read_quantity(words, WordRule(word=word, kind="utc"), "start", path.name) for word in ("DATE-OBS", "UT-OBS")
        ]
        assert starts[0] == starts[1]
        assert Time(starts[0], format="mjd", precision=3).isot == words["UT-OBS"].removesuffix("-0000")
        assert words["MJD-OBS"] == pytest.approx(starts[0], abs=0.001)


def test_the_command_prints_what_it_reads_and_tells_by_its_exit_code(tmp_path, capsys):
    profile = str(PROFILES / "lowell42.yaml")
    good = str(LOWELL / "20190326.0150.fits.gz")
    assert run(["instrument", "check", profile, good]) == 0
    printed = capsys.readouterr().out
    assert "DATE-OBS + UTCSTART" in printed
    assert "2019-03-26T04:31:07.720 UTC" in printed
    assert "124.624583 deg" in printed
    broken = tmp_path / "broken.fits"
    broken.write_bytes(b"SIMPLE  =")
    assert run(["instrument", "check", profile, good, str(broken), "--json"]) == 65
    first, second = json.loads(capsys.readouterr().out)
    assert (first["problems"], first["night"], len(second["problems"])) == ([], "20190325", 1)
    assert "broken.fits" in second["problems"][0]


def test_a_truncated_file_still_tells_its_header(tmp_path, lowell):
    whole = fits.open(LOWELL / "20190326.0150.fits.gz")
    path = tmp_path / "cut.fits"
    whole.writeto(path)
    path.write_bytes(path.read_bytes()[:40000])
    words, shape = read_words(path)
    assert (words["OBJECT"], shape) == ("5945 Roachapproach", lowell.shape)
