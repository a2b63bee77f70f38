"""Test positions with hours, degrees, minutes and seconds in separate columns: every format, sign and refusal."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.coordinates import Angle
from astropy.table import Column, MaskedColumn, Table

from gozen.archive.stores.directory_store import DirectoryStore
from gozen.catalog import open_catalog
from gozen.catalog.imports.import_table import Imported, ImportRequest, import_table
from gozen.catalog.imports.split_positions import split_angles
from gozen.catalog.reference.reference_catalog import read_reference
from gozen.errors import BadRequest, UnreadableInput

NAMES = ("RAh", "RAm", "RAs", "DE-", "DEd", "DEm", "DEs")
ROWS = [
    ("00", "00", "00.05", "-", "00", "00", "00.1"), ("05", "08", "09.25", "+", "00", "59", "59.9"),
    ("12", "30", "00.00", "-", "89", "59", "05.0"), ("23", "59", "59.999", "-", "00", "30", "00.0"),
]  # fmt: skip
RA = Angle([f"{h}h{m}m{s}s" for h, m, s, *_ in ROWS]).deg
DEC = Angle([f"{sign}{d}d{m}m{s}s" for *_, sign, d, m, s in ROWS]).deg


def table() -> Table:
    """Return the rows with the types that VizieR and the CDS give them."""
    kinds = (int, int, float, str, int, int, float)
    named = dict(zip(NAMES, zip(*ROWS, strict=True), strict=True))
    found = Table({name: Column(named[name]).astype(kind) for name, kind in zip(NAMES, kinds, strict=True)})
    for name, unit in zip(NAMES, (units.h, units.min, units.s, None, "deg", "arcmin", "arcsec"), strict=True):
        found[name].unit = unit
    found["e_RAs"] = [0.01, 0.02, 0.03, 0.04]
    return found


def text(separator: str = ",", names: tuple[str, ...] = NAMES) -> str:
    picked = [[row[NAMES.index(name)] for name in names] for row in ROWS]
    return "".join(f"{separator.join(row)}\n" for row in [list(names), *picked])


def imported(tmp_path: Path, content: str | bytes, name: str, **said: str) -> tuple[Imported, pa.Table]:
    """Import a file's bytes; return what was done and the rows in the order of the file."""
    data = content.encode() if isinstance(content, str) else content
    store = DirectoryStore(tmp_path / "archive")
    done = import_table(store, str(tmp_path / name), "mine", ImportRequest(data=data, **said))
    rows = open_catalog(store, "mine").table()
    return done, rows.sort_by("ra")


def written(kind: str) -> bytes:
    if kind == "parquet":
        stream = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(table().to_pandas()), stream)
        return stream.getvalue()
    if kind == "tsv of VizieR":
        unit_row = "h\tmin\ts\t\tdeg\tarcmin\tarcsec\n"
        rule = "--\t--\t------\t-\t--\t--\t----\n"
        head, rest = text("\t").split("\n", 1)
        return f"#RESOURCE=yCat\n{head}\n{unit_row}{rule}{rest}".encode()
    if kind == "units, no dashes":
        head, rest = text(";").split("\n", 1)
        return f"{head}\nh;min;s;;deg;arcmin;arcsec\n{rest}".encode()
    if kind == "ascii.ecsv":
        lines = io.StringIO()
        table().write(lines, format=kind)
        return lines.getvalue().encode()
    stream = io.BytesIO()
    table().write(stream, format={"xml": "votable"}.get(kind, kind))
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["fits", "xml", "ascii.ecsv", "parquet", "tsv of VizieR", "units, no dashes"])
def test_positions_in_parts_are_read_from_every_format(tmp_path: Path, kind: str) -> None:
    name = "t.ecsv" if kind == "ascii.ecsv" else "t.dat"
    done, rows = imported(tmp_path, written(kind), name)
    order = np.argsort(RA)
    np.testing.assert_allclose(rows["ra"], RA[order], rtol=0, atol=1e-13)
    np.testing.assert_allclose(rows["dec"], DEC[order], rtol=0, atol=1e-13)
    assert (done.ra, done.dec, done.left_out) == ("RAh, RAm, RAs", "DE-, DEd, DEm, DEs", 0)
    assert set(NAMES) <= set(rows.column_names)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "  "])
def test_the_sign_of_zero_degrees_counts_in_text(tmp_path: Path, separator: str) -> None:
    _, rows = imported(tmp_path, text(separator), "t.csv")
    np.testing.assert_allclose(rows["dec"], DEC[np.argsort(RA)], rtol=0, atol=1e-13)
    assert rows["DE-"].to_pylist() == ["-", "+", "-", "-"]


