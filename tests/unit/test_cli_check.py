"""Test ``gozen instrument check`` on complete files: its findings in pixels and images, and their messages.

What it reads from headers: `test_instrument.py` and `test_readout.py`.
"""

import json

import numpy as np
import pytest
from astropy.io import fits

from gozen.cli.call import run

from ..reductions import SMALL, WORDS


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Check a file of some HDUs; return exit code, problems and notes, and what a person reads."""
    monkeypatch.chdir(tmp_path)

    def checked(*hdus, further="", cut=0):
        (tmp_path / "small.yaml").write_text(SMALL + further)
        fits.HDUList(list(hdus)).writeto(tmp_path / "a.fits", overwrite=True)
        data = (tmp_path / "a.fits").read_bytes()
        (tmp_path / "a.fits").write_bytes(data[: len(data) - cut])
        code = int(run(["instrument", "check", "small.yaml", "a.fits", "--json"]))
        (found,) = json.loads(capsys.readouterr().out)
        assert int(run(["instrument", "check", "small.yaml", "a.fits"])) == code
        return code, found["problems"], found.get("notes", []), capsys.readouterr().out

    return checked


def level(adu=1000, kind=np.uint16):
    return np.full((400, 540), adu, kind)


def words(**changes):
    return fits.Header(WORDS | changes)


def test_a_good_file_has_nothing_to_be_said(check):
    assert check(fits.PrimaryHDU(level(), words()))[:3] == (0, [], [])


def test_words_of_the_primary_header_count_for_the_image_in_an_extension(check):
    assert check(fits.PrimaryHDU(header=words()), fits.ImageHDU(level(), name="SCI"))[:3] == (0, [], [])


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_file_is_found(check, packed):
    noise = np.random.default_rng(1).integers(900, 1100, (400, 540)).astype(np.uint16)
    image = fits.CompImageHDU(noise, words()) if packed else None
    hdus = [fits.PrimaryHDU(), image] if image else [fits.PrimaryHDU(noise, words())]
    code, problems, _, text = check(*hdus, cut=6000)
    assert (code, len(problems)) == (65, 1)
    assert "a.fits: the pixels cannot be read" in problems[0]
    assert "probably truncated" in problems[0]
    assert "problem: a.fits" in text.replace("\n", " ")


def test_impossible_coordinates_are_found(check):
    code, problems, _, _ = check(fits.PrimaryHDU(level(), words(DEC="+95:00:00")))
    assert (code, problems) == (65, ["a.fits: the declination is 95 deg, beyond the pole"])


def test_several_images_are_named_until_one_is_chosen(check):
    hdus = [fits.PrimaryHDU(header=words()), *(fits.ImageHDU(level(), name=f"AMP{n}") for n in (1, 2, 3, 4))]
    code, problems, (note,), text = check(*hdus)
    assert (code, problems) == (0, [])
    assert (
        "the file has 4 images; HDU 1 (AMP1) is read, and not HDU 2 (AMP2), HDU 3 (AMP3), HDU 4 (AMP4); `hdu` in"
        in note
    )
    assert f"note: {note}" in text
    assert check(*hdus, further="hdu: amp3\n")[:3] == (0, [], [])
    (problem,) = check(*hdus, further="hdu: AMP5\n")[1]
    assert "the profile has `hdu: AMP5`, but the file has no such image" in problem


def test_unsigned_pixels_without_bzero_are_found(check):
    pixels = level()
    pixels[100:104, 100:104], pixels[101:103, 101:103] = 20000, 50000
    code, (problem,), _, _ = check(fits.PrimaryHDU(pixels.astype(np.int16), words()))
    assert code == 65
    assert "a.fits: frame 0 has 4 negative pixels in the middle of bright stars, down to -15536 ADU" in problem
    assert check(fits.PrimaryHDU(pixels.astype(np.int16), words()), further="unsigned: true\n")[:3] == (0, [], [])


def test_dead_pixels_are_mentioned_where_nothing_marks_them(check):
    pixels = level(1000, np.int16)
    pixels[5, 5] = -32768
    code, problems, (note,), _ = check(fits.PrimaryHDU(pixels, words()))
    assert (code, problems) == (0, [])
    assert "negative pixels far below the sky: 1, down to -32768 ADU" in note


def test_integers_that_cannot_be_kept_are_found(check):
    code, (problem,), _, _ = check(fits.PrimaryHDU(level(2**60, np.int64), words()))
    assert code == 65
    assert "beyond 2^53" in problem
