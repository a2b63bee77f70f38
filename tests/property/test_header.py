"""Generated headers: reading one gives its quantities or a `CorruptFile`, never another exception.

Covered: `read_header`, `check_file` and the FITS header cards that they use.
"""

import math
from datetime import UTC, datetime, timedelta
from io import BytesIO

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from gozen.errors import CorruptFile
from gozen.frames.fits_images import quiet
from gozen.frames.header_cards import header_words
from gozen.frames.raw import parse_file, read_words
from gozen.instrument.header_rules import WordRule
from gozen.instrument.profile import load_profile
from gozen.instrument.profile_check import check_file
from gozen.instrument.read_header import convert, mjd_of_utc, night_of_mjd, read_header, utc_of_mjd

TOMOE = load_profile("tomoe")
USED = sorted({word for rule in vars(TOMOE.header).values() if rule for word in rule.sources})
GOOD = {
    "OBJECT": "J0118+2942",
    "DATA-TYP": "OBJECT",
    "UTC": "2024-01-05T12:00:01.5",
    "UTC-EXP": "2024-01-05T12:00:00",
    "EXPTIME1": 0.499904,
    "TFRAME": 0.5,
    "TRLSTEP1": 0.00041475,
    "RA": "01:18:59.1",
    "DEC": "-00:30:12.0",
    "DET_ID": "121",
}
AWKWARD = st.sampled_from(
    [
        "",
        " ",
        "-",
        ":",
        "::",
        "1:2:3:4",
        "-00:30",
        "nan",
        "inf",
        "1e400",
        "2024-13-01T00:00:00",
        "T",
        "Z",
        "0",
        "９",
        "\0",
    ]
)
VALUES = st.one_of(
    AWKWARD,
    st.text(max_size=20),
    st.floats(),
    st.integers(),
    st.booleans(),
    st.none(),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.from_regex(r"[+-]?\d{1,3}[: ]\d{1,2}([: ]\d{1,2}(\.\d*)?)?", fullmatch=True),
)


def is_whole(header):
    return (
        header.data_type in ("OBJECT", "DARK", "FLAT", "BIAS")
        and math.isfinite(header.utc_start + header.exposure_s + header.frame_time_s + header.row_time_s)
        and (header.ra is None or math.isfinite(header.ra))
        and (header.dec is None or math.isfinite(header.dec))
        and header.gain in TOMOE.gains
        and len(night_of_mjd(header.utc_start, TOMOE.site)) == 8
    )


def outcome(read, *args):
    """Return what reading gives, or the refusal; any other exception fails the test."""
    try:
        return read(*args)
    except CorruptFile as refusal:
        return refusal


@given(st.dictionaries(st.sampled_from(USED), VALUES))
@settings(max_examples=400, deadline=None)
def test_a_header_with_any_values_is_whole_or_corrupt(changes):
    words = GOOD | changes
    header = outcome(read_header, words, TOMOE, "a.fits")
    if isinstance(header, CorruptFile):
        assert str(header).startswith("a.fits: ")
        assert check_file(words, (18, 1128, 2156), TOMOE, "a.fits").problems
    else:
        assert is_whole(header)


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=8), st.lists(st.integers(0, 3000), max_size=4))
@settings(deadline=None)
def test_a_check_of_anything_is_a_list_of_problems(words, shape):
    assert check_file(words, tuple(shape), TOMOE, "a.fits").problems


@given(st.floats(-89.9999, 89.9999), st.sampled_from(": "))
def test_sexagesimal_angles_come_back(angle, separator):
    size = abs(angle) + 1e-12
    degrees, minutes = int(size), int(size * 60) % 60
    seconds = (size - degrees) * 3600 - minutes * 60
    text = f"{'-' if angle < 0 else '+'}{degrees:02d}{separator}{minutes:02d}{separator}{min(seconds, 59.999999):09.6f}"
    assert convert(text, WordRule(word="DEC", kind="degrees")) == pytest.approx(angle, abs=1e-9 + 1e-6 / 3600)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31)))
