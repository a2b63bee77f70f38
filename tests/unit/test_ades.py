"""Test reports for the Minor Planet Center: header, columns, values and their limits, and what is refused.

The limits are those of the official schema ``submit.xsd`` of 2022. One file was checked against the schema by hand.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gozen.errors import BadRequest
from gozen.movers.ades_report import Station, ades

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
NUMBER = r"(0|[1-9]\d*)(\.\d*)?"
SCHEMA = {  # in the order in which the schema wants them: name, whether required, and what it may be
    "permID": (False, ""),
    "trkSub": (True, r"[-A-Za-z0-9_]{1,8}"),
    "mode": (True, r"[A-Za-z0-9_]{1,3}"),
    "stn": (True, r"[A-Za-z0-9_]{3,4}"),
    "obsTime": (True, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"),
    "ra": (True, r"([1-3]\d\d|[1-9]?\d)(\.\d{0,9})?"),
    "dec": (True, r"[+-]?[1-9]?\d(\.\d{0,9})?"),
    "rmsRA": (False, rf"(?=.{{1,7}}$){NUMBER}"),
    "rmsDec": (False, rf"(?=.{{1,7}}$){NUMBER}"),
    "astCat": (True, r"[.A-Za-z0-9_]{1,8}"),
    "mag": (False, rf"(?=.{{1,8}}$)-?{NUMBER}"),
    "rmsMag": (False, rf"(?=.{{1,6}}$){NUMBER}"),
    "band": (False, r"[A-Za-z0-9_]{1,3}"),
    "photCat": (False, r"[.A-Za-z0-9_]{1,8}"),
    "remarks": (False, r"[^|]{1,300}"),
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


@pytest.mark.parametrize(
    "extreme",
    [
        {},
        {"ra": 359.99999999},
        {"ra": 0.0, "dec": -89.99999999},
        {"ra": 99.9, "dec": 89.99999999},
        {"position_err_arcsec": 0.0},
        {"position_err_arcsec": 1234.5},
        {"position_err_arcsec": float("nan")},
        {"mag": 35.001},
        {"mag": 34.999, "mag_err": 1e9},
        {"mag_err": None},
        {"mag_err": float("inf")},
        {"kind": "streak", "end": "start"},
    ],
)
def test_every_value_is_one_that_the_schema_takes(extreme):
    _, (record,) = parsed(ades([POINT | extreme], KISO))
    assert list(record) == list(SCHEMA)
    for name, (required, form) in SCHEMA.items():
        assert re.fullmatch(form, record[name]) or (not required and record[name] == ""), (name, record[name])
    assert 0 <= float(record["ra"]) < 360
    assert -90 <= float(record["dec"]) <= 90
    for error in ("rmsRA", "rmsDec", "rmsMag"):
        assert record[error] == "" or float(record[error]) > 0
    assert record["mag"] == "" or -5 <= float(record["mag"]) <= 35
    assert (record["mag"] == "") == (record["band"] == "")


def test_the_line_of_keywords_is_known_by_its_first():
    lines = ades([POINT, POINT], KISO).splitlines()
    (keywords,) = [n for n, line in enumerate(lines) if line.startswith("permID")]
    assert all(line[0] in "#!" for line in lines[:keywords])
    assert len({line.count("|") for line in lines[keywords:]}) == 1


def test_groups_of_the_header_have_what_the_schema_requires():
    header, _ = parsed(ades([POINT], KISO))
    required = {
        ("observatory", "mpcCode"),
        ("submitter", "name"),
        ("measurers", "name"),
        *(("telescope", word) for word in ("design", "aperture", "detector")),
    }
    optional = {("observers", "name"), *(("software", w) for w in ("astrometry", "photometry", "objectDetection"))}
    assert set(header) == required | optional
    once = [key for key in header if key not in {("observers", "name"), ("measurers", "name")}]
    assert all(len(header[key]) == 1 for key in once)
    assert re.fullmatch(rf"(?=.{{1,6}}$){NUMBER}", header["telescope", "aperture"][0])


def test_times_round_to_the_next_second_where_they_must():
    _, (record,) = parsed(ades([POINT | {"mjd": 61055.0 - 1e-9}], KISO))
    assert record["obsTime"] == "2026-01-15T00:00:00.000Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["obsTime"])


@pytest.mark.parametrize("mag", [None, float("nan"), -7.9, 36.0])
def test_what_is_no_calibrated_magnitude_is_left_out(mag):
    _, (record,) = parsed(ades([POINT | {"mag": mag}], KISO))
    assert (record["mag"], record["rmsMag"], record["band"], record["photCat"]) == ("", "", "", "")


def test_streaks_are_sent_only_with_a_known_direction():
    ends = [POINT | {"kind": "streak", "end": end} for end in ("start", "end", "either")]
    _, records = parsed(ades(ends, KISO))
    assert [record["remarks"] for record in records] == ["start of trail", "end of trail"]
    with pytest.raises(BadRequest, match="direction is unknown"):
        ades([ends[2], POINT | {"kind": "cosmic"}], KISO)


@pytest.mark.parametrize("code", ["", "38", "38-1", "Kiso1", "３８１"])
def test_a_station_needs_a_code(code):
    with pytest.raises(BadRequest, match="observatory code"):
        Station(code, "A. Observer", ("A. Observer",), ("A. Observer",))


def test_a_station_needs_people():
    with pytest.raises(BadRequest, match="submitter"):
        Station("381", "", (), ())


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ({"submitter": "A | Observer"}, "is not allowed in an ADES file"),
        ({"observers": ("A. Observer\n! name B",)}, "is not allowed in an ADES file"),
        ({"measurers": ("   ",)}, "is not allowed in an ADES file"),
        ({"observers": ("A" * 101,)}, "is not allowed in an ADES file"),
        ({"design": "S" * 36}, "is not allowed in an ADES file"),
        ({"mode": "film"}, "CMO, CCD, VID"),
        ({"aperture_m": 0.0}, "aperture"),
        ({"aperture_m": float("nan")}, "aperture"),
    ],
)
def test_what_the_schema_refuses_in_the_header_is_refused_at_once(part, complaint):
    with pytest.raises(BadRequest, match=complaint):
        replace(KISO, **part)
