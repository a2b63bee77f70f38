"""Test stored pixels in FITS files: every number type is read exactly, undefined pixels as NaN.

Also the choice of one of several images, truncated files, and overflowed integers. Damaged bytes:
`tests/property/test_raw_bytes.py`.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.io import fits

from gozen.calibration.calibrate_frame import calibrate, detector_of
from gozen.errors import CorruptFile
from gozen.frames.raw import as_meant, parse_file, read_words
from gozen.frames.stored_pixels import far_below, run_over
from gozen.instrument.profile import parse_profile

from ..reductions import SMALL

RAMP = np.arange(400).reshape(20, 20)


def written(*hdus, cards=()):
    """Return a FITS file, with further cards in its last header as they are given."""
    sink = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(sink)
    data, end = sink.getvalue(), b"END".ljust(80)
    place = data.rindex(end)
    added = b"".join(card.encode().ljust(80) for card in cards)
    return data[:place] + added + end + data[place + 80 + len(added) :]


def frame_of(data, hdu=None):
    return parse_file(data, "a.fits", hdu).frame(0)


INTEGERS = [
    ("uint8", 0, 255),
    ("int8", -128, 127),
    ("uint16", 0, 65535),
    ("int16", -32768, 32767),
    ("uint32", 1000, 1400),
    ("uint32", 2**31 - 9, 2**31 + 9),
    ("uint32", 0, 2**32 - 1),
    ("int32", -(2**31), 2**31 - 1),
]


@pytest.mark.parametrize(("kind", "low", "high"), [*INTEGERS, ("int64", -(2**53), 2**53), ("uint64", 0, 2**53)])
def test_integers_come_back_as_they_were_written(kind, low, high):
    pixels = np.linspace(low, high, 400).astype(kind).reshape(20, 20)
    np.testing.assert_array_equal(frame_of(written(fits.PrimaryHDU(pixels))), pixels)


@pytest.mark.parametrize(("kind", "low", "high"), INTEGERS)
def test_compressed_integers_come_back_as_they_were_written(kind, low, high):
    pixels = np.linspace(low, high, 400).astype(kind).reshape(20, 20)
    np.testing.assert_array_equal(frame_of(written(fits.PrimaryHDU(), fits.CompImageHDU(pixels))), pixels)


@pytest.mark.parametrize("level", [1000.123456789, 1e9 + 0.25, 1e300])
def test_floats_of_64_bits_keep_them(level):
    pixels = level + RAMP.astype(np.float64)
    pixels[3, 3] = np.nan
    np.testing.assert_array_equal(frame_of(written(fits.PrimaryHDU(pixels))), pixels)


def test_float32_is_enough_for_what_it_holds():
    assert frame_of(written(fits.PrimaryHDU(RAMP.astype(np.int32)))).dtype == np.float32
    assert frame_of(written(fits.PrimaryHDU(RAMP.astype(np.uint16)))).dtype == np.uint16


@pytest.mark.parametrize(("kind", "value"), [("int64", 2**53 + 1), ("int64", -(2**63)), ("uint64", 2**64 - 1)])
def test_integers_that_no_float_holds_are_refused_and_named(kind, value):
    pixels = RAMP.astype(kind)
    pixels[5, 5] = value
    with pytest.raises(CorruptFile, match=r"a\.fits: a pixel is .* beyond 2\^53"):
        frame_of(written(fits.PrimaryHDU(pixels)))


@pytest.mark.parametrize(
    ("kind", "cards", "expected"),
    [
        ("int16", ["BLANK   = 9"], lambda stored: stored),
        ("int32", ["BLANK   = 9"], lambda stored: stored),
        ("uint8", ["BLANK   = 9"], lambda stored: stored),
        ("int16", ["BLANK   = 9", "BZERO   = 32768"], lambda stored: stored + 32768),
        ("int32", ["BLANK   = 9", "BZERO   = 2147483648"], lambda stored: stored + 2147483648),
        ("int16", ["BLANK   = 9", "BZERO   = 100.5", "BSCALE  = -0.5"], lambda stored: 100.5 - 0.5 * stored),
    ],
)
def test_pixels_that_blank_marks_are_nan_and_the_others_scaled(kind, cards, expected):
    stored = (RAMP % 200).astype(kind)
    wanted = np.where(stored == 9, np.nan, expected(stored.astype(np.float64)))
    np.testing.assert_array_equal(frame_of(written(fits.PrimaryHDU(stored), cards=cards)), wanted)


@pytest.mark.parametrize("word", ["BLANK   = 9", "ZBLANK  = 9"])
@pytest.mark.parametrize("kind", ["int16", "uint16", "int32"])
def test_undefined_pixels_in_compressed_tiles_are_nan(word, kind):
    offset = 32768 if kind == "uint16" else 0
    data = written(fits.PrimaryHDU(), fits.CompImageHDU((RAMP + offset).astype(kind)), cards=[word])
    np.testing.assert_array_equal(frame_of(data), np.where(RAMP == 9, np.nan, RAMP + float(offset)))


def test_a_frame_without_undefined_pixels_stays_uint16_and_floats_have_no_blank():
    whole = RAMP.astype(np.uint16) + np.uint16(32768)
    assert frame_of(written(fits.PrimaryHDU(whole), cards=["BLANK   = -5"])).dtype == np.uint16
    floats = written(fits.PrimaryHDU(RAMP.astype(np.float32)), cards=["BLANK   = 9"])
    assert np.isfinite(frame_of(floats)).all()


@pytest.mark.parametrize("card", ["BSCALE  = 0", "BZERO   = 'much'", "BLANK   = 'none'"])
def test_a_scaling_that_means_nothing_is_refused(card):
    with pytest.raises(CorruptFile, match=rf"a\.fits: {card.split()[0]} = "):
        parse_file(written(fits.PrimaryHDU(RAMP.astype(np.int16)), cards=[card]), "a.fits")


def mosaic():
    words = fits.Header({"OBJECT": "M 67", "GAIN": "low"})
    return written(
        fits.PrimaryHDU(header=words),
        fits.ImageHDU(name="NOTHING"),
        fits.ImageHDU(RAMP.astype(np.int16), fits.Header({"GAIN": "high"}), name="AMP1"),
        fits.CompImageHDU((RAMP + 1).astype(np.int16), name="AMP2"),
        fits.BinTableHDU.from_columns([fits.Column("row", "J", array=[1])], name="TABLE"),
        fits.ImageHDU((RAMP + 2).astype(np.int16), fits.Header({"INHERIT": False}), name="Amp3"),
    )


@pytest.mark.parametrize(
    ("hdu", "added", "said"),
    [
        (None, 0, {"OBJECT": "M 67", "GAIN": "high"}),
        ("amp2", 1, {"OBJECT": "M 67", "GAIN": "low"}),
        (5, 2, {"OBJECT": None, "GAIN": None}),
        ("AMP3", 2, {"OBJECT": None, "GAIN": None}),
    ],
)
def test_an_image_is_chosen_and_takes_the_primary_words_that_it_lacks(hdu, added, said):
    file = parse_file(mosaic(), "a.fits", hdu)
    np.testing.assert_array_equal(file.frame(0), RAMP + added)
    assert {word: file.words.get(word) for word in said} == said
    words, shape = read_words(io.BytesIO(mosaic()), hdu)
    assert (words, shape) == (file.words, (20, 20))
    assert file.images == ("HDU 2 (AMP1)", "HDU 3 (AMP2)", "HDU 5 (AMP3)")


@pytest.mark.parametrize("hdu", [0, 1, 4, 9, "SCI"])
def test_an_image_that_is_not_there_is_named_with_those_that_are(hdu):
    with pytest.raises(
        CorruptFile,
        match=rf"the profile has `hdu: {hdu}`, but the file has no such image.*HDU 2 \(AMP1\), HDU 3 \(AMP2\), HDU 5",
    ):
        read_words(io.BytesIO(mosaic()), hdu)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_ends_within_its_pixels_is_refused(packed):
    pixels = np.random.default_rng(1).integers(0, 9999, (100, 100)).astype(np.uint16)
    hdus = [fits.PrimaryHDU(), fits.CompImageHDU(pixels)] if packed else [fits.PrimaryHDU(pixels)]
    data = written(*hdus)
    with pytest.raises(CorruptFile, match="probably truncated"):
        parse_file(data[: len(data) - 5000], "a.fits")


def test_the_sky_is_kept_where_the_pixels_need_64_bits():
    camera = parse_profile(SMALL, "small")
    pixels = np.full((400, 540), 2**31, np.uint32)
    pixels[:, :500] += (np.arange(500) % 7).astype(np.uint32)
    raw = frame_of(written(fits.PrimaryHDU(pixels)))
    image, _ = calibrate(raw, detector_of(camera, "111", "high"))
    np.testing.assert_array_equal(image, np.broadcast_to(np.arange(500) % 7, (400, 500)))


def sky_with_stars(peak, sky=1000):
    y, x = np.mgrid[:200, :200]
    image = np.random.default_rng(2).normal(sky, 12, (200, 200))
    for at in ((50, 60), (140, 90)):
        image += peak * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 4.5)
    return np.clip(image, 0, 65535).astype(np.uint16).astype(np.int16)


@pytest.mark.parametrize("frame", [sky_with_stars(45000), sky_with_stars(500, 40000), sky_with_stars(3000, 32740)])
def test_unsigned_pixels_that_are_taken_for_signed_ones_are_noticed(frame):
    assert frame.min() < 0
    assert run_over(frame) > 0


def dead_pixels():
    frame = sky_with_stars(20000)
    frame[20:40, 30], frame[70, 70] = -32768, -4000
    return frame


@pytest.mark.parametrize(
    "frame",
    [
        sky_with_stars(30000),
        sky_with_stars(20000, 0) - np.int16(40),
        dead_pixels(),
        np.random.default_rng(3).normal(0, 400, (100, 100)).astype(np.int16),
    ],
    ids=["no negative ones", "noise around zero", "dead pixels", "a wide noise"],
)
def test_signed_pixels_are_no_unsigned_ones(frame):
    assert run_over(frame) == 0


def test_dead_pixels_lie_far_below_the_sky():
    assert far_below(dead_pixels()).sum() == 21


@pytest.mark.parametrize("packed", [False, True])
def test_a_profile_says_how_16_bits_are_meant(packed):
    pixels = sky_with_stars(45000)
    hdus = [fits.PrimaryHDU(), fits.CompImageHDU(pixels)] if packed else [fits.PrimaryHDU(pixels)]
    file = parse_file(written(*hdus), "a.fits")
    with pytest.raises(CorruptFile, match=r"a\.fits: frame 0 has \d+ negative pixels .*`unsigned: true`"):
        as_meant(file, parse_profile(SMALL, "small"))
    unsigned = as_meant(file, parse_profile(f"{SMALL}unsigned: true\n", "small")).frame(0)
    assert (unsigned.dtype, unsigned.min() > 900, unsigned.max() > 45000) == (np.uint16, True, True)
    assert as_meant(file, parse_profile(f"{SMALL}unsigned: false\n", "small")).frame(0).min() < 0
