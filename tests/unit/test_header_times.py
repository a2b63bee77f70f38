"""Test times in headers: forms of text, offsets, local clocks, time scales, and the resulting moment.

`read_header` and `check_file` are compared with dates written by hand, and with astropy in every time scale. Not
covered: other quantities (`test_instrument.py`), real headers (`tests/real/test_instrument_check.py`).
"""

from __future__ import annotations

import io
import socket
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.time import Time

from gozen.errors import CorruptFile, UnreadableInput
from gozen.frames.raw import assemble, parse_file
from gozen.instrument.earth_rotation import installed_tables
from gozen.instrument.profile import Profile, parse_profile
from gozen.instrument.profile_check import check_file
from gozen.instrument.read_header import mjd_of_utc, night_of_mjd, read_header, utc_of_mjd

DAY_US = 86400e6


def camera(zone: str = "Asia/Tokyo", raw: str = "frames", header: dict[str, Any] | None = None, **rule: Any) -> Profile:
    """Return a profile whose rule of `utc_start` is given."""
    words = {
        "object": {"value": "field"},
        "data_type": {"value": "OBJECT"},
        "utc_start": {"word": "DATE-OBS", "kind": "utc"} | rule,
        "exposure_s": {"word": "EXPTIME", "kind": "number"},
    }
    content = {
        "name": "camera",
        "site": {"name": "Here", "longitude_deg": 10, "latitude_deg": 50, "height_m": 100, "time_zone": zone},
        "raw": raw,
        "shape": [20, 30],
        "active": "[1:30,1:20]",
        "pixel_scale_arcsec": 1.0,
        "gains": {"one": {"e_per_adu": 1, "read_noise_e": 5, "saturation_adu": 60000}},
        "default_gain": "one",
        "sensors": [{"id": "1"}],
        "header": words | (header or {}),
    }
    return parse_profile(yaml.safe_dump(content), "camera.yaml")


def start(profile: Profile, *, exptime: float = 60.0, **words: Any) -> float:
    """Return when an exposure starts, MJD (UTC); `__` in a word's name stands for a hyphen."""
    header = {word.replace("__", "-"): value for word, value in words.items()}
    return read_header({"EXPTIME": exptime} | header, profile, "a.fits").utc_start


def refusal(profile: Profile, **words: Any) -> str:
    with pytest.raises(CorruptFile) as caught:
        start(profile, **words)
    return str(caught.value)


def mjd(text: str) -> float:
    return mjd_of_utc(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2017-12-20T01:33:43.317-0000", "2017-12-20T01:33:43.317"),
        ("2017-12-20T00:51:12.888-0700", "2017-12-20T07:51:12.888"),
        ("2026-01-15T21:34:56+09:00", "2026-01-15T12:34:56"),
        ("2026-01-15T21:34:56+0900", "2026-01-15T12:34:56"),
        ("2026-01-15T21:34:56+09", "2026-01-15T12:34:56"),
        ("2026-01-16T00:04:56 +05:30", "2026-01-15T18:34:56"),
        ("2026-01-15T12:34:56Z", "2026-01-15T12:34:56"),
        ("2026-01-15T12:34:56 UTC", "2026-01-15T12:34:56"),
        ("2026-01-15t12:34:56z", "2026-01-15T12:34:56"),
        ("2026-01-15 12:34:56", "2026-01-15T12:34:56"),
        ("2026-01-15  4:3:6.5", "2026-01-15T04:03:06.5"),
        ("20260115T123456", "2026-01-15T12:34:56"),
        ("20260115T123456.25+0900", "2026-01-15T03:34:56.25"),
        ("2026-01-15T12:34:56,789", "2026-01-15T12:34:56.789"),
        ("2026-01-15T12:34:56.", "2026-01-15T12:34:56"),
        ("2026/01/15 12:34:56", "2026-01-15T12:34:56"),
        ("2026-01-15T24:00:00", "2026-01-16T00:00:00"),
        ("2026-01-15T12:34:60.0", "2026-01-15T12:35:00"),
        ("2026-01-15T23:59:60", "2026-01-16T00:00:00"),
        ("31/12/97 23:00:00", "1997-12-31T23:00:00"),
        ("26/07/102 19:36:37", "2002-07-26T19:36:37"),
        ("26/07/02 19:36:37", "2002-07-26T19:36:37"),
        ("26/07/2002T19:36:37", "2002-07-26T19:36:37"),
    ],
)
def test_a_text_in_any_of_the_forms_is_that_moment(text: str, utc: str) -> None:
    assert start(camera(), DATE__OBS=text) == mjd(utc)


