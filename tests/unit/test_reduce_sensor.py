"""Test the reduction of one sensor from raw files to its commit: a good exposure; a named error for every bad input.

Covered: bad files, headers, pixels, frames, catalogues, masters and block lists; a rejected frame among good ones; the
same bytes in another archive; a second attempt that changes nothing. Not covered: the accuracy of the results, which
tests/services compares with a simulated truth, and tests/real with other people's results.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from gozen.archive.commit import read_commit
from gozen.archive.keys import Processing
from gozen.catalog.format.schema import Flag, lightcurve_schema
from gozen.errors import Bug, MissingObject, UnreadableInput, as_gozen_error
from gozen.instrument.profile import parse_profile
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.settings import AstrometrySettings, Settings
from gozen.simulator.camera.damaged_files import DAMAGES

from ..reductions import NIGHT, SENSOR, SMALL, products, reduced, small_night, work_of


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    night = small_night(tmp_path_factory.mktemp("small"))
    # No index files of this machine: a field that the hint does not solve is refused.
    return replace(night, settings=Settings(astrometry=AstrometrySettings(index_files=())))


@pytest.fixture
def night(taken, tmp_path):
    return taken.copy(tmp_path / "archive")


@pytest.fixture(scope="module")
def good(taken, tmp_path_factory):
    """A night that is reduced, with its commit."""
    night = taken.copy(tmp_path_factory.mktemp("good"))
    commit = reduce_sensor(work_of(night, pipelines=("wcs", "stack", "cube")), night.shared_inputs())
    return night, commit


def rewritten(night, change):
    """Give the raw cube other pixels or header words."""
    with fits.open(io.BytesIO(night.store.read(night.raw_key)), memmap=False) as hdus:
        header, pixels = hdus[0].header.copy(), np.asarray(hdus[0].data)
    pixels = change(header, pixels.copy())
    stream = io.BytesIO()
    fits.PrimaryHDU(pixels, header).writeto(stream)
    night.store.write(night.raw_key, stream.getvalue())
    return night


def rows_of(night, commit):
    return pq.read_table(io.BytesIO(night.store.read(commit.products["staging"].key)))


def assert_refused(night, name, *words, only_commit=True):
    commit = reduced(night)
    assert (commit.status, commit.rejection.name) == ("rejected", name)
    for word in words:
        assert word in commit.rejection.message
    assert read_commit(night.store, commit.processing, SENSOR) == commit
    assert [gate.name for gate in commit.gates if not gate.passed and gate.frame is None] == [name]
    assert "staging" not in commit.products
    if only_commit:
        assert products(night) == [f"exposures/{NIGHT}/00000003/r1/{SENSOR}.json"]
        assert not commit.products
    return commit


def test_a_good_exposure_leaves_what_its_commit_names(good):
    night, commit = good
    assert (commit.status, commit.rejection, commit.data_type, commit.nframe) == ("reduced", None, "OBJECT", 6)
    named = sorted(product.key for product in commit.products.values())
    frame_id = "TMQ1202611200000000311"
    assert named == [
        f"cube/{NIGHT}/00000003/r1/{frame_id}.fits.fz",
        f"stack/{NIGHT}/00000003/r1/{frame_id}.fits.fz",
        f"staging/{NIGHT}/00000003/r1/{SENSOR}.parquet",
    ]
    assert products(night) == sorted([*named, f"exposures/{NIGHT}/00000003/r1/{SENSOR}.json"])
    for product in commit.products.values():
        assert len(night.store.read(product.key)) == product.size
    assert set(commit.provenance.calibration) == {"dark", "flat"}
    assert commit.provenance.calibration["flat"].age_days == pytest.approx(0.005, abs=1e-3)
    assert list(commit.provenance.inputs) == [f"{frame_id}.fits"]
    assert [frame.frame for frame in commit.frames] == list(range(6))
    assert all(frame.rejected is None and frame.n_stars > 10 and frame.seeing_px > 2 for frame in commit.frames)
    assert {gate.name for gate in commit.gates} == {
        "SaturatedField",
        "NoisyFrame",
        "TrailedFrame",
        "InconsistentTime",
        "AstrometryFailed",
        "InconsistentPointing",
        "TooFewCalibrators",
    }


def test_a_good_exposure_has_every_source_on_every_frame(good):
    night, commit = good
    rows = rows_of(night, commit)
    assert rows.schema.equals(lightcurve_schema((10,)))
    assert rows.num_rows == commit.summary.n_detections == 6 * commit.summary.n_sources > 500
    assert b"gozen.provenance" in rows.schema.metadata
    assert rows.column("mag").null_count < 0.05 * rows.num_rows


def test_rows_say_in_which_aperture_and_filter_they_were_measured(good):
    night, commit = good
    rows = rows_of(night, commit)
    assert set(rows["aperture_diameter"].to_pylist()) == {21}
    assert set(rows["filter"].to_pylist()) == {None}, "the profile of this camera names no word for it"
    assert commit.summary.aperture_diameter_px == 21


def test_an_aperture_chosen_by_the_seeing_is_as_true_as_a_wide_one(night, good):
    profile = night.profile.model_copy(update={"aperture_diameters_px": "auto"})
    commit = reduce_sensor(work_of(night), night.shared_inputs(profile=profile))
    diameter, seeing = commit.summary.aperture_diameter_px, np.median([frame.seeing_px for frame in commit.frames])
    assert diameter == round(4 * seeing) < 21
    rows = rows_of(night, commit).to_pandas()
    assert set(rows.aperture_diameter) == {diameter}
    assert not [name for name in rows if name.startswith("flux_1")], "there is one aperture"
    wide = rows_of(*good).to_pandas()
    bright = (rows.phot_g_mean_mag < 15) & (rows["flags"] == 0) & (wide["flags"] == 0)
    # The zero point has what the circle leaves out, so that magnitudes of both agree.
    assert bright.sum() > 50
    assert abs((rows.mag - wide.mag)[bright].median()) < 0.01
    assert 1.4826 * (rows.mag - rows.phot_g_mean_mag)[bright].abs().median() < 0.05


def test_a_field_with_few_lone_stars_is_calibrated_by_them(good):
    _, commit = good
    summary = commit.summary
    assert 10 <= summary.n_calibrators <= 40
    assert summary.zero_point == pytest.approx(24.7275, abs=0.02)  # of the simulation
    assert summary.colour_term == pytest.approx(0.1, abs=0.02)


def test_the_stack_opens_anywhere_with_a_complete_header(good):
    night, commit = good
    data = night.store.read(commit.products["stack"].key)
    with fits.open(io.BytesIO(data), checksum=True) as hdus:
        hdus.verify("exception")
        header, image = hdus[1].header, hdus[1].data
        assert image.shape == (400, 500)
        assert header["FMTTYPE"] == "SMALL-IMAGE-STACK"
        assert header["NCOMBINE"] == 5  # without the first frame
        assert header["EXPTIME"] == pytest.approx(5 * 0.499904)
        assert header["DATE-OBS"] < header["DATE-AVG"] < header["DATE-END"]
        shutter_s = 4 * 0.5 + 399 * 0.00041475 + 0.499904  # from the first pixel of the second frame to the last's end
        assert (header["MJD-END"] - header["MJD-OBS"]) * 86400 == pytest.approx(shutter_s, abs=1e-4)
        assert header["CTYPE1"].startswith("RA---TAN")
        assert header["MAGZERO"] == pytest.approx(commit.summary.zero_point, abs=1e-5)
        assert header["FLATKEY"] == f"calib/flat/{NIGHT}/00000002/{SENSOR}.fits"
        assert np.isfinite(image).all()


def test_the_cube_has_every_frame_and_their_table(good):
    night, commit = good
    with fits.open(io.BytesIO(night.store.read(commit.products["cube"].key)), checksum=True) as hdus:
        hdus.verify("exception")
        assert hdus[1].data.shape == (6, 400, 500)
        assert hdus["FRAMES"].data["FRAME"].tolist() == list(range(6))
        steps = np.diff(hdus["FRAMES"].data["MJD"]) * 86400
        np.testing.assert_allclose(steps, 0.5, atol=1e-5)


def test_a_second_attempt_returns_the_commit_and_writes_nothing(night):
    first = reduced(night)
    work = work_of(night)
    stamps = {key: night.store.path(key).stat().st_mtime_ns for key in products(night)}
    night.store.delete(night.raw_key)  # so that work would be noticed
    assert reduce_sensor(work, night.shared_inputs()) == first
    assert {key: night.store.path(key).stat().st_mtime_ns for key in products(night)} == stamps


def test_another_archive_gets_the_same_bytes(good, night):
    there, _ = good
    reduce_sensor(work_of(night, pipelines=("wcs", "stack", "cube")), night.shared_inputs())
    for key in products(there):
        assert night.store.read(key) == there.store.read(key), key


@pytest.mark.parametrize(
    ("damage", "name", "word"),
    [
        ("truncated", "CorruptFile", "TMQ1202611200000000311.fits"),
        ("wrong-shape", "CorruptFile", "405 columns and 400 rows, but the profile small has 540 and 400"),
        ("missing-word", "CorruptFile", "no keyword UTC"),
        ("contradicting-times", "InconsistentTime", "1.000 s later than its first pixel"),
        ("impossible-pointing", "InconsistentPointing", "the declination is 119 deg"),
    ],
)
def test_damaged_files_are_refused_by_name(night, damage, name, word):
    night.store.write(night.raw_key, DAMAGES[damage](night.store.read(night.raw_key)))
    assert_refused(night, name, word)


@pytest.mark.parametrize("cut", [0, 1, 100, 2880, 5000, -3000])
def test_a_file_cut_anywhere_is_corrupt(night, cut):
    data = night.store.read(night.raw_key)
    night.store.write(night.raw_key, data[:cut])
    assert_refused(night, "CorruptFile", "TMQ1202611200000000311.fits")


def test_what_is_no_fits_file_is_corrupt(night):
    night.store.write(night.raw_key, b"\x1f\x8b not gzip either" * 100)
    assert_refused(night, "CorruptFile")


@pytest.mark.parametrize(
    ("word", "value", "name"),
    [
        ("UTC", "yesterday", "CorruptFile"),
        ("UTC", "1943-01-01T00:00:00", "InconsistentTime"),
        ("TFRAME", 0.0, "InconsistentTime"),
        ("EXPTIME1", -1.0, "CorruptFile"),
        ("DET_ID", "112", "CorruptFile"),
        ("DET_ID", "999", "CorruptFile"),
        ("GAIN", "huge", "CorruptFile"),
        ("DATA-TYP", "SOMETHING", "CorruptFile"),
        ("RA", "25:00:00.0", "InconsistentPointing"),
    ],
)
def test_words_that_cannot_be(night, word, value, name):
    def change(header, pixels):
        header[word] = value
        return pixels

    # A wrong clock stands in front of a sequence that it does not contradict.
    if word == "UTC":
        rewritten(night, lambda header, pixels: (header.set("UTC-EXP", "1942-12-31T23:59:59"), pixels)[1])
    assert_refused(rewritten(night, change), name)


def test_a_header_that_contradicts_the_sensor_names_both(night):
    def change(header, pixels):
        header["DET_ID"] = "112"
        return pixels

    assert_refused(rewritten(night, change), "CorruptFile", "sensor '112'", "reduced as sensor '111'")


def test_a_few_pixels_without_number_are_flagged_and_nothing_else(night, good):
    def change(_, pixels):
        floats = pixels.astype(np.float32)
        floats[:, ::47, ::59] = np.nan
        return floats

    commit = reduced(rewritten(night, change))
    assert commit.status == "reduced"
    rows, clean = rows_of(night, commit).to_pandas(), rows_of(*good).to_pandas()
    dead = rows["flags"].to_numpy() & int(Flag.DEAD_PIXEL) > 0
    known = clean["flags"].to_numpy() & int(Flag.DEAD_PIXEL) > 0
    # A 21-pixel aperture covers 346 pixels, of which every 2773rd is not a number.
    assert dead.mean() - known.mean() == pytest.approx(346 / 2773, abs=0.06)
    assert rows.flux.notna().all()
    assert commit.summary.zero_point == pytest.approx(good[1].summary.zero_point, abs=0.02)


def test_a_frame_without_a_number_is_refused_alone(night):
    def change(_, pixels):
        floats = pixels.astype(np.float32)
        floats[3] = np.nan
        return floats

    commit = reduced(rewritten(night, change))
    assert_only_frame_is_refused(night, commit, 3, "CorruptFile")


def test_a_saturated_frame_is_refused_alone(night):
    def change(_, pixels):
        pixels[2] = 25900
        return pixels

    commit = reduced(rewritten(night, change))
    assert_only_frame_is_refused(night, commit, 2, "SaturatedField")


def test_a_noisy_frame_is_refused_alone(night):
    def change(_, pixels):
        noise = np.random.default_rng(1).normal(0, 300, pixels[4].shape)
        pixels[4] = np.clip(pixels[4] + 1000 + noise, 0, 65535).astype(np.uint16)
        return pixels

    commit = reduced(rewritten(night, change))
    assert_only_frame_is_refused(night, commit, 4, "NoisyFrame")


def assert_only_frame_is_refused(night, commit, frame, name):
    assert commit.status == "reduced"
    refused = {one.frame: one.rejected.name for one in commit.frames if one.rejected}
    assert refused == {frame: name}
    gates = [gate for gate in commit.gates if not gate.passed]
    assert [(gate.name, gate.frame) for gate in gates] == [(name, frame)]
    assert gates[0].value is not None
    assert gates[0].limit is not None
    measured = sorted(set(rows_of(night, commit).column("frame").to_pylist()))
    assert measured == [number for number in range(6) if number != frame]
    assert commit.summary.zero_point == pytest.approx(24.7275, abs=0.03)
    with fits.open(io.BytesIO(night.store.read(commit.products["stack"].key))) as hdus:
        assert hdus[1].header["NCOMBINE"] == (4 if frame else 5)


@pytest.mark.parametrize(
    ("fill", "name"),
    [(np.float32(np.nan), "CorruptFile"), (np.float32(25900), "SaturatedField")],
    ids=["nan", "saturated"],
)
def test_frames_that_are_all_bad_refuse_the_sensor(night, fill, name):
    commit = assert_refused(
        rewritten(night, lambda _, pixels: np.full(pixels.shape, fill)), name, "all 6 frames were refused"
    )
    assert {frame.rejected.name for frame in commit.frames} == {name} or not commit.frames
    assert len([gate for gate in commit.gates if gate.frame is not None and not gate.passed]) in (0, 6)


def test_frames_that_are_bad_for_several_reasons_refuse_the_sensor(night):
    def change(_, pixels):
        floats = pixels.astype(np.float32)
        floats[:3], floats[3:] = np.nan, 25900
        return floats

    assert_refused(rewritten(night, change), "CorruptFile", "CorruptFile, SaturatedField")


def test_one_frame_is_a_cube(night):
    commit = reduced(rewritten(night, lambda _, pixels: pixels[:1]))
    assert (commit.status, commit.nframe, len(commit.frames)) == ("reduced", 1, 1)
    assert rows_of(night, commit).num_rows == commit.summary.n_sources > 20


def test_a_plain_image_is_a_cube_of_one(night):
    commit = reduced(rewritten(night, lambda _, pixels: pixels[0]))
    assert (commit.status, commit.nframe) == ("reduced", 1)


def dark_like(header, pixels):
    rng = np.random.default_rng(2)
    return (500 + rng.normal(0, 9, pixels.shape)).astype(np.uint16)


def test_a_field_without_stars_has_no_solution_and_its_stack_shows_why(night):
    commit = assert_refused(
        rewritten(night, dark_like), "AstrometryFailed", "sources are on the stack, but a solution", only_commit=False
    )
    assert set(commit.products) == {"stack"}


def test_a_frame_stuck_at_one_value_has_no_solution(night):
    assert_refused(rewritten(night, lambda _, pixels: np.full_like(pixels, 700)), "AstrometryFailed", only_commit=False)


def test_a_catalogue_without_stars_here_gives_no_solution(night):
    elsewhere = replace(night.reference, ra=(night.reference.ra + 90) % 360)
    commit = reduced(night, reference=elsewhere)
    assert commit.rejection.name == "AstrometryFailed"
    assert "(19.5000, +29.7000) deg do not fit the catalogue" in commit.rejection.message


def test_no_catalogue_at_all_is_named(night):
    commit = reduced(night, reference=None)
    assert commit.rejection.name == "AstrometryFailed"
    assert "there is no reference catalogue" in commit.rejection.message


def test_stars_without_magnitudes_leave_fluxes_uncalibrated(night):
    bright = night.reference[night.reference.g < 16]
    commit = reduced(night, reference=replace(bright, g=np.full(len(bright), np.nan)))
    assert commit.status == "reduced"
    rows = rows_of(night, commit)
    assert rows.column("mag").null_count == rows.num_rows
    assert rows.column("source_id").null_count < 0.8 * rows.num_rows


def test_too_few_calibrators_refuse_the_sensor_and_leave_its_stack(night):
    calibration = night.settings.calibration.model_copy(update={"minimum_stars": 500})
    commit = reduced(night, settings=night.settings.model_copy(update={"calibration": calibration}))
    assert (commit.rejection.name, commit.rejection.limit) == ("TooFewCalibrators", 500)
    assert commit.rejection.value < 130
    assert commit.summary.wcs_method == "hint"
    assert set(commit.products) == {"stack"}


def test_a_pointing_far_from_the_stars_is_refused(night):
    settings = night.settings.model_copy(
        update={"gates": night.settings.gates.model_copy(update={"pointing_offset_deg": 0.0005})}
    )
    commit = reduced(night, settings=settings)
    assert commit.rejection.name == "InconsistentPointing"
    assert commit.rejection.limit == 0.0005


def test_dark_frames_may_point_anywhere(night):
    def change(header, pixels):
        header["DATA-TYP"], header["DEC"] = "DARK", "+119:00:00.00"
        return dark_like(header, pixels)

    rewritten(night, change)
    commit = reduce_sensor(work_of(night, pipelines=("stack",)), night.shared_inputs())
    assert (commit.status, commit.data_type, set(commit.products)) == ("reduced", "DARK", {"stack"})


@pytest.mark.parametrize("kind", ["dark", "flat"])
def test_without_masters_nothing_is_reduced(night, kind):
    for key in night.store.list(f"calib/{kind}"):
        night.store.delete(key)
    with pytest.raises(UnreadableInput, match=rf"sensor 111 has no {kind} master .* `gozen masters`"):
        reduced(night)
    assert products(night) == []


def test_the_block_list_keeps_data_out_of_the_archive(night, tmp_path):
    path = tmp_path / "blocked.yaml"
    path.write_text("- reason: a satellite of ours\n  object: fie*\n")
    settings = night.settings.model_copy(update={"block_list": path})
    commit = reduced(night, settings=settings)
    assert commit.rejection.name == "Blocked"
    assert "a satellite of ours" in commit.rejection.message
    assert products(night) == [f"exposures/{NIGHT}/00000003/r1/{SENSOR}.json"]


def test_the_block_list_covers_places_on_the_sky(night, tmp_path):
    path = tmp_path / "blocked.yaml"
    path.write_text("- {reason: secret, sky: {ra: 19.5, dec: 29.75, radius_deg: 0.01}}\n")
    settings = night.settings.model_copy(update={"block_list": path})
    assert reduced(night, settings=settings).rejection.name == "Blocked"


def test_files_that_are_not_there(night):
    with pytest.raises(MissingObject, match=r"gone\.fits"):
        reduce_sensor(work_of(night, raw=("raw/20261120/00000003/gone.fits",)), night.shared_inputs())
    with pytest.raises(UnreadableInput, match=r"the sensor 111 of .* has no raw files"):
        reduce_sensor(work_of(night, raw=()), night.shared_inputs())
    assert products(night) == []


def test_what_nobody_foresaw_is_a_bug_and_says_so():
    error = as_gozen_error(ZeroDivisionError("division by zero"))
    assert isinstance(error, Bug)
    assert "ZeroDivisionError: division by zero. This is a bug in Gozen" in str(error)


def as_single_frames(night, spoil=()):
    """Store each frame of the cube as a file of its own, as other cameras do."""
    with fits.open(io.BytesIO(night.store.read(night.raw_key)), memmap=False) as hdus:
        header, pixels = hdus[0].header.copy(), np.asarray(hdus[0].data)
    start = np.datetime64(header["UTC"])
    names = []
    for number, image in enumerate(pixels):
        one = header.copy()
        one["UTC"] = str(start + np.timedelta64(500_000 * number, "us"))
        one["FRAME_ID"] = f"F{number}"
        stream = io.BytesIO()
        fits.PrimaryHDU(image, one).writeto(stream)
        data = stream.getvalue()
        names.append(f"raw/{NIGHT}/single/F{number}.fits")
        night.store.write(names[-1], data[: len(data) // 2] if number in spoil else data)
    profile = parse_profile(SMALL.replace("raw: cube", "raw: frames"), "small")
    work = work_of(night, processing=Processing(NIGHT, "single"), raw=tuple(reversed(names)))
    return work, night.shared_inputs(profile=profile)


def test_single_frames_in_any_order_are_one_exposure(night, good):
    commit = reduce_sensor(*as_single_frames(night))
    assert (commit.status, commit.nframe, commit.frame_id) == ("reduced", 6, "F0")
    single, cube = rows_of(night, commit).to_pandas(), rows_of(*good).to_pandas()
    np.testing.assert_array_equal(single.flux, cube.flux)
    np.testing.assert_allclose((single.mjd - cube.mjd) * 86400, 0, atol=2e-5)


def test_a_broken_single_frame_is_left_out_and_recorded(night):
    commit = reduce_sensor(*as_single_frames(night, spoil=(2,)))
    assert (commit.status, commit.nframe) == ("reduced", 5)
    refused = [frame for frame in commit.frames if frame.rejected]
    assert [(frame.frame, frame.rejected.name) for frame in refused] == [(5, "CorruptFile")]
    assert "F2.fits" in refused[0].rejected.message
    assert len(set(rows_of(night, commit).column("frame").to_pylist())) == 5


def test_single_frames_that_are_all_broken_refuse_the_sensor(night):
    work, shared = as_single_frames(night, spoil=range(6))
    commit = reduce_sensor(work, shared)
    assert (commit.status, commit.rejection.name) == ("rejected", "CorruptFile")
    assert not commit.products
