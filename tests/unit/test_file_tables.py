"""Test Parquet, Arrow, FITS and VOTable files: types of columns, places of units, choice among several tables."""

from __future__ import annotations

import decimal
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io import fits, votable
from astropy.table import Table

from gozen.catalog.imports.formats.column_types import converted, plain, plain_field
from gozen.catalog.imports.formats.file_request import NotATableError
from gozen.catalog.reference.reference_catalog import read_reference
from gozen.errors import UnreadableInput

from .test_text_tables import read

D = decimal.Decimal
TYPES = [
    (pa.array(["a", None], pa.string_view()), pa.string()),
    (pa.array(["a", None], pa.large_string()), pa.string()),
    (pa.array([b"a", None], pa.binary_view()), pa.binary()),
    (pa.array([b"a", None], pa.large_binary()), pa.binary()),
    (pa.array(["a", None]).dictionary_encode(), pa.string()),
    (pa.RunEndEncodedArray.from_arrays(pa.array([1, 2], pa.int32()), pa.array(["a", None])), pa.string()),
    (pa.array([D("1.50"), None], pa.decimal256(50, 2)), pa.decimal128(38, 2)),
    (pa.array(np.array([1.5, 2], np.float16)), pa.float32()),
    (pa.array([[1.0], None], pa.large_list(pa.float64())), pa.list_(pa.float64())),
    (pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2)), pa.list_(pa.float64())),
    (pa.array([["a"], None], pa.list_(pa.string_view())), pa.list_(pa.string())),
    (pa.array([["a"], None], pa.list_(pa.dictionary(pa.int8(), pa.string()))), pa.list_(pa.string())),
    (pa.array([{"x": "a"}, None], pa.struct([("x", pa.string_view())])), pa.struct([("x", pa.string())])),
    (pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())), pa.map_(pa.string(), pa.int64())),
    (pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", None])), pa.string()),
    (pa.array([1, None], pa.timestamp("s", "Asia/Tokyo")), pa.timestamp("ms", "Asia/Tokyo")),
    (pa.array([1, None], pa.duration("s")), pa.duration("s")),
    (pa.array([2**64 - 1, None], pa.uint64()), pa.uint64()),
    (pa.nulls(2), pa.null()),
]


@pytest.mark.parametrize(("column", "kind"), TYPES, ids=lambda one: str(one if isinstance(one, pa.DataType) else ""))
def test_a_type_becomes_one_that_tables_keep_with_its_values(column: pa.Array, kind: pa.DataType) -> None:
    assert plain(column.type) == kind
    assert converted("v", pa.chunked_array([column]), kind).to_pylist() == column.to_pylist()


@pytest.mark.parametrize(
    "kind",
    [
        pa.month_day_nano_interval(),
        pa.struct([]),
        pa.list_(pa.month_day_nano_interval()),
        pa.dense_union([pa.field("x", pa.int8())]),
    ],
    ids=str,
)
def test_a_type_that_no_table_keeps_is_refused_by_column_and_type(kind: pa.DataType) -> None:
    with pytest.raises(NotATableError, match=r"the column v has the type .*leave it out, or write it"):
        plain_field(pa.field("v", kind))


def test_a_decimal_that_does_not_fit_is_refused() -> None:
    wide = pa.chunked_array([pa.array([D(10) ** 45], pa.decimal256(50, 0))])
    with pytest.raises(NotATableError, match="the column v of type decimal256"):
        converted("v", wide, pa.decimal128(38, 0))


RADIANS = pa.table({"ra": [0.5], "dec": [0.25]})


def _with_fields(table: pa.Table, key: str) -> pa.Table:
    return table.cast(pa.schema([field.with_metadata({key: "rad"}) for field in table.schema]))


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _by_astropy(path: Path) -> bytes:
    table = Table({"ra": [0.5], "dec": [0.25]}, units={"ra": units.rad, "dec": units.rad})
    table.write(path, format="parquet")
    return path.read_bytes()


def _by_pandas() -> bytes:
    frame, sink = pd.DataFrame({"ra": [0.5], "dec": [0.25]}), io.BytesIO()
    frame.attrs["units"] = {"ra": "rad", "dec": "rad"}
    frame.to_parquet(sink)
    return sink.getvalue()