@pytest.mark.parametrize(
    ("words", "values", "utc"),
    [
        (("DATE", "TIME"), ("2026-01-15", "21:34:56+09:00"), "2026-01-15T12:34:56"),
        (("DATE", "TIME"), (20260115, "12:34:56.5"), "2026-01-15T12:34:56.5"),
        (("DATE", "TIME"), ("26/07/102", "19:36:37"), "2002-07-26T19:36:37"),
        (("DATE", "TIME", "ZONE"), ("2026-01-15", "21:34:56.5", "+09:00"), "2026-01-15T12:34:56.5"),
        (("DATE", "ZONE"), ("2026-01-15T21:34:56", "+09:00"), "2026-01-15T12:34:56"),
        (("DATE", "TIME"), ("2026-01-15T00:00:00", "12:34:56"), "2026-01-15T12:34:56"),
        (("DATE", "TIME"), ("2026-01-15T12:34:56", "12:34:56.25"), "2026-01-15T12:34:56.25"),
        (("DATE", "TIME"), ("2026-01-15T21:34:56+09:00", "21:34:56"), "2026-01-15T12:34:56"),
        (("DATE", "TIME"), ("2026-01-15", "2026-01-15T12:34:56"), "2026-01-15T12:34:56"),
    ],
)
def test_words_of_date_time_and_offset_are_one_moment(words: tuple[str], values: tuple[Any], utc: str) -> None:
    profile = camera(word=None, words=list(words))
    assert start(profile, **dict(zip(words, values, strict=True))) == mjd(utc)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-01-15", "a date without a time of day"),
        ("26/07/102", "a date without a time of day"),
        ("tomorrow", "valid forms are 2026-01-15T12:34:56.789"),
        ("2026-01-15T12:34", "'12:34' is not a time of day; valid forms are"),
        ("2026-01-15T25:00:00", "'25:00:00' is not a time of day; valid forms are"),
        ("2026-01-15T24:00:01", "'24:00:01' is not a time of day"),
        ("2026-01-15T12:34:61", "'12:34:61' is not a time of day"),
        ("2026-02-30T12:00:00", "'2026-02-30' is not a day: year 2026, month 2, day 30; valid forms are"),
        ("07/26/02 12:00:00", "is not a day: year 2002, month 26, day 7; valid forms are"),
        ("2026-01-15T12:34:56 JST", "'12:34:56 JST' is not a time of day; valid forms are"),
        ("2026-01-15T12:34:56+25:00", "not an offset from UTC"),
        ("2026-01-15T１２:34:56", "is not a time of day; valid forms are"),
        ("1026-01-15T12:34:56", "the year 1026 is not within the years 1900 to 2199"),
        ("", "the header has no keyword DATE-OBS"),
        (True, "valid forms are"),
    ],
)
def test_what_is_no_moment_names_the_word_the_value_and_what_is_understood(text: Any, says: str) -> None:
    said = refusal(camera(), DATE__OBS=text)
    assert says in said
    assert said.startswith("a.fits: ")
    assert "DATE-OBS" in said
    assert repr(text) in said or not text
    for word in ("isoformat", "unpack", "could not convert", "invalid literal", "NoneType", "int()"):
        assert word not in said