def test_a_column_of_dashes_alone_is_no_column_of_missing_values(tmp_path: Path) -> None:
    _, rows = imported(tmp_path, "RAh,RAm,DE-,DEd,DEm\n1,2,-,0,30\n2,3,-,5,15\n", "t.csv")
    assert rows["dec"].to_pylist() == [-0.5, -5.25]


@pytest.mark.parametrize("zero", ["-0", "-00", "-0.0"])
def test_the_sign_may_stand_with_the_degrees(tmp_path: Path, zero: str) -> None:
    _, rows = imported(tmp_path, f"RAh,RAm,DEd,DEm\n1,2,{zero},30\n2,3,-5,15\n3,4,7,30\n", "t.csv")
    assert rows["dec"].to_pylist() == [-0.5, -5.25, 7.5]


def test_a_sign_that_integers_have_lost_is_refused(tmp_path: Path) -> None:
    lost = Table({"RAh": [1, 2], "RAm": [0, 0], "DEd": [0, -3], "DEm": [30, 0]})
    stream = io.BytesIO()
    lost.write(stream, format="fits")
    with pytest.raises(UnreadableInput, match=r"an integer cannot distinguish \+00 from -00 degrees; add a column DE-"):
        imported(tmp_path, stream.getvalue(), "t.fits")


def test_missing_parts_are_zero_or_no_position(tmp_path: Path) -> None:
    hidden = [False, False, True, False]
    given = Table(
        {
            "RAh": MaskedColumn([1, 2, 3, 4], mask=hidden), "RAm": [30.5, 0, 0, 15], "DEd": [1.0, 2.0, 3.0, -0.0],
            "RAs": MaskedColumn([0.0, 4.0, 0.0, 0.0], mask=[True, False, False, True]), "DEm": [0, 0, 0, 6],
        }
    )  # fmt: skip
    stream = io.BytesIO()
    given.write(stream, format="votable")
    done, rows = imported(tmp_path, stream.getvalue(), "t.xml")
    assert done.left_out == 1
    assert rows["ra"].to_pylist() == pytest.approx([22.625, 30 + 1 / 60, 63.75], abs=1e-13)
    assert rows["dec"].to_pylist() == [1.0, 2.0, -0.1]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("25,0,0,+,1,0,0", "row 2 of the column RAh .* 25, is more than 24"),
        ("-1,0,0,+,1,0,0", "row 2 of the column RAh .* is negative"),
        ("1,60,0,+,1,0,0", "row 2 of the column RAm .* 60, is 60 or more"),
        ("1,0,-1,+,1,0,0", "row 2 of the column RAs .* -1, is negative"),
        ("1,0,0,+,91,0,0", "row 2 of the column DEd .* 91, is more than 90"),
        ("1,0,0,+,-1,0,0", "row 2 of the column DEd .* negative, but the column DE- has no minus sign"),
        ("1,0,0,S,1,0,0", "row 2 of the column DE- .* 'S', is not a sign: write"),
    ],
)
def test_parts_that_make_no_angle_are_refused_by_row(tmp_path: Path, wrong: str, says: str) -> None:
    with pytest.raises(UnreadableInput, match=says):
        imported(tmp_path, f"{','.join(NAMES)}\n1,0,0,-,1,0,0\n{wrong}\n", "t.csv")


def test_an_old_equinox_is_refused(tmp_path: Path) -> None:
    given = table()
    given["RAh"].description = "Right ascension (1950)"
    stream = io.BytesIO()
    given.write(stream, format="votable")
    with pytest.raises(
        UnreadableInput, match=r"old equinox \(Right ascension \(1950\)\): give positions in ICRS or J2000"
    ):
        imported(tmp_path, stream.getvalue(), "t.xml")


def test_whole_columns_win_and_a_unit_for_parts_is_refused(tmp_path: Path) -> None:
    done, _ = imported(tmp_path, "RAh,RAm,DEd,DEm,ra,dec\n1,2,3,4,10.5,20.5\n", "t.csv")
    assert (done.ra, done.dec) == ("ra", "dec")
    with pytest.raises(BadRequest, match="leave --unit out"):
        imported(tmp_path, text(), "t.csv", unit="deg")


def test_names_in_any_case_with_units_in_brackets() -> None:
    found = split_angles(["rah (h)", "RAM", "DEC-", "Decd", "DECm", "decs [arcsec]", "x"])
    assert found["ra"].columns == ("rah (h)", "RAM")
    assert found["dec"].columns == ("DEC-", "Decd", "DECm", "decs [arcsec]")
    assert split_angles(["RAh", "DEd", "RAs"]) == {}


def test_a_reference_catalogue_in_parts_is_of_2000_where_it_does_not_say(tmp_path: Path) -> None:
    found = read_reference("t.csv", data=text().encode())
    np.testing.assert_allclose([found.ra, found.dec], [RA, DEC], rtol=0, atol=1e-13)
    assert found.epoch == 2000.0