def _voparquet() -> bytes:
    fields = "".join(f'<FIELD name="{name}" datatype="double" unit="rad"/>' for name in ("ra", "dec"))
    head = f'<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>{fields}</TABLE></RESOURCE></VOTABLE>'
    return _parquet(RADIANS.replace_schema_metadata({"IVOA.VOTable-Parquet.content": head}))


def _arrow(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.feather.write_feather(table, sink)
    return sink.getvalue()


def _stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


STATED: dict[str, Callable[[Path], bytes]] = {
    "unit": lambda _: _parquet(_with_fields(RADIANS, "unit")),
    "TUNIT": lambda _: _parquet(_with_fields(RADIANS, "TUNIT")),
    "astropy": _by_astropy,
    "pandas": lambda _: _by_pandas(),
    "VOParquet": lambda _: _voparquet(),
    "Feather": lambda _: _arrow(_with_fields(RADIANS, "units")),
    "stream": lambda _: _stream(_with_fields(RADIANS, "unit")),
    "gzip": lambda _: gzip.compress(_parquet(_with_fields(RADIANS, "unit"))),
}


@pytest.mark.parametrize("where", STATED)
def test_a_unit_is_found_wherever_the_file_says_it(tmp_path: Path, where: str) -> None:
    data = STATED[where](tmp_path / "t.parquet")
    assert [field.metadata[b"unit"] for field in read(data, "t").schema] == [b"rad", b"rad"]


@pytest.mark.parametrize(
    ("names", "says"), [(["ra", "dec", "ra"], "two columns with the name ra"), (["ra", ""], "column 2 has no name")]
)
def test_names_that_say_nothing_are_refused_in_every_format(names: list[str], says: str) -> None:
    data = _parquet(pa.table([[1.0]] * len(names), names=names))
    with pytest.raises(UnreadableInput, match=says):
        read(data, "t.parquet")


def hdu(name: str | None = None, **columns: object) -> fits.BinTableHDU:
    return fits.BinTableHDU(Table(columns), name=name)


def fits_of(*hdus: object) -> bytes:
    sink = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(sink)
    return sink.getvalue()


STARS, OTHER = hdu("STARS", ra=[40.0], dec=[1.0]), hdu("Other", ra=[50.0], dec=[2.0])
HEAD = hdu("HEAD", words=[1])


def test_the_table_of_a_fits_file_is_the_one_meant() -> None:
    two = fits_of(HEAD, STARS, OTHER)
    assert read(fits_of(HEAD, STARS), "t.fits")["ra"].to_pylist() == [40.0]
    assert read(two, "t.fits", hdu="3")["ra"].to_pylist() == [50.0]
    assert read(two, "t.fits", hdu="other")["ra"].to_pylist() == [50.0]
    assert read(two, "t.fits", hdu="1").column_names == ["words"]
    with pytest.raises(
        UnreadableInput, match=r"several tables.*--hdu 2 \(STARS\): 1 rows of ra, dec; --hdu 3 \(OTHER\)"
    ):
        read(two, "t.fits")
    with pytest.raises(UnreadableInput, match=r"no table of it matches --hdu 9; the tables are: --hdu 1 \(HEAD\)"):
        read(two, "t.fits", hdu="9")
    with pytest.raises(
        UnreadableInput, match=r"2 tables of it match --hdu STARS; the tables are: .*; give the number of one table"
    ):
        read(fits_of(STARS, STARS), "t.fits", hdu="STARS")
    with pytest.raises(UnreadableInput, match="FITS file without a table"):
        read(fits_of(), "t.fits")
    with pytest.raises(UnreadableInput, match="--hdu is only for FITS files and VOTables"):
        read("ra,dec\n1,2\n", hdu="1")


def test_columns_of_fits_keep_their_values() -> None:
    columns = [
        fits.Column("ra", "D", unit="arcsec", array=[40.0, 41.0]),
        fits.Column("n", "J", null=-99, array=[-99, 3]),
        fits.Column("u", "K", bzero=2**63, array=np.array([2**64 - 1, 5], np.uint64)),
        fits.Column("bits", "3X", array=np.array([[1, 0, 1], [0, 0, 1]], bool)),
        fits.Column("text", "8A", array=["a ", "b"]),
        fits.Column("pair", "4D", dim="(2,2)", array=np.arange(8.0).reshape(2, 2, 2)),
        fits.Column("texts", "6A", dim="(3,2)", array=np.array([["ab", "c"], ["d", "e"]])),
    ]
    found = read(fits_of(fits.BinTableHDU.from_columns(columns)), "t.fits")
    assert found.to_pydict() == {
        "ra": [40.0, 41.0], "n": [None, 3], "u": [2**64 - 1, 5], "bits": [[True, False, True], [False, False, True]],
        "text": ["a", "b"], "pair": [[[0, 1], [2, 3]], [[4, 5], [6, 7]]], "texts": [["ab", "c"], ["d", "e"]],
    }  # fmt: skip
    ascii_table = fits.TableHDU.from_columns([fits.Column("ra", "F10.4", array=[40.0])])
    assert read(fits_of(ascii_table), "t.fits")["ra"].to_pylist() == [40.0]


def test_what_fits_has_and_tables_have_not_is_refused_by_name() -> None:
    with pytest.raises(UnreadableInput, match="the column vis is complex: write its real and imaginary part"):
        read(fits_of(fits.BinTableHDU.from_columns([fits.Column("vis", "C", array=[1 + 2j])])), "t.fits")
    packed = hdu(ra=[1.0], dec=[2.0])
    packed.header["ZTABLE"] = True
    with pytest.raises(UnreadableInput, match="decompress it with funpack"):
        read(fits_of(packed), "t.fits")
    twice = fits_of(hdu(ra=[1.0], rb=[2.0], dec=[2.0])).replace(b"'rb      '", b"'ra      '")
    with pytest.raises(UnreadableInput, match="two columns with the name ra"):
        read(twice, "t.fits")
    nameless = fits_of(hdu(ra=[1.0], rb=[2.0], dec=[2.0])).replace(b"TTYPE2  = 'rb ", b"COMMENT = 'rb ")
    with pytest.raises(UnreadableInput, match="its column 2 has no name"):
        read(nameless, "t.fits")


def votable_of(*tables: dict[str, list]) -> bytes:
    first, *rest = (votable.from_table(Table(one)) for one in tables)
    first.resources[0].tables.extend(one.resources[0].tables[0] for one in rest)
    sink = io.BytesIO()
    votable.writeto(first, sink)
    return sink.getvalue()


def test_the_table_of_a_votable_is_the_one_meant() -> None:
    stars, other = {"ra": [40.0], "dec": [1.0]}, {"RA": [50.0], "Dec": [2.0]}
    assert read(votable_of({"words": [1]}, stars), "t.vot")["ra"].to_pylist() == [40.0]
    assert read(votable_of(stars, other), "t.vot", hdu="2")["RA"].to_pylist() == [50.0]
    with pytest.raises(
        UnreadableInput, match=r"several tables.*--hdu 1: 1 rows of ra, dec; --hdu 2: 1 rows of RA, Dec"
    ):
        read(votable_of(stars, other), "t.vot")


def test_motions_of_a_reference_catalogue_are_converted_or_refused_by_their_unit(tmp_path) -> None:
    def reference(**unit: str) -> object:
        columns = {"ra": 40.0, "dec": 1.0, "pmra": 0.5, "pmdec": 0.25, "plx": 0.01}
        said = {"ra": "deg", "dec": "deg", "pmra": "arcsec/yr", "pmdec": "arcsec.yr**-1", "plx": "arcsec"} | unit
        fields = [pa.field(name, pa.float64(), metadata={"unit": said[name]}) for name in columns]
        pq.write_table(
            pa.table([[value] for value in columns.values()], schema=pa.schema(fields)), tmp_path / "r.parquet"
        )
        return read_reference(tmp_path / "r.parquet")

    found = reference()
    np.testing.assert_allclose([found.pmra[0], found.pmdec[0], found.parallax[0]], [500, 250, 10])
    with pytest.raises(UnreadableInput, match=r"the column pmra .* has the unit 'km/s': convert its values to mas/yr"):
        reference(pmra="km/s")