def test_times_come_back_to_two_microseconds(moment):
    moment = moment.replace(tzinfo=UTC)
    read = convert(moment.isoformat().removesuffix("+00:00"), WordRule(word="UTC", kind="utc"))
    assert read == mjd_of_utc(moment)
    assert abs(utc_of_mjd(read) - moment) <= timedelta(microseconds=2)


def fits_bytes():
    """Return a small FITS file of two frames with the good header."""
    hdu = fits.PrimaryHDU(np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4))
    hdu.header.update(GOOD)
    sink = BytesIO()
    hdu.writeto(sink)
    return sink.getvalue()


FILE = fits_bytes()


@given(st.integers(0, len(FILE) // 80 - 40), st.binary(min_size=1, max_size=80), st.integers(0, 79))
@settings(max_examples=150, deadline=None)
def test_a_file_with_overwritten_cards_is_read_or_corrupt(card, noise, column):
    start = 80 * card + min(column, 80 - len(noise))
    damaged = FILE[:start] + noise + FILE[start + len(noise) :]
    read = outcome(read_words, BytesIO(damaged))
    if not isinstance(read, CorruptFile):
        header = outcome(read_header, read[0], TOMOE, "a.fits")
        assert isinstance(header, CorruptFile) or is_whole(header)
    parsed = outcome(parse_file, damaged, "a.fits")
    assert isinstance(parsed, CorruptFile) or parsed.frames.ndim == 3


@given(st.integers(0, len(FILE) - 1))
@settings(deadline=None)
def test_a_file_cut_anywhere_is_read_or_corrupt(length):
    parsed = outcome(parse_file, FILE[:length], "a.fits")
    assert isinstance(parsed, CorruptFile) or parsed.frames.shape == (2, 3, 4)


CARD_WORDS = st.sampled_from(
    ["OBJECT", "DATE-OBS", "A", "T_CCD1", "COMMENT", "HISTORY", "END", "object", "1X", "", "X Y", "NINELONGS"]
)
CARD_VALUES = st.one_of(
    st.from_regex(r"\A[-+]?[0-9]{1,12}\Z"),
    st.from_regex(r"\A[-+]?[0-9]{0,9}\.[0-9]{0,14}([EDe][-+]?[0-9]{1,2})?\Z"),
    st.from_regex(r"\A'[A-Za-z0-9 :/.,&']{0,12}'\Z"),
    st.sampled_from(
        ["T", "F", "TF", "'", "''", "' '", "' a'", "(1, 2)", "1 2", "0x1", "-0", "00", "007", "nan", "1e5", "&"]
    ),
    st.text("T'F/= .:-1&", max_size=8),
)
CARD_ENDS = st.sampled_from(["", " ", "/", " / comment", " /= 'it''s' 5", " x", "   /"])


@st.composite
def cards(draw):
    word, value, end = draw(CARD_WORDS), draw(CARD_VALUES), draw(CARD_ENDS)
    sign = draw(st.sampled_from(["= ", "=  ", "=          ", " = ", "  ", "= = "]))
    return f"{word.ljust(draw(st.sampled_from([8, 8, 8, 0])))}{sign}{value}{end}"[:80].ljust(80)


@given(st.lists(cards(), max_size=4))
def test_a_plain_card_has_the_value_that_astropy_reads(lines):
    text = "".join(lines)
    expected = {}
    with quiet():
        words = header_words(text.encode())
        for card in fits.Header.fromstring(text).cards:
            try:
                expected.setdefault(card.rawkeyword.upper(), card.rawvalue)
            except (fits.VerifyError, ValueError):
                expected.setdefault(card.keyword.upper(), None)
    assert list(words) == list(expected)
    for word, value in expected.items():
        if value is not None and not isinstance(value, float):
            assert (words[word], type(words[word])) == (value, type(value))
        if isinstance(value, float):
            assert float(str(words[word]).replace("D", "E")) == value
