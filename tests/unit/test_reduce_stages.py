"""Test the commit of a sensor that a gate rejects, for each stage; and a pipeline that is added as a step.

The names of gates, fields and products were taken from commits before the stages were introduced. Their values are
covered by the tests of the single steps.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from gozen.archive.commit import put_new_product
from gozen.reduction.reduce_sensor import reduce_sensor
from gozen.reduction.sensor_stages import Aligned, Measured, Stored
from gozen.reduction.steps.pipeline_table import STEPS, PipelineStep
from gozen.resources.pipeline_names import PIPELINE_NAMES
from gozen.settings import AstrometrySettings, Settings

from ..reductions import NIGHT, small_night, work_of
from .test_reduce_sensor import as_single_frames, rewritten

STACK = {"n_sources", "seeing_px", "background_adu", "noise_adu"}
PLACE = {
    "ra", "dec", "orientation_deg", "pixel_scale_arcsec", "wcs_method", "wcs_rms_px", "wcs_rms_arcsec", "n_wcs_stars",
}  # fmt: skip
MASTERS = {"dark", "flat"}
IMAGES = {"stack", "cube"}
CALIBRATED = ["SaturatedField", "NoisyFrame"] * 6
ALIGNED = [*CALIBRATED, *["TrailedFrame"] * 6]
LEVEL = {"frame", "mjd", "background_adu", "noise_adu"}
REGISTERED = LEVEL | {"shift_x_px", "shift_y_px", "shift_residual_px", "n_stars", "elongation", "seeing_px"}


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    night = small_night(tmp_path_factory.mktemp("small"))
    return replace(night, settings=Settings(astrometry=AstrometrySettings(index_files=())))


@pytest.fixture
def night(taken, tmp_path):
    return taken.copy(tmp_path / "archive")


def with_words(**words):
    def change(night):
        def header_of(header, pixels):
            header.update({word.replace("_", "-") if word.startswith("UTC") else word: words[word] for word in words})
            return pixels

        return whole(rewritten(night, header_of))

    return change


def with_pixels(fill):
    return lambda night: whole(rewritten(night, lambda _, pixels: np.full(pixels.shape, np.float32(fill))))


def with_settings(part, **values):
    def change(night):
        settings = getattr(night.settings, part).model_copy(update=values)
        return whole(night, settings=night.settings.model_copy(update={part: settings}))

    return change


def whole(night, **changes):
    return work_of(night, pipelines=("wcs", "stack", "neo", "cube")), night.shared_inputs(**changes)


def all_broken(night):
    return as_single_frames(night, spoil=range(6))


def contradicting(night):
    """Return single frames of two objects, one of them broken: each file can be read, but they are no cube."""
    work, shared = as_single_frames(night, spoil=(2,))
    key = sorted(work.raw)[4]
    with fits.open(io.BytesIO(night.store.read(key)), memmap=False) as hdus:
        header, pixels = hdus[0].header.copy(), np.asarray(hdus[0].data)
    header["OBJECT"] = "other"
    stream = io.BytesIO()
    fits.PrimaryHDU(pixels, header).writeto(stream)
    night.store.write(key, stream.getvalue())
    return work, shared


def blocked(night):
    path = night.store.path("blocked.yaml")
    path.write_text("- reason: a satellite\n  object: fie*\n")
    return whole(night, settings=night.settings.model_copy(update={"block_list": path}))


def without_stars(night):
    return whole(night, reference=None)


@pytest.mark.parametrize(
    ("change", "name", "gates", "frames", "summary", "products", "masters", "inputs"),
    [
        (all_broken, "CorruptFile", [], set(), set(), set(), set(), 0),
        (contradicting, "CorruptFile", [], set(), set(), set(), set(), 0),
        (with_words(DET_ID="112"), "CorruptFile", [], set(), set(), set(), set(), 1),
        (with_words(DEC="+119:00:00"), "InconsistentPointing", [], set(), set(), set(), set(), 1),
        (
            with_words(UTC="1943-01-01T00:00:00", UTC_EXP="1942-12-31T23:59:59"),
            *("InconsistentTime", [], set(), set(), set(), set(), 1),
        ),
        (blocked, "Blocked", ["InconsistentTime"], set(), set(), set(), set(), 1),
        (with_pixels(np.nan), "CorruptFile", ["InconsistentTime"], set(), set(), set(), MASTERS, 1),
        (with_pixels(25900), "SaturatedField", ["InconsistentTime"], set(), set(), set(), MASTERS, 1),
        (
            with_settings("gates", elongation=0.5),
            *("TrailedFrame", ["InconsistentTime", *ALIGNED], LEVEL | {"rejected"}, set(), set(), MASTERS, 1),
        ),
        (without_stars, "AstrometryFailed", ["InconsistentTime", *ALIGNED], REGISTERED, STACK, IMAGES, MASTERS, 1),
        (
            with_settings("gates", pointing_offset_deg=0.0005),
            "InconsistentPointing",
            ["InconsistentTime", "AstrometryFailed", *ALIGNED],
            *(REGISTERED, STACK, IMAGES, MASTERS, 1),
        ),
        (
            with_settings("calibration", minimum_stars=500),
            "TooFewCalibrators",
            ["InconsistentTime", "AstrometryFailed", "InconsistentPointing", *ALIGNED],
            *(REGISTERED, STACK | PLACE, IMAGES, MASTERS, 1),
        ),
    ],
    ids=[
        *("no file", "no cube", "sensor", "coordinates", "time", "block list", "no numbers", "saturated", "trailed"),
        *("no solution", "pointing", "calibrators"),
    ],
)
def test_the_commit_of_a_refused_sensor_has_what_was_known(
    night, change, name, gates, frames, summary, products, masters, inputs
):
    commit = reduce_sensor(*change(night))
    assert (commit.status, commit.rejection.name) == ("rejected", name)
    assert [gate.name for gate in commit.gates] == [*gates, name]
    assert (commit.gates[-1].passed, commit.gates[-1].frame) == (False, None)
    assert len(commit.frames) == (6 if frames else 0)
    for frame in commit.frames:
        assert set(frame.model_dump(exclude_none=True)) == frames
    assert set(commit.summary.model_dump(exclude_none=True)) == summary
    assert set(commit.products) == products
    assert (set(commit.provenance.calibration), len(commit.provenance.inputs)) == (masters, inputs)
    assert commit.nframe == (6 if inputs else 0)
    assert commit.tracklets == ()


def test_the_pipelines_of_the_table_are_those_that_can_be_asked_for():
    assert {step.pipeline for step in STEPS} == set(PIPELINE_NAMES)


def brightest(measured, reached):
    """Store the flux of the brightest source."""
    flux = measured.solved.aligned.stack.sources.flux.max()
    return stored(measured.context, reached, flux)


def stored(context, reached, flux):
    key, data = f"brightest/{context.processing.folder}.txt", f"{flux:.1f}".encode()
    return Stored(reached, products={"brightest": put_new_product(context.store, key, data, context.version)})


@pytest.mark.parametrize("place", [0, 2, len(STEPS)])
def test_a_further_pipeline_is_one_step_more(night, place):
    """Its product stands in the commit, and those of the others are what they are without it."""
    needs, take = (Measured, brightest) if place == len(STEPS) else (Aligned, early)
    steps = [*STEPS[:place], PipelineStep("brightest", needs, take), *STEPS[place:]]
    asked = ("wcs", "stack")
    plain = reduce_sensor(work_of(night, run="r1", pipelines=asked), night.shared_inputs(), steps)
    more = reduce_sensor(work_of(night, run="r2", pipelines=(*asked, "brightest")), night.shared_inputs(), steps)
    assert set(plain.products) == {"stack", "staging"}
    product = more.products["brightest"]
    assert set(more.products) == {"stack", "staging", "brightest"}
    assert float(night.store.read(product.key)) > 1000
    assert product.key == f"brightest/{NIGHT}/00000003/r2.txt"
    assert (more.gates, more.summary, more.frames) == (plain.gates, plain.summary, plain.frames)


def early(aligned, reached):
    return stored(aligned.context, reached, aligned.stack.sources.flux.max())


def test_a_step_whose_stage_is_not_reached_does_not_run(night):
    steps = [*STEPS, PipelineStep("brightest", Measured, brightest, after_refusal=True)]
    work = work_of(night, pipelines=("wcs", "brightest"))
    commit = reduce_sensor(work, night.shared_inputs(reference=None), steps)
    assert (commit.status, set(commit.products)) == ("rejected", set())
