"""Any table, written in any usual form, is read with every value, or refused with a named error.

Covered: texts with separators, quotes, line ends and #; integers of any size; numbers; missing values; separators,
blanks, comments, line ends, encodings, compression; any bytes. Single types and messages: tests/unit/test_text_tables.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from gozen.catalog.imports import table_stream
from gozen.catalog.imports.formats.file_request import FileRequest
from gozen.errors import UnreadableInput

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=8)
TEXTS = st.one_of(
    WORDS.map(lambda one: f"x{one}"),
    st.sampled_from(["GJ 1243", "a,b", "a;b", "a|b", "a\tb", "x\ny", "x\n# y", 'say "so"', "x#1", "été", "星"]),
)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
MISSING = st.sampled_from(["", "nan", "NULL", "--", "N/A"])
COMMENTS = st.sampled_from(["", "# a comment\n", "# a, b; c | d\n\n", "#\n# x\n"])
PACKED: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gz": gzip.compress, "bz2": bz2.compress}


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list]:
    rows = draw(st.integers(1, 6))

    def column(values: st.SearchStrategy, gaps: bool = True) -> list:
        return draw(st.lists(st.one_of(values, st.none()) if gaps else values, min_size=rows, max_size=rows))

    return {"name": column(TEXTS, gaps=False), "id": column(INTEGERS), "ra": column(FLOATS), "mag": column(FLOATS)}


def written(table: dict[str, list], missing: str, how: dict) -> bytes:
    """Return the file of a table."""
    sink = io.StringIO(newline="")
    sink.write(how["comment"])
    writer = csv.writer(sink, delimiter=how["separator"], lineterminator=how["end"], quoting=how["quoting"])
    writer.writerow([f"{how['pad']}{one}" for one in table])
    for name, *numbers in zip(*table.values(), strict=True):
        cells = [missing if one is None else repr(one) for one in numbers]
        if how["decimal"] == ",":
            cells = [one.replace(".", ",") for one in cells]
        writer.writerow([name, *(f"{how['pad']}{one}{how['pad']}" for one in cells)])
    sink.write(how["comment"].replace("\n\n", "\n"))
    return sink.getvalue().encode(how["encoding"])


def hows(draw: st.DrawFn) -> dict:
    separator = draw(st.sampled_from(",;\t|"))
    return {
        "separator": separator,
        "decimal": draw(st.sampled_from(".,")) if separator in ";\t" else ".",
        "pad": draw(st.sampled_from(["", " ", "   "])),
        "comment": draw(COMMENTS),
        "end": draw(st.sampled_from(["\n", "\r\n"])),
        "quoting": draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
    }


@settings(max_examples=150, deadline=None)
@given(table=tables(), missing=MISSING, how=st.composite(hows)(), packed=st.sampled_from(sorted(PACKED)))
def test_every_value_of_a_table_is_read_as_written(
    table: dict[str, list], missing: str, how: dict, packed: str
) -> None:
    data = PACKED[packed](written(table, missing, how))
    file = table_stream.open_table_stream("t.csv", data=data)
    found = file.columns(file.schema.names).to_pydict()
    assert list(found) == list(table)
    assert found["name"] == [one.strip() for one in table["name"]]
    assert found["id"] == table["id"]
    for word in ("ra", "mag"):
        assert [one if one is None else float(one) for one in found[word]] == table[word]


@settings(max_examples=150, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.text(st.sampled_from('ra,dec;\t|"# \n\r1.5-:éN'), max_size=80).map(str.encode),
        st.sampled_from(
            [b"SIMPLE  = T", b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff", b"<VOTABLE>", b"# %ECSV 1.0\n"]
        ).flatmap(lambda head: st.binary(max_size=60).map(lambda rest: head + rest)),
    ),
    hdu=st.sampled_from([None, "1"]),
)
def test_any_bytes_are_read_or_refused_by_name(data: bytes, hdu: str | None) -> None:
    said = ""
    try:
        file = table_stream.open_table_stream("t.csv", data=data, asked=FileRequest(hdu=hdu))
        file.columns(file.schema.names)
    except UnreadableInput as error:
        said = str(error)
    assert not said or "t.csv" in said
