"""Test text tables: every usual form is read, and refusals say why.

Covered: separators, blanks, comments, rows of units and dashes, decimal commas, line ends, encodings, compression,
missing values, Fortran numbers, wide integers, names of every kind, ragged rows with their line. The conversion of
positions to degrees: test_position_columns. Random tables: tests/property.
"""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
import lzma
import re
import zipfile

import pyarrow as pa
import pytest

from gozen.catalog.imports import table_stream
from gozen.catalog.imports.formats import delimited
from gozen.catalog.imports.formats.file_request import FileRequest
from gozen.errors import UnreadableInput


def read(data: str | bytes, name: str = "t.csv", **asked: object) -> pa.Table:
    """Return a file's table; it is never on disk."""
    given = data.encode() if isinstance(data, str) else data
    file = table_stream.open_table_stream(name, data=given, asked=FileRequest(**asked))
    return file.columns(file.schema.names)


PLAIN = {"name": ["a", "b"], "ra": [40.5, 41.5], "dec": [1.25, -2.0]}
TEXT = "name,ra,dec\na,40.5,1.25\nb,41.5,-2.0\n"
WRITTEN = {
    "plain": TEXT,
    "blanks around names and values": "name, RA , Dec\na , 40.5, 1.25\n b, 41.5 , -2.0\n",
    "comments": "# by hand\n\nname,ra,dec\na,40.5,1.25\n  # middle, of, it\nb,41.5,-2.0\n# the end",
    "lines of blanks": "name,ra,dec\na,40.5,1.25\n   \nb,41.5,-2.0\n\n\n",
    "semicolons": "name;ra;dec\na;40.5;1.25\nb;41.5;-2.0\n",
    "decimal commas": "name;ra;dec\na;40,5;1,25\nb;41,5;-2,0\n",
    "decimal commas and TABs": "name\tra\tdec\na\t40,5\t1,25\nb\t41,5\t-2,0\n",
    "TABs": "name\tra\tdec\na\t40.5\t1.25\nb\t41.5\t-2.0\n",
    "bars": "name|ra|dec\na|40.5|1.25\nb|41.5|-2.0\n",
    "Markdown": "| name | ra | dec |\n|------|---:|-----|\n| a | 40.5 | 1.25 |\n| b | 41.5 | -2.0 |\n",
    "many blanks": "name  ra    dec\n a    40.5  1.25 \n b    41.5  -2.0\n",
    "blanks and quotes": '# name ra dec\n"a"   40.5 1.25\n"b"\t41.5 -2.0\n',
    "names in a comment": "# name,ra,dec\na,40.5,1.25\nb,41.5,-2.0\n",
    "names and units in comments": "# name ra dec\n# - deg deg\na 40.5 1.25\nb 41.5 -2.0\n",
    "a hint for Excel": "sep=;\nname;ra;dec\na;40.5;1.25\nb;41.5;-2.0\n",
    "Windows": TEXT.replace("\n", "\r\n"),
    "an old Macintosh": TEXT.replace("\n", "\r"),
    "no end of the last line": TEXT.rstrip(),
    "quotes": '"name","ra","dec"\n"a","40.5","1.25"\n"b","41.5","-2.0"\n',
    "separators at the ends": "name,ra,dec,\na,40.5,1.25,\nb,41.5,-2.0,\n",
    "separators at the ends of rows": "name,ra,dec\na,40.5,1.25,\nb,41.5,-2.0,\n",
    "signs and Fortran": "name,ra,dec\na,+4.05D+01,+1.25\nb,415d-1,-2.0\n",
    "a mark": TEXT.encode("utf-8-sig"),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16, the other way": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "gzip": gzip.compress(TEXT.encode()),
    "gzip, twice": gzip.compress(gzip.compress(TEXT.encode())),
    "bzip2": bz2.compress(TEXT.encode()),
    "xz": lzma.compress(TEXT.encode()),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_one_table_is_read_however_it_is_written(how: str) -> None:
    found = read(WRITTEN[how])
    assert {name.lower(): values for name, values in found.to_pydict().items()} == PLAIN


def test_a_zip_archive_of_one_file_is_unpacked_and_one_of_two_is_refused() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mine/t.csv", TEXT)
    assert read(packed.getvalue(), "t.zip").to_pydict() == PLAIN
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("mine/u.csv", TEXT)
    with pytest.raises(UnreadableInput, match=r"t\.zip.* ZIP archive of 2 files \(mine/t\.csv; mine/u\.csv\)"):
        read(packed.getvalue(), "t.zip")


def test_rows_of_units_and_dashes_are_no_rows() -> None:
    head = "#RESOURCE=yCat\n\nRAJ2000\tDEJ2000\tVmag\ndeg\tdeg\tmag\n-------\t-------\t----\n"
    vizier = head + " 40.5\t 1.25\t 9.1\n 41\t 2\t    \n"
    found = read(vizier, "vizier.tsv")
    assert found.to_pydict() == {"RAJ2000": [40.5, 41], "DEJ2000": [1.25, 2], "Vmag": [9.1, None]}
    units = [(field.metadata or {}).get(b"unit") for field in found.schema]
    assert units == [b"deg", b"deg", b"mag"]


@pytest.mark.parametrize("first", ["a,40.5,1.25", "a,08:18:29,-00:30:00", "a,10d30m,5d"])
def test_a_row_of_missing_values_makes_no_units_of_the_row_above(first: str) -> None:
    found = read(f"name,ra,dec\n{first}\n--,--,--\nb,41.5,-2.0\n")
    assert found["name"].to_pylist() == ["a", "--", "b"]
    assert not any(field.metadata for field in found.schema)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1", "", "nan", "NULL", "N/A", "--", "-999"], pa.int64(), [1, None, None, None, None, None, -999]),
        (["1", " ", " 2"], pa.int64(), [1, None, 2]),
        (["9007199254740993", ""], pa.int64(), [9007199254740993, None]),
        (["18446744073709551615", "1"], pa.uint64(), [18446744073709551615, 1]),
        (["340282366920938463463374607431768211455", "1"], pa.string(), None),
        (["9223372036854775809", "-1"], pa.string(), None),
        (["2552928187080872833.0", "3"], pa.string(), None),
        (["2552928187080872960.0", "3"], pa.float64(), [2552928187080872960.0, 3.0]),
        (["1e300", "100000000000000000000"], pa.float64(), [1e300, 1e20]),
        (["1,234", "5"], pa.string(), None),
        (["true", "False"], pa.bool_(), [True, False]),
        (["2020-01-02", ""], pa.date32(), [dt.date(2020, 1, 2), None]),
        (["2020-01-02T03:04:05", ""], None, [dt.datetime(2020, 1, 2, 3, 4, 5), None]),
        (["NA", "None", "a"], pa.string(), None),
        (["a\nb", "# no comment", 'say "so"', ""], pa.string(), None),
        (["", ""], pa.null(), [None, None]),
    ],
)
def test_values_keep_what_is_written(values: list[str], kind: pa.DataType | None, expected: list | None) -> None:
    rows = "".join('"' + one.replace('"', '""') + f'",{n}\n' for n, one in enumerate(values))
    found = read("v,n\n" + rows)
    assert kind is None or found.schema.field("v").type == kind
    assert found["v"].to_pylist() == (values if expected is None else expected)


