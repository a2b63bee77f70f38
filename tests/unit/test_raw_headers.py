"""Test non-standard header cards, in the bytes of a file: the value of each keyword.

Values that a rule then converts: `test_instrument.py`.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.io import fits

from gozen.frames.raw import parse_file, read_words


def with_cards(cards, packed=False):
    """Return a FITS file with cards exactly as they are given, in the image's header."""
    pixels, sink = np.zeros((4, 4), np.int16), io.BytesIO()
    hdus = [fits.PrimaryHDU(), fits.CompImageHDU(pixels)] if packed else [fits.PrimaryHDU(pixels)]
    fits.HDUList(hdus).writeto(sink)
    data, end = sink.getvalue(), b"END".ljust(80)
    place, added = data.rindex(end), b"".join(card.encode("latin-1").ljust(80) for card in cards)
    return data[:place] + added + end + data[place + 80 + len(added) :]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("cards", "word", "value"),
    [
        (["OBJECT  = 'Tile: 12'"], "OBJECT", "Tile: 12"),
        (["FILTER  = 'Slot: 3.5'           / wheel"], "FILTER", "Slot: 3.5"),
        (["OBJECT  = 'a.b: 1'"], "OBJECT", "a.b: 1"),
        (["HIERARCH ESO INS FILT1 NAME = 'R: 2'"], "ESO INS FILT1 NAME", "R: 2"),
        (["HIERARCH Camera.Temp = -10.5 / deg"], "CAMERA.TEMP", -10.5),
        (["OBJECT  = 'M67\0\0\0'"], "OBJECT", "M67"),
        (["OBJECT  = 'M67'\0\0\0/ zero bytes"], "OBJECT", "M67"),
        (["EXPTIME = 30.0\0\0"], "EXPTIME", 30.0),
        (["\0" * 80, "EXPTIME = 30.0"], "EXPTIME", 30.0),
        (["EXPTIME =\t30.0\t/ seconds"], "EXPTIME", 30.0),
        (["EXPTIME\t= 30.0"], "EXPTIME", 30.0),
        (["OBJECT  = 'M\t67'"], "OBJECT", "M 67"),
        (["EXPTIME =30.0"], "EXPTIME", 30.0),
        (["EXPTIME= 30.0"], "EXPTIME", 30.0),
        (["exptime = 30.0"], "EXPTIME", 30.0),
        (["EXPTIME = 30.0 / t = 30, not 'x' = 5"], "EXPTIME", 30.0),
        (["OBJECT  = 'a / b = c'           / d / e"], "OBJECT", "a / b = c"),
        (["COMMENT   EXPTIME = 5.0", "EXPTIME = 30.0"], "EXPTIME", 30.0),
        (["OBJECT  = 'a name that goes on &'", "CONTINUE  'and on: 5&'", "CONTINUE  ' to here'"], "OBJECT",
         "a name that goes on and on: 5 to here"),
        (["EXPTIME = 1.0D1"], "EXPTIME", 10.0),
        (["RA      = NaN / unknown"], "RA", "NaN"),
        (["OBJECT  = M67"], "OBJECT", "M67"),
        (["OBJECT  = 'M67"], "OBJECT", "M67"),
        (["FILTER  = 'R\xe9'"], "FILTER", "R?"),
        (["GAIN    = 1", "GAIN    = 2"], "GAIN", 1),
    ],
)  # fmt: skip
def test_a_word_has_the_value_that_was_written(cards, word, value, packed):
    data = with_cards(cards, packed)
    assert read_words(io.BytesIO(data))[0][word] == value
    assert parse_file(data, "a.fits").words[word] == value


def test_the_words_of_a_compressed_image_are_those_of_the_image():
    words, shape = read_words(io.BytesIO(with_cards([], packed=True)))
    assert shape == (4, 4)
    assert [words[word] for word in ("BITPIX", "NAXIS", "NAXIS1", "NAXIS2")] == [16, 2, 4, 4]
