"""Test FITS products: Rice-compressed int16, its noise, blanks, tables, bytes independent of time, checksums, cards."""

from __future__ import annotations

import io
import time
import warnings

import numpy as np
import pytest
from astropy.io import fits

from gozen.errors import UnreadableInput
from gozen.frames.fits_products import compressed, plain, read_plain, scaling

WHEN = "2026-11-20T12:00:00"
CARDS = [
    ("OBJECT", "J0118+2942_dith1", "target"),
    ("EXPTIME", 8.5, "[s]"),
    ("NOTHING", float("nan"), "not a number becomes undefined"),
    ("LONG", "x" * 100, "longer than a card"),
    ("WORDY", 1, "a comment that is so long that it does not fit into the eighty characters of one card at all"),
    ("HISTORY", "detection.threshold_sigma = 5.0", ""),
]


def image(shape=(120, 160), noise=4.0, seed=1):
    rng = np.random.default_rng(seed)
    pixels = rng.normal(70, noise, shape)
    pixels[..., 40:43, 50:53] += 20000
    return pixels.astype(np.float32)


def opened(data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return fits.open(io.BytesIO(data), checksum=True, memmap=False, **options)


def pixels(data):
    with opened(data) as hdus:
        return np.asarray(hdus[1].data, np.float64)


@pytest.mark.parametrize("noise", [1.5, 4.0, 30.0])
def test_quantisation_adds_less_than_half_a_percent_to_the_noise(noise):
    given = image(noise=noise)
    error = pixels(compressed(given, CARDS, noise, WHEN)) - given
    assert np.sqrt(1 + (error.std() / noise) ** 2) < 1.005
    assert abs(error.mean()) < 0.01 * noise
    assert np.abs(error).max() < 0.2 * noise


def test_the_whole_range_fits_even_where_the_noise_is_small():
    scale, zero = scaling(np.array([-500.0, 60000.0], np.float32), 0.5)
    low, high = -500.0, 60000.0
    assert (low - zero) / scale >= -32767
    assert (high - zero) / scale <= 32767


def test_blank_pixels_come_back_as_no_numbers():
    given = image()
    given[10, 20], given[100:, 150:] = np.nan, np.nan
    found = pixels(compressed(given, CARDS, 4.0, WHEN))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(given))
    with opened(compressed(given, CARDS, 4.0, WHEN)) as hdus:
        assert hdus[1].header["BLANK"] == -32768


@pytest.mark.parametrize("level", [0.0, 123.25])
def test_an_image_of_one_value_or_without_any(level):
    np.testing.assert_allclose(
        pixels(compressed(np.full((30, 40), level, np.float32), [], 0.0, WHEN)), level, atol=1e-3
    )
    assert np.isnan(pixels(compressed(np.full((30, 40), np.nan, np.float32), [], 1.0, WHEN))).all()


def test_it_is_compressed_int16():
    with opened(compressed(image(), CARDS, 4.0, WHEN), disable_image_compression=True) as hdus:
        header = hdus[1].header
    assert (header["ZCMPTYPE"], header["ZBITPIX"], header["ZTILE1"]) == ("RICE_1", 16, 160)
    assert len(compressed(image(), CARDS, 4.0, WHEN)) < 0.6 * image().nbytes


def test_a_cube_with_its_table():
    cube = image((3, 60, 80))
    table = {
        "FRAME": np.arange(3),
        "MJD": 61364.5 + np.arange(3) / 86400,
        "REJECTED": np.array([False, True, False]),
        "WHY": np.array(["", "NoisyFrame", ""]),
    }
    data = compressed(cube, CARDS, 4.0, WHEN, {"FRAMES": table})
    np.testing.assert_allclose(pixels(data), cube, atol=0.6)
    with opened(data) as hdus:
        rows = hdus["FRAMES"].data
        assert rows["FRAME"].tolist() == [0, 1, 2]
        assert rows["MJD"].tolist() == table["MJD"].tolist()
        assert rows["REJECTED"].tolist() == [False, True, False]
        assert rows["WHY"].tolist() == ["", "NoisyFrame", ""]


@pytest.mark.parametrize("make", [lambda: compressed(image(), CARDS, 4.0, WHEN), lambda: plain(image(), CARDS, WHEN)])
def test_the_bytes_do_not_know_the_clock(make, monkeypatch):
    first = make()
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # fifteen hours of wall clock, as the date of a FITS library sees it
    time.tzset()
    try:
        assert make() == first
    finally:
        monkeypatch.undo()
        time.tzset()
    assert time.strftime("%Y-%m-%dT").encode() not in first


@pytest.mark.parametrize("compress", [True, False])
def test_checksums_hold_and_the_header_follows_the_standard(compress):
    data = compressed(image(), CARDS, 4.0, WHEN) if compress else plain(image(), CARDS, WHEN)
    with opened(data) as hdus:
        hdus.verify("exception")
        for hdu in hdus:
            assert hdu.header.get("CHECKSUM") or hdu.header.get("ZHECKSUM") or hdu.verify_checksum() in (1, 2)
    with opened(data, disable_image_compression=True) as hdus:
        hdus.verify("exception")
        for hdu in hdus:
            assert {"CHECKSUM", "DATASUM"} <= set(hdu.header)
            assert WHEN in hdu.header.comments["CHECKSUM"]
            assert (hdu.verify_checksum(), hdu.verify_datasum()) == (1, 1)


def test_a_flipped_bit_is_seen():
    data = bytearray(compressed(image(), CARDS, 4.0, WHEN))
    data[-3000] ^= 4
    with pytest.warns(UserWarning, match="[cC]hecksum"), fits.open(io.BytesIO(bytes(data)), checksum=True) as hdus:
        assert len(hdus) == 2


def test_cards_are_read_back():
    with opened(compressed(image(), CARDS, 4.0, WHEN)) as hdus:
        header = hdus[1].header
        assert header["OBJECT"] == "J0118+2942_dith1"
        assert header["EXPTIME"] == 8.5
        assert header["NOTHING"] is None
        assert header["LONG"] == "x" * 100
        assert header["HISTORY"][0] == "detection.threshold_sigma = 5.0"


def test_a_master_comes_back_bit_by_bit():
    given = image()
    given[3, 4] = np.nan
    found, header = read_plain(plain(given, CARDS, WHEN), "dark", (120, 160))
    np.testing.assert_array_equal(found, given)
    assert header["OBJECT"] == "J0118+2942_dith1"


@pytest.mark.parametrize("spoil", [lambda data: data[:4000], lambda _: b"no FITS at all", lambda _: b""])
def test_a_master_that_cannot_be_read_is_named(spoil):
    with pytest.raises(UnreadableInput, match="dark cannot be read"):
        read_plain(spoil(plain(image(), CARDS, WHEN)), "dark", (120, 160))


def test_a_master_of_another_shape_is_named_with_both():
    with pytest.raises(UnreadableInput, match=r"dark has shape \(120, 160\), .* \(1128, 2000\)"):
        read_plain(plain(image(), CARDS, WHEN), "dark", (1128, 2000))
