"""Test raw data outside the archive: allowed URLs, and the sensors of the files."""

import pytest

from gozen.archive.raw.external_raw import files_of_sensors, open_outside, refusal
from gozen.archive.stores.open_store import open_store
from gozen.errors import BadRequest
from gozen.instrument.profile import load_profile
from gozen.settings import Settings

PREFIXES = ("s3://campaign/2026/", "file:///data/raw")


@pytest.mark.parametrize("url", ["s3://campaign/2026", "s3://campaign/2026/0115/00000003/", "file:///data/raw/x"])
def test_what_lies_below_a_prefix_is_allowed(url):
    assert refusal(url, PREFIXES) is None


@pytest.mark.parametrize(
    "url",
    [
        "s3://campaign/20260115",
        "s3://campaign",
        "s3://other/2026",
        "file:///data/rawer",
        "s3://campaign/2026/../2025",
        "s3://campaign/2026/./x",
        "s3://campaign/2026/%2e%2e/2025",
        "s3://campaign/2026/x?versionId=1",
        "s3://campaign/2026\\..\\x",
        "s3://user:word@campaign/2026/x",
        "/data/raw/x",
    ],
)
def test_all_else_is_not(url):
    assert refusal(url, PREFIXES) is not None


def test_without_prefixes_nothing_is_allowed_and_the_message_says_what_is():
    assert "the setting raw_url_prefixes is empty" in str(refusal("s3://campaign/2026", ()))
    with pytest.raises(BadRequest, match=r"s3://a/b is outside .* allows: s3://campaign/2026, file:///data/raw"):
        open_outside("s3://a/b", Settings(raw_url_prefixes=PREFIXES))


def test_names_tell_the_sensor(tmp_path):
    names = ["TMQ1202601150000000311.fits", "deep/TMQ2202601150000000316.fits.fz", "notes.txt", "TMQ1.fits"]
    names += ["TMQ1202601150000000399.fits", "TMQ1202601150000000311.fits.part"]  # no such chip; still being written
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = files_of_sensors(open_store(tmp_path), load_profile("tomoe"))
    assert found == {"111": (names[0],), "216": (names[1],)}
