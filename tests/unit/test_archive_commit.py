"""Test commits and provenance: written once, the same bytes each time, and provenance in the headers of products."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from pydantic import ValidationError

from gozen.archive import keys
from gozen.archive.commit import FrameRecord, Outcome, Rejection, put_product, read_commit, write_commit
from gozen.archive.keys import Processing
from gozen.archive.provenance import CalibrationUsed, Provenance, ReferenceUsed, sha256
from gozen.archive.stores.open_store import open_store
from gozen.errors import NoisyFrame, UnreadableInput

from .archive_samples import commit, processing_of, refused


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


@pytest.fixture
def provenance():
    return Provenance(
        code_version="0.1.0",
        image_digest="sha256:" + "a" * 64,
        recipe="Observer: 諸隈\n",
        recipe_name="survey",
        parameters={"detection": {"threshold_sigma": 5.0}, "index_files": (Path("/usr/share/astrometry"),)},
        calibration={"dark": CalibrationUsed(key="calib/dark/20240105/7/121.fits", sha256="b" * 64, age_days=0.25)},
        reference=ReferenceUsed(name="gaia", sha256="c" * 64),
        inputs={"raw/20240105/e/TMQ1.fits": "d" * 64},
    )


def test_a_commit_comes_back_equal(store, provenance):
    one = commit(provenance=provenance)
    assert write_commit(store, processing_of(one), one) is Outcome.WRITTEN
    assert read_commit(store, processing_of(one), one.sensor) == one


def test_a_commit_is_never_rewritten(store):
    first = commit()
    place = processing_of(first)
    assert write_commit(store, place, first) is Outcome.WRITTEN
    assert write_commit(store, place, first) is Outcome.SAME
    assert write_commit(store, place, commit(nframe=1)) is Outcome.KEPT_FIRST
    assert read_commit(store, place, first.sensor) == first


def test_its_bytes_are_the_same_each_time_and_hold_no_nan(provenance):
    frame = FrameRecord(frame=0, mjd=np.float64("nan"), seeing_px=np.float32(2.5), noise_adu=float("inf"))
    data = commit(frames=(frame,), provenance=provenance).to_json()
    assert data == commit(frames=(frame,), provenance=provenance).to_json()
    content = json.loads(data)
    assert list(content) == sorted(content)
    assert content["frames"][0]["mjd"] is content["frames"][0]["noise_adu"] is None
    assert content["frames"][0]["seeing_px"] == 2.5


def test_there_may_be_none(store):
    assert read_commit(store, Processing("20240105", "e"), "121") is None


def test_a_commit_goes_where_it_belongs(store):
    with pytest.raises(ValueError, match="of 20240105/e1/r1, but its key is of 20240105/e2/r1"):
        write_commit(store, Processing("20240105", "e2"), commit())


def test_a_rejection_says_why():
    with pytest.raises(ValidationError, match="`rejection` is required"):
        commit(status="rejected")
    with pytest.raises(ValidationError, match="`rejection` is required"):
        commit(rejection=refused().rejection)


def test_a_rejection_keeps_value_and_limit():
    why = Rejection.of(NoisyFrame("noise 4.0 of 3.0", value=4.0, limit=float("nan")))
    assert (why.name, why.message, why.value, why.limit) == ("NoisyFrame", "noise 4.0 of 3.0", 4.0, None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not a valid commit"),
        ("[]", "not a valid commit"),
        ('{"form": 99}', "update Gozen"),
        ('{"form": 1}', "it is missing"),
    ],
)
def test_what_is_no_commit_is_named(store, content, says):
    place = Processing("20240105", "e")
    store.write(keys.commit(place, "121"), content.encode())
    with pytest.raises(UnreadableInput, match=says) as caught:
        read_commit(store, place, "121")
    assert "exposures/20240105/e/r1/121.json" in str(caught.value)


def test_a_product_is_stored_before_it_is_named(store):
    product = put_product(store, "stack/x", b"pixels")
    assert (product.sha256, product.size) == (sha256(b"pixels"), 6)
    assert store.read("stack/x") == b"pixels"


def test_the_provenance_stands_in_a_fits_header_and_survives_it(provenance):
    header = fits.Header()
    for word, value, comment in provenance.as_cards():
        header.append((word, value, comment) if comment else (word, value), end=True)
    back = fits.Header.fromstring(header.tostring())
    assert (back["GZVERS"], back["GZIMAGE"], back["GZRECIPE"]) == ("0.1.0", "a" * 64, "survey")
    assert (back["DARKKEY"], back["DARKSHA"], back["DARKAGE"]) == ("calib/dark/20240105/7/121.fits", "b" * 64, 0.25)
    assert (back["REFCAT"], back["REFSHA"]) == ("gaia", "c" * 64)
    assert (back["GZNINPUT"], back["GZIN0001"], back["GZSH0001"]) == (1, "raw/20240105/e/TMQ1.fits", "d" * 64)
    assert "detection.threshold_sigma = 5.0" in list(back["HISTORY"])
    assert not any(card.image.startswith("HIERARCH") for card in header.cards)


def test_the_provenance_stands_in_parquet_metadata(provenance):
    stored = json.loads(provenance.as_metadata()[b"gozen.provenance"])
    assert Provenance.model_validate(stored) == provenance
    assert stored["recipe"] == "Observer: 諸隈\n"