def test_two_words_that_give_two_times_of_day_are_both_named() -> None:
    profile = camera(word=None, words=["DATE-OBS", "UT"])
    said = refusal(profile, DATE__OBS="2026-01-15T21:34:56", UT="12:34:56")
    assert "'2026-01-15T21:34:56' and '12:34:56' have different times of day" in said
    said = refusal(profile, DATE__OBS="2026-01-16", UT="2026-01-15T12:34:56")
    assert "'2026-01-16' and '2026-01-15T12:34:56' have different dates" in said
    said = refusal(profile, DATE__OBS="2026-01-15", UT="12.5")
    assert (
        "DATE-OBS + UT = '2026-01-15' + '12.5' cannot be read as utc for utc_start ('12.5' is not a time of day" in said
    )


@pytest.mark.parametrize("value", ["half", "1_000", "５", "0,5", "1 2"])
def test_what_is_no_number_is_said_without_words_of_python(value: str) -> None:
    with pytest.raises(
        CorruptFile, match=r"EXPTIME = .* cannot be read as number for exposure_s \(it is not a number such as 12\.5"
    ):
        read_header({"DATE-OBS": "2026-01-15T12:00:00", "EXPTIME": value}, camera(), "a.fits")


@pytest.mark.parametrize(
    ("zone", "text", "utc"),
    [
        ("Asia/Tokyo", "2026-01-15T21:34:56", "2026-01-15T12:34:56"),
        ("Asia/Kolkata", "2026-01-16 00:04:56", "2026-01-15T18:34:56"),
        ("Australia/Adelaide", "2026-01-15T21:34:56", "2026-01-15T11:04:56"),
        ("Europe/Berlin", "2026-07-15T00:00:00", "2026-07-14T22:00:00"),
        ("Europe/Berlin", "2026-10-25T01:59:59", "2026-10-24T23:59:59"),
        ("Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T02:00:00"),
        ("America/New_York", "2026-01-15T21:34:56+09:00", "2026-01-15T12:34:56"),
        ("Asia/Tokyo", "2026-01-15T24:00:00", "2026-01-15T15:00:00"),
    ],
)
def test_the_clock_at_the_site_is_read_in_the_zone_of_the_profile(zone: str, text: str, utc: str) -> None:
    assert start(camera(zone, kind="local"), DATE__OBS=text) == mjd(utc)


def test_a_local_time_that_clocks_show_twice_or_never_is_said() -> None:
    berlin = camera("Europe/Berlin", kind="local")
    twice = refusal(berlin, DATE__OBS="2026-10-25T02:30:00")
    assert "2026-10-25 02:30 in Europe/Berlin: this local time occurred twice" in twice
    assert "at 00:30 and 01:30 UTC" in twice
    never = refusal(berlin, DATE__OBS="2026-03-29T02:30:00")
    assert "2026-03-29 02:30 in Europe/Berlin: this local time does not exist" in never
    assert start(berlin, DATE__OBS="2026-10-25T02:30:00+01:00") == mjd("2026-10-25T01:30:00")


def test_a_check_of_a_local_time_shows_utc_and_the_night() -> None:
    check = check_file({"DATE-OBS": "2026-01-16T00:30:00", "EXPTIME": 60}, (20, 30), camera(kind="local"), "a.fits")
    assert (check.problems, check.night) == ((), "20260115")
    read = {quantity.name: quantity.converted or "" for quantity in check.quantities}
    assert read["utc_start"].startswith("2026-01-15T15:30:00.000 UTC")


@pytest.mark.parametrize("scale", ["TAI", "TT", "TDB", "UTC"])
def test_other_time_scales_are_converted_as_astropy_does(scale: str) -> None:
    rng = np.random.default_rng(7)
    profile, counted = camera(), camera(word="MJD-OBS", kind="mjd")
    for day, part in zip(rng.integers(41400, 62000, 60), rng.integers(0, 86_400_000_000, 60), strict=True):
        with installed_tables():
            there = Time(int(day), part / DAY_US, format="mjd", scale=scale.lower(), precision=6)
            wanted, text = there.utc, there.isot
        for found in (start(profile, DATE__OBS=text, TIMESYS=scale), start(counted, MJD__OBS=there.mjd, TIMESYS=scale)):
            off = Time(found, format="mjd", scale="utc") - wanted
            assert abs(off.to_value("us")) < 1


