"""Test frames with a window or binned pixels: their stars are at the same positions as on the full frame.

Which masters match such frames is tested elsewhere; binning and window in headers, in `test_readout.py`.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from gozen.instrument.profile import parse_profile
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.settings import AstrometrySettings, Settings

from ..reductions import NIGHT, SMALL, small_night, work_of

CAMERA = SMALL.replace("default_gain", "masters: []\ndefault_gain") + (
    "  binning: {words: [XBIN, YBIN], optional: true}\n  window: {word: SECTION, optional: true}\n"
)
WINDOW = "[101:440,51:400]"


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    night = small_night(tmp_path_factory.mktemp("windows"), nframe=3)
    settings = Settings(astrometry=AstrometrySettings(index_files=()))
    return replace(night, profile=parse_profile(CAMERA, "small"), settings=settings)


def image_alone(pixels, header):
    return [fits.PrimaryHDU(pixels, header)]


def third_of_three(pixels, header):
    """Return the words in the primary header, and the image behind another one."""
    kept = fits.Header([card for card in header.cards if card.keyword not in ("BZERO", "BSCALE")], copy=True)
    kept.strip()
    return [
        fits.PrimaryHDU(header=kept),
        fits.ImageHDU(pixels[:, :9, :9], name="GUIDE"),
        fits.ImageHDU(pixels, name="SCI"),
    ]


def reduced_as(night, folder, pixels_of, hdus_of=image_alone, **words):
    """Reduce the night's cube after its pixels, words and place in the file were changed.

    Returns
    -------
    The commit, and the rows of known stars on the last frame, x and y where they are on that frame.
    """
    night = night.copy(folder)
    with fits.open(io.BytesIO(night.store.read(night.raw_key)), memmap=False) as hdus:
        header, pixels = hdus[0].header.copy(), np.asarray(hdus[0].data)
    header.update(words)
    sink = io.BytesIO()
    fits.HDUList(hdus_of(pixels_of(pixels), header)).writeto(sink)
    night.store.write(f"raw/{NIGHT}/00000003/changed.fits", sink.getvalue())
    work = work_of(night, raw=(f"raw/{NIGHT}/00000003/changed.fits",))
    commit = reduce_sensor(work, night.shared_inputs())
    if "staging" not in commit.products:
        return commit, None
    rows = pq.read_table(io.BytesIO(night.store.read(commit.products["staging"].key))).to_pandas()
    rows = rows[(rows.frame == 2) & rows.source_id.notna()]
    # The stack, whose places rows have, need not lie on the same frame each time.
    shift = commit.frames[2]
    return commit, rows.assign(x=rows.x + shift.shift_x_px, y=rows.y + shift.shift_y_px)


@pytest.fixture(scope="module")
def whole(taken, tmp_path_factory):
    return reduced_as(taken, tmp_path_factory.mktemp("whole"), lambda pixels: pixels)


def joined(pixels):
    frames, rows, columns = pixels.shape
    return pixels.reshape(frames, rows // 2, 2, columns // 2, 2).mean(axis=(2, 4)).round().astype(np.uint16)


def beside(pixels):
    """Return the window with the overscan columns, which the camera reads with each row."""
    return np.concatenate([pixels[:, 50:400, 100:440], pixels[:, 50:400, 500:]], axis=2)


@pytest.mark.parametrize(
    ("pixels_of", "words", "scale", "corner"),
    [
        (lambda pixels: pixels[:, 50:400, 100:440], {"SECTION": WINDOW}, 1.0, (100, 50)),
        (beside, {"SECTION": WINDOW}, 1.0, (100, 50)),
        (joined, {"XBIN": 2, "YBIN": 2}, 2.0, (0, 0)),
    ],
    ids=["a window", "a window and overscan", "joined pixels"],
)
def test_stars_are_where_the_full_frame_has_them(taken, whole, tmp_path, pixels_of, words, scale, corner):
    full, known = whole
    commit, rows = reduced_as(taken, tmp_path, pixels_of, **words)
    assert commit.status == "reduced", commit.rejection
    assert commit.summary.pixel_scale_arcsec == pytest.approx(scale * full.summary.pixel_scale_arcsec, rel=2e-3)
    both = rows.merge(known, on="source_id", suffixes=("", "_full"))
    assert len(both) > 12
    assert np.median(np.abs(both.x * scale + (scale - 1) / 2 + corner[0] - both.x_full)) < 0.1
    assert np.median(np.abs(both.y * scale + (scale - 1) / 2 + corner[1] - both.y_full)) < 0.1


def test_an_image_behind_others_is_reduced_like_one_alone(taken, whole, tmp_path):
    night = replace(taken, profile=parse_profile(f"{CAMERA}hdu: sci\n", "small"))
    commit, rows = reduced_as(night, tmp_path, lambda pixels: pixels, third_of_three)
    assert commit.status == "reduced", commit.rejection
    np.testing.assert_array_equal(rows.flux, whole[1].flux)


def test_a_frame_that_is_not_what_its_words_say_is_refused_and_named(taken, tmp_path):
    commit, _ = reduced_as(taken, tmp_path, lambda pixels: pixels[:, 50:400, 100:400], SECTION=WINDOW)
    assert commit.rejection.name == "CorruptFile"
    assert "changed.fits: a frame has 300 columns and 350 rows" in commit.rejection.message
    assert f"window {WINDOW} with binning 1x1, which gives 340 and 350" in commit.rejection.message
