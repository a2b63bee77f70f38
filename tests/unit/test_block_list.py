"""Test the block list: which data an entry covers, and which files are refused."""

from datetime import UTC, datetime

import pytest

from gozen.archive.block_list import Observed, blocked_by, load_block_list
from gozen.errors import UnreadableInput
from gozen.instrument.read_header import mjd_of_utc

EVENING = mjd_of_utc(datetime(2024, 1, 5, 12, tzinfo=UTC))


def seen(**fields):
    values = {"object": "GW follow-up 3", "exposure": "00012345", "project": "ToO", "mjd": EVENING}
    return Observed(**(values | {"ra": 120.0, "dec": 20.0, "radius_deg": 0.4} | fields))


@pytest.fixture
def blocks(tmp_path):
    def load(text):
        path = tmp_path / "blocks.yaml"
        path.write_text(text, encoding="utf-8")
        return load_block_list(path)

    return load


@pytest.mark.parametrize(
    ("entry", "covered"),
    [
        ("object: gw*", True),
        ("object: GW", False),
        ("project: too", True),
        ("exposures: [00012345, 7]", True),
        ("exposures: [12345]", False),
        ("sky: { ra: 120, dec: 21, radius_deg: 0.7 }", True),  # the sensor's edge reaches into it
        ("sky: { ra: 120, dec: 21, radius_deg: 0.5 }", False),
        ("time: { start: 2024-01-05T11:59:59Z, end: 2024-01-05T12:00:00 }", True),
        ("time: { start: 2024-01-05T21:00:00+09:00, end: 2024-01-06 }", True),
        ("time: { start: 2024-01-05T12:00:01, end: 2024-01-06 }", False),
        ("{ object: gw*, project: survey }", False),
    ],
)
def test_an_entry_covers_what_fits_all_that_it_names(blocks, entry, covered):
    body = entry.strip("{} ") if entry.startswith("{ object") else entry
    lines = "\n  ".join(body.split(", ")) if entry.startswith("{ object") else body
    entries = blocks(f"- reason: embargo\n  {lines}\n")
    assert blocked_by(entries, seen()) == ("embargo" if covered else None)


def test_the_first_entry_that_fits_gives_the_reason(blocks):
    entries = blocks("- {reason: one, object: none}\n- {reason: two, project: too}\n- {reason: three, project: too}\n")
    assert blocked_by(entries, seen()) == "two"


def test_what_is_not_known_does_not_fit(blocks):
    entries = blocks("- {reason: place, sky: {ra: 120, dec: 20, radius_deg: 5}}\n")
    assert blocked_by(entries, seen(ra=None)) is None
    entries = blocks("- {reason: time, time: {start: 2024-01-01, end: 2025-01-01}}\n")
    assert blocked_by(entries, seen(mjd=None)) is None


def test_an_empty_list_blocks_nothing(blocks):
    assert blocked_by(blocks("[]"), seen()) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("object: a", "not a YAML list"),
        ("- {object: a", "cannot read"),
        ("- {reason: all of it}", "entry 1: .*would block all"),
        ("- {reason: r, object: a}\n- {object: a}", "entry 2: reason: it is missing"),
        ("- {reason: r, objekt: a}", "entry 1: objekt: this name is not known"),
        ("- {reason: r, sky: {ra: 400, dec: 0, radius_deg: 1}}", "entry 1: sky.ra"),
        ("- {reason: r, time: {start: 2024-02-01, end: 2024-01-01}}", "before the start"),
        (
            "- {reason: r, time: {start: yesterday, end: 2024-01-01}}",
            "entry 1: time.start: .*write a time as 2026-01-15T12:34:56Z",
        ),
    ],
)
def test_a_faulty_list_says_where(blocks, text, says):
    with pytest.raises(UnreadableInput, match=says):
        blocks(text)


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnreadableInput, match=r"no-list\.yaml"):
        load_block_list(tmp_path / "no-list.yaml")
