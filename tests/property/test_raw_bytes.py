"""Damaged raw files: after any cut, flipped bit, insertion or compression, a file is read or is a `CorruptFile`."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from gozen.errors import CorruptFile
from gozen.frames.raw import assemble, parse_file
from gozen.instrument.profile import parse_profile
from gozen.photometry.aperture_sums import aperture_sums

from ..reductions import SMALL, WORDS

PROFILE = parse_profile(
    SMALL.replace("[400, 540]", "[20, 30]")
    .replace("[1:500,1:400]", "[1:24,1:20]")
    .replace("[501:540,1:400]", "[25:30,1:20]"),
    "tiny",
)


def raw(compress):
    pixels = np.random.default_rng(1).integers(400, 900, (3, 20, 30)).astype(np.uint16)
    header = fits.Header(WORDS)
    image = fits.CompImageHDU(pixels, header, compression_type="RICE_1") if compress == "rice" else None
    hdus = fits.HDUList([fits.PrimaryHDU(), image] if image else [fits.PrimaryHDU(pixels, header)])
    stream = io.BytesIO()
    hdus.writeto(stream)
    return gzip.compress(stream.getvalue(), mtime=0) if compress == "gzip" else stream.getvalue()


FILES = {kind: raw(kind) for kind in ("plain", "gzip", "rice")}


def read(data):
    cube = assemble([parse_file(data, "raw.fits")], PROFILE)
    return [cube.frame(index) for index in range(cube.nframe)]


@pytest.mark.parametrize("kind", FILES)
def test_the_files_are_good(kind):
    frames = read(FILES[kind])
    assert len(frames) == 3
    np.testing.assert_array_equal(frames[0], read(FILES["plain"])[0])


@pytest.mark.parametrize("kind", FILES)
@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_broken_bytes_are_read_or_corrupt(kind, data):
    broken = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(broken)))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "remove"])):
            case "flip" if where < len(broken):
                broken[where] ^= data.draw(st.integers(1, 255))
            case "cut":
                del broken[where:]
            case "insert":
                broken[where:where] = data.draw(st.binary(min_size=1, max_size=90))
            case "remove":
                del broken[where : where + data.draw(st.integers(1, 90))]
    try:
        for frame in read(bytes(broken)):
            assert frame.shape == (20, 30)
    except CorruptFile as refused:
        assert "raw.fits" in str(refused)  # noqa: PT017 both outcomes are right


@given(st.floats(-40, 120), st.floats(-40, 120), st.sampled_from([2, 10, 21, 60]), st.floats(-1000, 1000, width=32))
@settings(max_examples=200, deadline=None)
def test_the_flux_of_a_constant_image_is_its_level_times_the_area(x, y, diameter, level):
    found = aperture_sums(
        np.full((80, 90), level, np.float32), np.zeros((80, 90), np.uint8), np.array([x]), np.array([y]), diameter
    )
    assert found.flux[0] == pytest.approx(level * found.area[0], rel=5e-6, abs=1e-6)
    most = 1.03 if diameter < 5 else 1.003  # an edge is straight within a pixel
    assert 0 <= found.area[0] <= np.pi * diameter**2 / 4 * most
