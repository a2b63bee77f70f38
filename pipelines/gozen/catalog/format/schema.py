"""Columns of Gozen's tables: names, types, units, descriptions, encodings (docs/reference/tables.md). No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, Literal

import pyarrow as pa

from gozen.errors import BadRequest

Encoding = Literal["dictionary", "split", "delta", "plain"]


class Flag(IntFlag):
    """Bits of the column ``flags``, which is set for one source on one frame; `FLAG_MEANING` describes them."""

    SATURATED = 1 << 0
    EDGE = 1 << 1
    BLENDED = 1 << 2
    DEAD_PIXEL = 1 << 3
    NOT_ON_STACK = 1 << 4
    NO_CALIBRATION = 1 << 5
    NOT_DETECTED = 1 << 6
    REGISTRATION_FAILED = 1 << 7
    UNMATCHED = 1 << 8
    NO_COLOUR = 1 << 9
    BLENDED_CALIBRATORS = 1 << 10


FLAG_MEANING: Mapping[Flag, str] = {
    Flag.SATURATED: "a pixel of the aperture is at or above saturation",
    Flag.EDGE: "the aperture reaches beyond the active area",
    Flag.BLENDED: "a neighbour with more than 2 % of the source's flux is close enough to put light into the aperture, "
    "or the detection separated the source from a neighbour",
    Flag.DEAD_PIXEL: "a pixel of the aperture is dead, hot or not a number",
    Flag.NOT_ON_STACK: "found on single frames, not on the stack",
    Flag.NO_CALIBRATION: "the exposure has no zero point, so `mag` is null",
    Flag.NOT_DETECTED: "the flux is below 5 sigma on this frame; `limit` is an upper limit",
    Flag.REGISTRATION_FAILED: "the shift of the frame relative to the stack is unknown",
    Flag.UNMATCHED: "not in the reference catalogue; Gozen assigned the id",
    Flag.NO_COLOUR: "the colour of the star is unknown; `mag` uses the median colour of the calibrators",
    Flag.BLENDED_CALIBRATORS: "the zero point is computed from stars with light of neighbours in their apertures",
}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name, type, unit
        As in the file; the unit is empty if the column has none.
    meaning
        A short description, shown in the documentation and stored in the file.
    encoding
        Parquet encoding: ``dictionary`` for values that are constant per star or exposure, or few; ``split``
        (BYTE_STREAM_SPLIT) for measured floats, whose size it halves; ``delta`` for ascending integers.
    required
        Whether every row must have a value.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    encoding: Encoding = "split"
    required: bool = False

    def field(self) -> pa.Field:
        """Return the Arrow field with the unit, the meaning, the encoding and the flag bits in its metadata."""
        metadata = {"unit": self.unit, "description": self.meaning, "encoding": self.encoding}
        if self.name == "flags":
            metadata["bits"] = " ".join(f"{flag.name}={flag.value}" for flag in Flag)
        return pa.field(self.name, self.type, metadata=metadata)


ORIGIN = pa.dictionary(pa.int8(), pa.string())

_KEY = (
    Column("_healpix_29", pa.int64(), "", "nested HEALPix pixel of (`ra`, `dec`), order 29", "dictionary", True),
    Column("source_id", pa.int64(), "", "Gaia DR3 id, or an id that Gozen made (bit 34 set)", "dictionary", True),
    Column(
        "ra",
        pa.float64(),
        "deg",
        "right ascension of the star in the reference catalogue, at the epoch of the catalogue; of an unmatched "
        "source, the registered one in `objects`",
        "dictionary",
        True,
    ),
    Column(
        "dec",
        pa.float64(),
        "deg",
        "declination of the star in the reference catalogue, at the epoch of the catalogue; of an unmatched source, "
        "the registered one in `objects`",
        "dictionary",
        True,
    ),
)
_PLACE = (
    Column(
        "ra_meas",
        pa.float64(),
        "deg",
        "measured right ascension, on the stack of the exposure or on the frame",
        "dictionary",
    ),
    Column(
        "dec_meas",
        pa.float64(),
        "deg",
        "measured declination, on the stack of the exposure or on the frame",
        "dictionary",
    ),
    Column(
        "mjd",
        pa.float64(),
        "d",
        "MJD (UTC), mid-exposure of the detector row of the source on this frame",
        "split",
        True,
    ),
)
_CALIBRATED = (
    Column("mag", pa.float32(), "mag", "calibrated magnitude; null if the flux is not positive"),
    Column("mag_err", pa.float32(), "mag", "its standard error"),
    Column(
        "limit",
        pa.float32(),
        "mag",
        "magnitude of a source whose flux on this frame would be 5 sigma of the sky noise at its position",
    ),
    Column("zp", pa.float32(), "mag", "zero point of the exposure and sensor", "dictionary"),
    Column("zp_err", pa.float32(), "mag", "its standard error", "dictionary"),
    Column("colour_term", pa.float32(), "mag", "colour term, per magnitude of `bp_rp`", "dictionary"),
    Column("x", pa.float32(), "pixel", "column on the stack", "dictionary"),
    Column("y", pa.float32(), "pixel", "row on the stack", "dictionary"),
    Column("flags", pa.uint16(), "", "sum of flag bits; the metadata of the column name them", "dictionary", True),
    Column("origin", ORIGIN, "", "`stack` or `frame`: where the source was found", "dictionary", True),
    Column("night", pa.int32(), "", "YYYYMMDD, the local date on which the night began", "dictionary", True),
    Column("exposure", pa.string(), "", "number or name of the exposure", "dictionary", True),
    Column("run", pa.string(), "", "name of the processing of the exposure, such as r1", "dictionary", True),
    Column("sensor", pa.int16(), "", "id of the sensor; of Tomo-e quadrant and chip, such as 121", "dictionary", True),
    Column("frame", pa.int16(), "", "number of the frame in the exposure, from 0", "dictionary", True),
    Column("filter", pa.string(), "", "filter as in the raw header; null if it is unknown", "dictionary"),
    Column(
        "aperture_diameter",
        pa.int16(),
        "pixel",
        "diameter of the calibrated aperture; null in older rows means 21",
        "dictionary",
    ),
)
_STAR = (
    Column("phot_g_mean_mag", pa.float32(), "mag", "Gaia G magnitude of the matched star", "dictionary"),
    Column("bp_rp", pa.float32(), "mag", "Gaia colour BP - RP of the matched star", "dictionary"),
    Column("parallax", pa.float32(), "mas", "parallax of the matched star", "dictionary"),
    Column("pmra", pa.float32(), "mas/yr", "proper motion in right ascension, times cos(dec)", "dictionary"),
    Column("pmdec", pa.float32(), "mas/yr", "proper motion in declination", "dictionary"),
    Column(
        "ruwe",
        pa.float32(),
        "",
        "RUWE of the matched star: quality of its Gaia position, about 1 if good",
        "dictionary",
    ),
)

OBJECT_COLUMNS = (
    *_KEY,
    Column("first_night", pa.int32(), "", "night with which the object was first appended", "dictionary", True),
)
REFERENCE_COLUMNS = (
    Column("_healpix_29", pa.int64(), "", "nested HEALPix pixel of (`ra`, `dec`), order 29", "delta", True),
    Column("source_id", pa.int64(), "", "Gaia DR3 id, or an id that Gozen made (bit 34 set)", "delta", True),
    Column("ra", pa.float64(), "deg", "right ascension at `ref_epoch`", "split", True),
    Column("dec", pa.float64(), "deg", "declination at `ref_epoch`", "split", True),
    Column("ref_epoch", pa.float64(), "yr", "Julian year of the position", "dictionary", True),
    Column("pmra", pa.float64(), "mas/yr", "proper motion in right ascension, times cos(dec)"),
    Column("pmdec", pa.float64(), "mas/yr", "proper motion in declination"),
    Column("parallax", pa.float64(), "mas", "parallax"),
    Column("ruwe", pa.float32(), "", "RUWE: quality of the Gaia position, about 1 if good"),
    Column("phot_g_mean_mag", pa.float32(), "mag", "Gaia G magnitude"),
    Column("bp_rp", pa.float32(), "mag", "Gaia colour BP - RP"),
)


def lightcurve_columns(further_diameters: Sequence[int] = ()) -> tuple[Column, ...]:
    """Return the columns of the light-curve table.

    Parameters
    ----------
    further_diameters
        Diameters in pixels of the apertures that were measured in addition to the calibrated one.
    """
    return (*_KEY, *_PLACE, *_FLUX, *_further(sorted(set(further_diameters))), *_CALIBRATED, *_STAR)


def lightcurve_schema(further_diameters: Sequence[int] = ()) -> pa.Schema:
    """Return the Arrow schema of the light-curve table; its metadata contain units and flag bits.

    Parameters
    ----------
    further_diameters
        Diameters in pixels of the apertures that were measured in addition to the calibrated one; each adds
        ``flux_{d}`` and ``flux_err_{d}``.
    """
    return schema_of(lightcurve_columns(further_diameters))


def lightcurve_table(columns: Mapping[str, Any], further_diameters: Sequence[int] = ()) -> pa.Table:
    """Build a light-curve table from plain arrays.

    Parameters
    ----------
    columns
        NumPy or Arrow arrays by column name, all with the same length. NaN in NumPy arrays becomes null. An absent
        column is null in all rows. Leave out ``_healpix_29``: `append_night` sets it. For sources without a reference
        star, ``source_id``, ``ra`` and ``dec`` are null (masked arrays, or Arrow arrays with nulls) until
        `append_night` gives them an id.
    further_diameters
        As in `lightcurve_schema`.

    Raises
    ------
    BadRequest
        A column is not in the schema.
    """
    schema = lightcurve_schema(further_diameters)
    unknown = sorted(set(columns) - set(schema.names))
    if unknown:
        raise BadRequest(f"the light-curve table has no column {', '.join(unknown)}: it has {', '.join(schema.names)}")
    length = max((len(values) for values in columns.values()), default=0)
    return pa.table(
        [_arrow(columns[f.name], f.type) if f.name in columns else pa.nulls(length, f.type) for f in schema],
        schema=schema,
    )


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of a list of columns."""
    return pa.schema([column.field() for column in columns])


def encoding_of(field: pa.Field) -> Encoding:
    """Return the Parquet encoding in a field's metadata, or ``plain`` without one."""
    named: Encoding = (field.metadata or {}).get(b"encoding", b"plain").decode()
    return named


def _aperture(where: str, suffix: str) -> tuple[Column, ...]:
    return (
        Column(f"flux{suffix}", pa.float32(), "ADU", f"{where}, background subtracted"),
        Column(f"flux_err{suffix}", pa.float32(), "ADU", "its standard error"),
    )


_FLUX = _aperture("flux in the calibrated aperture", "")


def _further(diameters: Sequence[int]) -> tuple[Column, ...]:
    apertures = tuple(column for d in diameters for column in _aperture(f"flux in an aperture of {d} pixels", f"_{d}"))
    return (
        *apertures,
        Column("flux_auto", pa.float32(), "ADU", "flux in the Kron ellipse of Source Extractor, for comparison"),
    )


def _arrow(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values.cast(kind)
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    return pa.array(values, from_pandas=True).cast(kind)
