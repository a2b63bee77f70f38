"""Test the conversion of positions in files to degrees: units, sexagesimal text, suspicious values; exact ids.

File formats and the places of units: test_text_tables and test_file_tables.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from astropy.coordinates import Angle
from astropy.table import Table

from gozen.catalog.imports.angle_units import in_degrees
from gozen.catalog.imports.object_ids import exact_ids
from gozen.catalog.imports.position_columns import Places, places, units_asked
from gozen.errors import BadRequest, UnreadableInput


def degrees(ra: object, dec: object, unit: str = "", dec_unit: str | None = None, asked: str | None = None) -> Places:
    fields = [
        pa.field(name, column.type, metadata={"unit": said} if said else None)
        for name, column, said in (
            ("ra", pa.array(ra), unit),
            ("dec", pa.array(dec), dec_unit if dec_unit is not None else unit),
        )
    ]
    table = pa.Table.from_arrays([pa.array(ra), pa.array(dec)], schema=pa.schema(fields))
    return places("t.csv", table, {"ra": "ra", "dec": "dec"}, units_asked(asked))


UNITS = {
    "deg": 1, "Degrees": 1, "[deg]": 1, "°": 1, "rad": 180 / np.pi, "radians": 180 / np.pi, "arcmin": 1 / 60,
    "arcsec": 1 / 3600, "ARCSEC": 1 / 3600, "mas": 1 / 3.6e6, "uas": 1 / 3.6e9, "0.1 arcsec": 1 / 36000,
}  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_of_angles_becomes_degrees(unit: str) -> None:
    there = np.array([120.5, 300.25]), np.array([-45.5, 60.0])
    found = degrees(there[0] / UNITS[unit], there[1] / UNITS[unit], unit)
    np.testing.assert_allclose([found.ra, found.dec], there, rtol=1e-14)
    assert found.good.all()
    assert found.notes == ()


@pytest.mark.parametrize("unit", ["hourangle", "h", "hours", "hr"])
def test_hours_of_right_ascension_become_degrees(unit: str) -> None:
    found = degrees([1.5, 23.5], [10.0, -10.0], unit, "deg")
    assert (found.ra.tolist(), found.dec.tolist()) == ([22.5, 352.5], [10.0, -10.0])
    assert degrees([1.5], [10.0], asked="hourangle").ra.tolist() == [22.5]


@pytest.mark.parametrize(("unit", "dec_unit"), [("pix", "deg"), ("mag", "deg"), ("deg", "h"), ("furlong", "deg")])
def test_a_unit_that_is_none_of_angles_is_refused_by_its_name(unit: str, dec_unit: str) -> None:
    wrong = dec_unit if dec_unit == "h" else unit
    with pytest.raises(UnreadableInput, match=rf"t\.csv has the unit '{wrong}'.*--unit"):
        degrees([1.0], [2.0], unit, dec_unit)
    assert degrees([1.0], [2.0], unit, dec_unit, asked="deg").ra.tolist() == [1.0]


@pytest.mark.parametrize("asked", ["furlong", "deg,hourangle", "", "deg,deg,deg", "m/s"])
def test_a_unit_that_is_asked_for_and_none_is_refused(asked: str) -> None:
    with pytest.raises(BadRequest, match="is not a unit of positions"):
        units_asked(asked)


SEXAGESIMAL = ["08:18:29.35", "8 18 29.35", "08h18m29.35s", "08H 18M 29.35S", "+08:18.5", "00:00:59.9", "23 59 59"]


@pytest.mark.parametrize("text", SEXAGESIMAL)
def test_sexagesimal_texts_agree_with_astropy(text: str) -> None:
    south = "-" + text.lstrip("+").lower().replace("h", "d").replace("08", "00", 1)
    found = degrees([text], [south])
    plain = text.lower()
    assert found.ra[0] == pytest.approx(Angle(plain, unit=units.hourangle).deg, rel=1e-14)
    assert found.dec[0] == pytest.approx(Angle(south, unit=units.deg).deg, rel=1e-14)
    assert found.dec[0] < 0


def test_texts_of_degrees_hours_and_nothing_are_told_apart() -> None:
    assert degrees(["10.5", " 11 ", "--"], ["1.5", "-2", "3"]).ra[:2].tolist() == [10.5, 11]
    assert degrees(["10d30m00s"], ["1°30′00″"]).ra.tolist() == [10.5]
    assert degrees(["200:30:00"], ["−01:30:00"], asked="deg").ra.tolist() == [200.5]
    assert degrees(["200:30:00"], ["−01:30:00"], "d:m:s").dec.tolist() == [-1.5]
    found = degrees(["01:30:00", None, ""], ["1", "2", "3"], '"h:m:s"', "deg")
    assert (found.ra[0], found.good.tolist()) == (22.5, [True, False, False])
    clock = pa.array([5400], pa.time32("s"))  # as readers of CSV have 01:30:00
    assert (degrees(clock, clock).ra[0], degrees(clock, clock).dec[0]) == (22.5, 1.5)


@pytest.mark.parametrize(
    ("ra", "dec", "says"),
    [
        ("north", "1", "row 2 of the column ra of the table t.csv, 'north', is not an angle"),
        ("10:60:00", "1", "'10:60:00', has more than 59 minutes or seconds"),
        ("25:00:00", "1", "'25:00:00', is more than 24 hours: .*--unit deg"),
        ("1:00:00", "1h02m03s", "'1h02m03s', is in hours"),
        ("10,5", "1", "'10,5', is not an angle"),
    ],
)
def test_a_text_that_is_no_angle_is_named_with_its_row(ra: str, dec: str, says: str) -> None:
    with pytest.raises(UnreadableInput, match=says):
        degrees(["01:02:03", ra], ["01:02:03", dec])


def test_rows_outside_the_sky_are_left_out_and_said() -> None:
    found = degrees([40.0, -999.0, 400.0, 50.0, 60.0], [1.0, -999.0, 2.0, 3.0, 90.0], "deg")
    assert found.good.tolist() == [True, False, False, True, True]
    assert found.notes == (
        "1 of 5 rows have a declination beyond ±90 degrees in the column dec (the first is -999): "
        "these rows are left out",
        "2 of 5 rows have a right ascension beyond ±360 degrees in the column ra (the first is -999): "
        "these rows are left out",
    )
    with pytest.raises(UnreadableInput, match=r"2 of 2 rows with a declination beyond ±90 .* 20000\): .*--unit arcsec"):
        degrees([10.0, 20.0], [20000.0, 30000.0])


@pytest.mark.parametrize(
    ("ra", "dec", "unit", "says"),
    [
        ([0.5, 6.2], [-1.5, 1.5], "", "if they are radians, write --unit rad"),
        ([0.5, 23.9], [-80.0, 80.0], "", "are between 0 and 24: if they are hours, write --unit hourangle"),
        ([0.5, 23.9], [-80.0, 80.0], "deg", None),
        ([0.5, 200.0], [-80.0, 80.0], "", None),
        ([20.0, 20.3, 20.7], [59.7, 60.0, 60.1], "", None),  # a field of a camera
        ([1.33, 1.35, 1.38], [59.7, 60.0, 60.1], "", "are between 0 and 24"),  # the same field in hours
    ],
)
def test_positions_without_a_unit_that_fit_another_are_said(ra: list, dec: list, unit: str, says: str | None) -> None:
    notes = degrees(ra, dec, unit).notes
    assert not notes if says is None else says in notes[0]


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (pa.array([1, 2**63 - 1]), [1, 2**63 - 1]),
        (pa.array(["9007199254740993", "2"]), [9007199254740993, 2]),
        (pa.array([1.0, 2.0]), [1, 2]),
        (pa.array([1, 2**63], pa.uint64()), "9223372036854775808, but ids are from 0 to 2"),
        (pa.array([-5, 1]), "contains -5"),
        (pa.array([1.5, 2.0]), "ids are integers"),
        (pa.array([2.0**60, 1.0]), "float64 rounds"),
        (pa.array([1, None]), "no id in 1 rows"),
        (pa.array([7, 7, 8]), "1 ids that occur more than once, such as 7"),
        (pa.array(["340282366920938463463374607431768211455"]), "beyond 2"),
        (pa.array(["s1"]), "ids are integers"),
    ],
)
def test_ids_are_exact_or_refused(column: pa.Array, found: list[int] | str) -> None:
    wrong, ids = exact_ids(pa.chunked_array([column]))
    if isinstance(found, str):
        assert ids is None
        assert found in wrong
    else:
        assert ids is not None
        assert ids.tolist() == found


def test_positions_of_a_caller_heed_their_units_and_masks() -> None:
    masked = np.ma.array([10.0, 20.0], mask=[False, True])
    np.testing.assert_array_equal(in_degrees(masked), [10.0, np.nan])
    np.testing.assert_allclose(in_degrees(np.radians([10.0, 20.0]) * units.rad), [10, 20])
    np.testing.assert_allclose(in_degrees(Table({"ra": masked}, units={"ra": "arcmin"})["ra"]), [1 / 6, np.nan])
    with pytest.raises(BadRequest, match="the positions have the unit m"):
        in_degrees([1.0] * units.m)


def test_truth_values_are_not_positions() -> None:
    with pytest.raises(UnreadableInput, match=r"column dec of the table t\.csv contains true and false: name a column"):
        degrees([1.0, 2.0], [True, False])


def test_ids_with_leading_zeros_stay_text() -> None:
    wrong, found = exact_ids(pa.chunked_array([["007", "12"]]))
    assert found is None
    assert "contains 007, whose leading zeros an integer would lose: leave --id out" in wrong