def test_gps_time_is_nineteen_seconds_before_tai() -> None:
    # GPS time is 18 s ahead of UTC since 2017.
    assert start(camera(), DATE__OBS="2026-01-15T12:00:18", TIMESYS="GPS") == mjd("2026-01-15T12:00:00")
    assert start(camera(), DATE__OBS="2026-01-15T12:00:37", TIMESYS="TAI") == mjd("2026-01-15T12:00:00")


@pytest.mark.parametrize("timesys", ["utc", "UTC(NIST)", "UT", "GMT", "", None, " tai ", "tt(TAI)", "IAT"])
def test_a_scale_may_be_written_small_with_its_realization_or_left_out(timesys: Any) -> None:
    ahead = {" tai ": 37.0, "tt(TAI)": 69.184, "IAT": 37.0}.get(timesys, 0.0)
    words = {} if timesys is None else {"TIMESYS": timesys}
    assert start(camera(), DATE__OBS="2026-01-15T12:00:00", **words) == pytest.approx(
        mjd("2026-01-15T12:00:00") - ahead / 86400, abs=1e-11
    )


@pytest.mark.parametrize("timesys", ["UT1", "LOCAL", "TCB", "TCG", "JST", "moon", 5])
def test_any_other_scale_is_refused_and_the_way_out_is_said(timesys: Any) -> None:
    said = refusal(camera(), DATE__OBS="2026-01-15T12:00:00", TIMESYS=timesys)
    assert f"TIMESYS = {timesys!r} is not one of UTC, TAI, TT, TDB, GPS" in said
    assert "DATE-OBS = '2026-01-15T12:00:00'" in said
    assert "`timesys: UTC`" in said
    said_so = camera(timesys="utc")
    assert start(said_so, DATE__OBS="2026-01-15T12:00:00", TIMESYS=timesys) == mjd("2026-01-15T12:00:00")
    local = camera("Asia/Tokyo", kind="local")
    assert start(local, DATE__OBS="2026-01-15T21:00:00", TIMESYS=timesys) == mjd("2026-01-15T12:00:00")


def test_a_scale_holds_for_counted_days_too_but_not_for_unix_seconds() -> None:
    noon = mjd("2026-01-15T12:00:00")
    for kind, value in (("mjd", 61055.5), ("jd", 2461056.0)):
        found = start(camera(word="COUNT", kind=kind), COUNT=value, TIMESYS="TAI")
        assert found == pytest.approx(noon - 37 / 86400, abs=1e-11)
    assert start(camera(word="COUNT", kind="unix"), COUNT=1768478400, TIMESYS="TAI") == noon


def test_an_offset_contradicts_another_scale() -> None:
    said = refusal(camera(), DATE__OBS="2026-01-15T12:00:00Z", TIMESYS="TAI")
    assert "the text has an offset from UTC, but TIMESYS is TAI" in said


def test_seconds_of_a_julian_date_are_not_lost_in_a_float() -> None:
    hdu = fits.PrimaryHDU(np.zeros((20, 30), np.uint16))
    hdu.header["EXPTIME"] = 60.0
    hdu.header.append(fits.Card.fromstring("JD      = 2461056.024259259259"))
    with np.errstate(all="ignore"):
        hdu.writeto(written := io.BytesIO())
    found = assemble([parse_file(written.getvalue(), "a.fits")], camera(word="JD", kind="jd")).header.utc_start
    assert abs(utc_of_mjd(found) - datetime(2026, 1, 15, 12, 34, 56, tzinfo=UTC)).total_seconds() < 1e-6