def test_a_type_that_shows_late_and_a_quote_that_comes_late_hold_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "_BLOCK", 4096)
    numbers = [str(n) for n in range(3000)]
    rows = "".join(f"{n},{n},{n},{n}\n" for n in numbers)
    found = read("a,b,c,d\n" + rows + '"x\ny",1.5,12345678901234567890,\n')
    assert found["a"].to_pylist() == [*numbers, "x\ny"]
    assert found["b"].to_pylist()[-1] == 1.5
    assert found["c"].to_pylist()[-1] == 12345678901234567890
    assert found.schema.types == [pa.string(), pa.float64(), pa.uint64(), pa.int64()]


@pytest.mark.parametrize("names", ["1,2MASS", "名前,é", "Gmag,gmag", "a b,c.d", '"a,b","c""d"', "_healpix_29,row"])
def test_names_of_every_kind_are_kept(names: str) -> None:
    asked = frozenset({"1"})
    assert len(set(read(f"{names}\n1,2\n", columns=asked).column_names)) == 2
    assert read(f"{names}\n1,2\n", columns=asked).num_rows == 1


def test_a_column_without_a_name_gets_one() -> None:
    assert read(",ra\n7,1\n8,2\n").to_pydict() == {"column1": [7, 8], "ra": [1, 2]}


