"""Recipes, headers, tables and the command line read the same angle from a text, and the same night from a moment.

Only what they have in common is tested here; what each accepts or refuses is tested separately.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gozen.catalog.imports.position_columns import places
from gozen.cli.lightcurve import _angle
from gozen.instrument.header_rules import WordRule
from gozen.instrument.profile import Site
from gozen.instrument.read_header import convert, mjd_of_utc, night_of_mjd, utc_of_mjd
from gozen.resources import nights, sexagesimal

DIGITS = st.integers(0, 59).map("{:02d}".format)
SECONDS = st.integers(0, 59_999).map(lambda ms: f"{ms // 1000:02d}.{ms % 1000:03d}")
SIGNS = st.sampled_from(["", "+", "-"])
ZONES = ["Asia/Tokyo", "UTC", "Pacific/Honolulu", "America/Santiago", "Atlantic/Canary", "Asia/Kathmandu"]


def in_table(ra: str, dec: str) -> tuple[float, float]:
    table = pa.table({"ra": [ra], "dec": [dec]})
    found = places("a.csv", table, {"ra": "ra", "dec": "dec"}, {})
    return float(found.ra[0]), float(found.dec[0])


@given(st.integers(0, 23), st.integers(0, 89), SIGNS, DIGITS, SECONDS, st.sampled_from(": "))
@settings(deadline=None)
def test_all_read_the_same_angle(hours, degrees, sign, minutes, seconds, mark):
    ra = mark.join([f"{hours:02d}", minutes, seconds])
    dec = mark.join([f"{sign}{degrees:02d}", minutes, seconds])
    recipe = sexagesimal.degrees(ra, "hours"), sexagesimal.degrees(dec, "degrees")
    header = tuple(convert(t, WordRule(word="W", kind=k)) for t, k in ((ra, "hours"), (dec, "degrees")))
    assert recipe == header == in_table(ra, dec) == (_angle(ra, "hours"), _angle(dec, "degrees"))


@given(st.floats(-89.99, 89.99), st.integers(1, 6))
def test_all_read_what_is_written(value, decimals):
    text = sexagesimal.write(value, decimals, "+")
    found = sexagesimal.degrees(text, "degrees")
    assert found == convert(text, WordRule(word="DEC", kind="degrees")) == in_table("00:00:00", text)[1]
    assert found == pytest.approx(value, abs=0.51 / 3600 / 10**decimals)


@given(st.datetimes(datetime(1973, 1, 1), datetime(2035, 12, 31)), st.sampled_from(ZONES))
@settings(deadline=None)
def test_a_header_and_a_plan_belong_to_the_same_night(moment, zone):
    mjd = mjd_of_utc(moment.replace(tzinfo=UTC))
    site = Site(name="a", longitude_deg=0, latitude_deg=0, height_m=0, time_zone=zone)
    night = nights.night_of(utc_of_mjd(mjd), ZoneInfo(zone))
    begin, end = nights.bounds(night, ZoneInfo(zone))
    assert begin <= utc_of_mjd(mjd) < end
    assert night_of_mjd(mjd, site) == f"{night:%Y%m%d}"