def test_a_leap_second_is_a_moment_of_its_own() -> None:
    texts = ["2016-12-31T00:00:00", "2016-12-31T12:00:00", "2016-12-31T23:59:59.5", "2016-12-31T23:59:60.5"]
    found = [start(camera(), DATE__OBS=text) for text in (*texts, "2017-01-01T00:00:00.5")]
    with installed_tables():
        wanted = Time([*texts, "2017-01-01T00:00:00.5"], scale="utc").mjd
    np.testing.assert_allclose(found, wanted, atol=1e-11, rtol=0)
    assert np.all(np.diff(found) > 0)
    assert start(camera(), DATE__OBS="2017-01-01T08:59:60.5+09:00") == found[3]
    assert start(camera(kind="local"), DATE__OBS="2017-01-01T08:59:60.5") == found[3]


def test_utc_and_mjd_are_inverse_on_a_day_with_a_leap_second() -> None:
    for text in ("2016-12-31T00:00:00", "2016-12-31T23:59:59.999999", "2017-01-01T00:00:00"):
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        assert abs((utc_of_mjd(mjd_of_utc(moment)) - moment).total_seconds()) <= 1e-6


@pytest.mark.parametrize(("moment", "before_s"), [("start", 0), ("middle", 30), ("end", 60)])
def test_a_profile_says_which_moment_of_the_exposure_a_header_gives(moment: str, before_s: float) -> None:
    found = start(camera(moment=moment), DATE__OBS="2026-01-15T12:01:00")
    assert found == pytest.approx(mjd("2026-01-15T12:01:00") - before_s / 86400, abs=1e-11)


@pytest.mark.parametrize(("moment", "share"), [("start", 0.0), ("middle", 0.5), ("end", 1.0)])
def test_of_a_cube_the_moment_is_that_of_all_its_frames(moment: str, share: float) -> None:
    further = {"frame_time_s": {"value": 2.0, "kind": "number"}, "row_time_s": {"value": 0.01, "kind": "number"}}
    profile = camera(raw="cube", header=further, moment=moment)
    hdu = fits.PrimaryHDU(np.zeros((5, 20, 30), np.uint16))
    hdu.header.update({"DATE-OBS": "2026-01-15T12:01:00", "EXPTIME": 1.5})
    hdu.writeto(written := io.BytesIO())
    cube = assemble([parse_file(written.getvalue(), "a.fits")], profile)
    lasts_s = 4 * 2.0 + 19 * 0.01 + 1.5
    first = mjd("2026-01-15T12:01:00") - share * lasts_s / 86400
    np.testing.assert_allclose(cube.start, first + np.arange(5) * 2.0 / 86400, atol=1e-11, rtol=0)


def test_the_night_is_that_of_the_start_and_a_check_shows_both_moments() -> None:
    profile = camera(moment="end")
    words = {"DATE-OBS": "2026-01-16T03:00:30", "EXPTIME": 60.0}
    check = check_file(words, (20, 30), profile, "a.fits")
    assert check.night == "20260115" == night_of_mjd(start(profile, DATE__OBS=words["DATE-OBS"]), profile.site)
    (read,) = [quantity.converted or "" for quantity in check.quantities if quantity.name == "utc_start"]
    assert read.startswith("2026-01-16T02:59:30.000 UTC")
    assert "from the end of the exposure, 2026-01-16T03:00:30.000 UTC" in read


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"moment": "begin"}, "header.utc_start.moment: it should be 'start', 'middle' or 'end'"),
        ({"timesys": "UT1"}, "header.utc_start.timesys: it should be 'UTC', 'TAI', 'TT', 'TDB' or 'GPS'"),
        ({"kind": "local", "timesys": "TAI"}, "timesys applies only to the kinds utc, jd and mjd"),
        (
            {"kind": "text"},
            "utc_start has `kind: text`, but it is a time; give one of the kinds utc, local, jd, mjd, unix",
        ),
        ({"optional": True}, "utc_start is optional"),
        ({"header": {"exposure_s": {"word": "E", "kind": "number", "moment": "end"}}}, "exposure_s has `moment: end`"),
    ],
)
def test_a_rule_that_makes_no_sense_for_a_time_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UnreadableInput) as caught:
        camera(**changes)
    assert says in str(caught.value)


def test_nothing_is_fetched_to_convert_a_time_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert start(camera(), DATE__OBS="2026-01-15T12:00:00", TIMESYS="TT") > 0
