"""The form of the Minor Planet Center: header, columns and values, and what may not be sent."""

from __future__ import annotations

import re

import pytest

from gozen.archive.ades import Station, ades
from gozen.errors import BadRequest

KISO = Station("381", "A. Observer", ("A. Observer", "B. Helper"), ("A. Observer",))
POINT = {
    "tracklet": "g7m3kn5x",
    "kind": "mover",
    "end": None,
    "mjd": 61055.5422235,
    "ra": 20.2823661234,
    "dec": -0.0001234,
    "position_err_arcsec": 0.0547,
    "mag": 14.0234,
    "mag_err": 0.004,
}


def parsed(text):
    """Return the header's values and the records, by name."""
    header, names, records, part = {}, None, [], ""
    for line in text.splitlines():
        if line.startswith("# "):
            part = line[2:]
        elif line.startswith("! "):
            word, value = line[2:].split(" ", 1)
            header.setdefault((part, word), []).append(value)
        elif names is None:
            names = [name.strip() for name in line.split("|")]
        else:
            values = [value.strip() for value in line.split("|")]
            records.append(dict(zip(names, values + [""] * (len(names) - len(values)), strict=True)))
    return header, records


def test_the_header_names_station_people_and_telescope():
    text = ades([POINT], KISO)
    header, _ = parsed(text)
    assert text.startswith("# version=2022\n")
    assert header["observatory", "mpcCode"] == ["381"]
    assert header["submitter", "name"] == ["A. Observer"]
    assert header["observers", "name"] == ["A. Observer", "B. Helper"]
    assert header["telescope", "aperture"] == ["1.05"]
    assert {("telescope", "design"), ("telescope", "detector"), ("measurers", "name")} <= set(header)


def test_a_point_is_a_record_with_the_required_fields():
    _, (record,) = parsed(ades([POINT], KISO))
    assert record["trkSub"] == "g7m3kn5x"
    assert (record["mode"], record["stn"], record["astCat"]) == ("CMO", "381", "Gaia3")
    assert record["obsTime"] == "2026-01-15T13:00:48.110Z"
    assert (record["ra"], record["dec"]) == ("20.282366", "-0.000123")
    assert (record["rmsRA"], record["rmsDec"]) == ("0.055", "0.055")
    assert (record["mag"], record["rmsMag"], record["band"], record["photCat"]) == ("14.02", "0.01", "G", "Gaia3")


def test_times_round_to_the_next_second_where_they_must():
    _, (record,) = parsed(ades([POINT | {"mjd": 61055.0 - 1e-9}], KISO))
    assert record["obsTime"] == "2026-01-15T00:00:00.000Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["obsTime"])


@pytest.mark.parametrize("mag", [None, float("nan"), -7.9])
def test_what_is_no_calibrated_magnitude_is_left_out(mag):
    _, (record,) = parsed(ades([POINT | {"mag": mag}], KISO))
    assert (record["mag"], record["rmsMag"], record["band"], record["photCat"]) == ("", "", "", "")


def test_streaks_are_sent_only_with_a_known_direction():
    ends = [POINT | {"kind": "streak", "end": end} for end in ("start", "end", "either")]
    _, records = parsed(ades(ends, KISO))
    assert [record["remarks"] for record in records] == ["start of trail", "end of trail"]
    with pytest.raises(BadRequest, match="direction is unknown"):
        ades([ends[2], POINT | {"kind": "cosmic"}], KISO)


@pytest.mark.parametrize("code", ["", "38", "38-1", "Kiso1"])
def test_a_station_needs_a_code(code):
    with pytest.raises(BadRequest, match="observatory code"):
        Station(code, "A. Observer", ("A. Observer",), ("A. Observer",))


def test_a_station_needs_people():
    with pytest.raises(BadRequest, match="submitter"):
        Station("381", "", (), ())