REFUSED = {
    "": "it is empty",
    "\n\n": "it is empty",
    "# only\n": "it has only comments",
    "name,ra,dec\n": "a line of names but no rows",
    "name,ra,dec\n#a,1,2\n": "lines that begin with # are comments",
    "ra,dec,ra\n1,2,1\n": "the name ra occurs twice in line 1, as columns 1 and 3",
    "# a\nra, dec, ra\n1,2,1\n": "occurs twice in line 2",
    "a,40,1\nb,41,2\n": "line 1, 'a,40,1', contains values instead of the names of the columns",
    "My table\nname,ra,dec\na,1,2\n": "line 1, 'My table', should contain the names of columns",
    "name,ra,dec\na,40,1\n# c\nb,41\n": r"line 4 has 2 values, but there are 3 names of columns: 'b,41'",
    "name,ra,dec\na,40,1\nb,41,2,3\n": "line 3 has 4 values, but there are 3 names",
    'name,ra,dec\n"a\nx",40,1\nb,41\n': "line 4 has 2 values",
    "a b c\n1 2 3\n4  5\n": "line 3 has 2 values, but there are 3 names",
    'name,ra,dec\nx,40,"1\nb,41,2\n': "a double quote begins the value '1' and is never closed",
    "words\n": "should contain the names of columns, separated by commas",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_table_is_named_by_its_line(text: str) -> None:
    with pytest.raises(UnreadableInput, match=rf"cannot read the table t\.csv: .*{REFUSED[text]}"):
        read(text)


@pytest.mark.parametrize(
    "head", [b"\x89HDF\r\n\x1a\n", b"PK\x03\x04 broken", b"SQLite format 3\x00", b"ORC", b"\x1f\x8bbroken"]
)
def test_other_files_are_named(head: bytes) -> None:
    with pytest.raises(UnreadableInput, match=r"cannot read the table t\.csv"):
        read(head + bytes(200))


def test_an_encoding_that_nothing_shows_is_asked_for() -> None:
    data = "name,ra,dec\nété,1,2\n".encode("latin-1")
    with pytest.raises(UnreadableInput, match=r"near line 2 it is not valid UTF-8: .* --encoding latin-1"):
        read(data)
    assert read(data, encoding="latin-1")["name"].to_pylist() == ["été"]
    for other in ("klingon", "base64", "rot13", "\0", ""):
        with pytest.raises(UnreadableInput, match=f"the encoding {re.escape(repr(other))} is not known: write utf-8"):
            read(data, encoding=other)


def test_bytes_that_are_not_utf8_far_down_are_named_by_their_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "_BLOCK", 4096)
    text = "name,ra\n" + "".join(f"star {n},{n}\n" for n in range(500))
    with pytest.raises(UnreadableInput, match="near line 502 it is not valid UTF-8"):
        read(text.encode() + b"\xe9t\xe9,1\n")


def test_tables_of_other_programs_are_read() -> None:
    sextractor = (
        "#   1 NUMBER       Running object number\n#   2 ALPHA_J2000  Right ascension  [deg]\n"
        "#   3 DELTA_J2000  Declination  [deg]\n 1 40.5 1.5\n"
    )
    ipac = (
        "\\fixlen = T\n|    ra    |   dec   |\n|  double  | double  |\n|   deg    |  deg    |\n  40.5      1.5      \n"
    )
    assert read(sextractor, "t.cat")["ALPHA_J2000"].to_pylist() == [40.5]
    assert read("# 1 id\n# 2 ra\n# 3 dec\n1 40.5 1.5\n", "t.cat").to_pydict() == {"id": [1], "ra": [40.5], "dec": [1.5]}
    assert read("# 1 star\nra dec\n40.5 1.5\n", "t.cat").to_pydict() == {"ra": [40.5], "dec": [1.5]}
    assert read(ipac, "t.tbl")["ra"].to_pylist() == [40.5]


def test_the_word_of_the_gaia_archive_for_a_missing_number_is_understood_in_ecsv() -> None:
    lines = [
        "%ECSV 1.0", "---", "delimiter: ','", "datatype:", "- {name: source_id, datatype: int64}",
        "- {name: ra, datatype: float64, unit: deg}", "- {name: g, datatype: float32}", "- {name: has, datatype: bool}",
        "- {name: name, datatype: string}",
    ]  # fmt: skip
    head = "".join(f"# {one}\n" for one in lines)
    found = read(head + 'source_id,ra,g,has,name\n2552928187080872833,40.5,null,True,a\n2,41.5,"null",null,""\n')
    assert found.to_pydict() == {
        "source_id": [2552928187080872833, 2], "ra": [40.5, 41.5], "g": [None, None], "has": [True, None],
        "name": ["a", None],
    }  # fmt: skip


PADDED = {
    "007,1\n12,2\n": ["007", "12"],
    "12,1\n007,2\n": ["12", "007"],
    " 007 ,1\n12,2\n": ["007", "12"],
    '"007",1\n12,2\n': ["007", "12"],
    "-07,1\n12,2\n": ["-07", "12"],
    "NaN,1\n007,2\n": ["NaN", "007"],
    "0,1\n7,2\n": [0, 7],
    "05.5,1\n12,2\n": [5.5, 12.0],
    "00,1\n0.5,2\n": [0.0, 0.5],
    "2024-01-05,1\n2024-02-05,2\n": [dt.date(2024, 1, 5), dt.date(2024, 2, 5)],
}


@pytest.mark.parametrize("rows", PADDED)
def test_a_column_of_integers_with_leading_zeros_is_text_and_no_other(rows: str) -> None:
    found = read(f"a,b\n{rows}")
    assert found.to_pydict() == {"a": PADDED[rows], "b": [1, 2]}


def test_leading_zeros_that_come_late_hold_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "_BLOCK", 64)
    found = read("a,b\n" + "".join(f"{n},{n}\n" for n in range(300)) + "007,1\n")
    assert found["a"].to_pylist()[-2:] == ["299", "007"]
    assert found["b"].to_pylist()[-2:] == [299, 1]


def test_minus_zero_keeps_its_sign() -> None:
    (zero, other) = read("a,b\n-0,1\n5,2\n")["a"].to_pylist()
    assert (str(zero), other) == ("-0.0", 5.0)
