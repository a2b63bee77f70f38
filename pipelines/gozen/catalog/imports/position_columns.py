"""Convert columns of positions to degrees: units, sexagesimal text, suspicious values. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gozen.catalog.imports import angle_units
from gozen.catalog.imports.column_roles import name_without_unit, unit_in
from gozen.catalog.imports.formats.text_values import numbers, present
from gozen.errors import BadRequest, UnreadableInput
from gozen.resources import sexagesimal

Degrees = NDArray[np.float64]

_SPOKEN: Mapping[str, str] = {"ra": "right ascension", "dec": "declination"}
_FORMS = "write degrees (10.6847) or hours, minutes, seconds (00:42:44.3)"
_SLACK = 1e-6
_HOURS_A_DAY = 24.0
_SLENDER = 4
"""Largest aspect ratio of a camera's field; if hours are read as degrees, the width is wrong by a factor of 15."""


@dataclass(frozen=True)
class Places:
    """Positions of a file's rows; arrays of shape (N,).

    Parameters
    ----------
    ra, dec
        ICRS degrees; values that the file has in degrees are unchanged.
    good
        Mask of the rows with a position on the sky.
    notes
        Sentences about suspicious positions.
    """

    ra: Degrees
    dec: Degrees
    good: NDArray[np.bool_]
    notes: tuple[str, ...]


def units_asked(text: str | None) -> dict[str, str]:
    """Return the units of right ascension and declination from a user's text, ``rad`` or ``hourangle,deg``.

    Raises
    ------
    BadRequest
        The text is not one or two units of angles.
    """
    if text is None:
        return {}
    parts = [one.strip() for one in text.split(",")]
    wrong = [one for one in parts if not one or angle_units.degrees_in(one) is None]
    if wrong or len(parts) > 2 or (angle_units.is_hours(parts[-1]) and len(parts) == 2):
        raise BadRequest(
            f"{text!r} is not a unit of positions: write deg, rad, arcsec or mas; "
            "or hourangle,deg for hours and degrees"
        )
    ra, dec = parts[0], parts[-1]
    return {"ra": ra, "dec": "deg" if angle_units.is_hours(dec) else dec}


def places(url: str, table: pa.Table, names: Mapping[str, str], asked: Mapping[str, str]) -> Places:
    """Return the positions of a table.

    Parameters
    ----------
    url
        The file, for messages.
    table
        The columns of positions, with units in the metadata of their fields.
    names
        The column name of ``ra`` and of ``dec``.
    asked
        Units that the user named; they override the file's.

    Raises
    ------
    UnreadableInput
        A unit is not one of angles, a value is not an angle, or most rows are outside of the sky.
    """
    units = {word: asked.get(word) or _unit(table.schema.field(names[word])) for word in names}
    ra, dec = (_degrees(url, names[w], table.column(names[w]), units[w], w) for w in ("ra", "dec"))
    there = np.isfinite(ra) & np.isfinite(dec)
    with np.errstate(invalid="ignore"):
        off = {"dec": there & (np.abs(dec) > 90), "ra": there & (np.abs(ra) > 360 + _SLACK)}
    notes = _off_the_sky(url, names, {"ra": ra, "dec": dec}, off, int(there.sum()))
    good = there & ~off["ra"] & ~off["dec"]
    if not any(units.values()) and not any(_is_text(table.column(name).type) for name in names.values()):
        notes += _maybe_other_units(ra[good], dec[good])
    return Places(ra, dec, good, tuple(notes))


def _unit(field: pa.Field) -> str:
    said: bytes = (field.metadata or {}).get(b"unit", b"")
    name = name_without_unit(field.name).lower()
    return said.decode().strip() or unit_in(field.name) or ("deg" if name.endswith("deg") else "")


def _degrees(url: str, name: str, column: pa.ChunkedArray, unit: str, word: str) -> Degrees:
    factor = angle_units.degrees_in(unit) if unit else 1.0
    if factor is None or (word == "dec" and angle_units.is_hours(unit)):
        raise UnreadableInput(
            f"the column {name} of the table {url} has the unit {unit!r}, which is not a unit of a {_SPOKEN[word]}: "
            "give the unit, such as --unit deg or --unit hourangle,deg"
        )
    if pa.types.is_time(column.type):  # readers of CSV read 08:18:29 as a time of day
        column = column.cast(pa.time64("ns")).cast(pa.int64())
        clock = cast("Degrees", column.cast(pa.float64()).to_numpy()) / 3.6e12
        return clock * _of_sexagesimal(unit, word)
    if not _is_text(column.type):
        return floats(url, name, column) * factor
    texts = present(column)
    try:
        return cast("Degrees", numbers(texts).to_numpy()) * factor
    except pa.ArrowInvalid:
        return _sexagesimal(url, name, texts, unit, word)


def _of_sexagesimal(unit: str, word: str) -> float:
    """Return the degrees of one unit of the first field of sexagesimal text: 15 for hours, 1 for degrees.

    Right ascension is in hours, unless its unit says degrees.
    """
    return 15.0 if word == "ra" and (not unit or angle_units.is_hours(unit)) else 1.0


def _sexagesimal(url: str, name: str, texts: pa.ChunkedArray, unit: str, word: str) -> Degrees:
    parts = pc.extract_regex(texts, sexagesimal.IN_TABLES)
    _refuse(url, name, texts, pc.and_(pc.is_valid(texts), pc.is_null(parts)), f"is not an angle: {_FORMS}")
    pick = {key: pc.struct_field(parts, key) for key in ("sign", "whole", "mark", "minutes", "seconds")}
    whole, minutes, seconds = (_number(pick[key]) for key in ("whole", "minutes", "seconds"))
    _refuse(
        url, name, texts, pa.array((minutes >= 60) | (seconds >= 60 + _SLACK)), "has more than 59 minutes or seconds"
    )
    marks = pc.fill_null(pc.utf8_lower(pick["mark"]), "")
    hours = np.asarray(pc.equal(marks, "h"))
    degrees = np.asarray(pc.is_in(marks, value_set=pa.array(["d", "°", "deg"])))
    if word == "dec":
        _refuse(url, name, texts, pa.array(hours), "is in hours: a declination must be in degrees")
    each = np.where(hours, 15.0, np.where(degrees, 1.0, _of_sexagesimal(unit, word)))
    _refuse(
        url, name, texts, pa.array((each == 15.0) & (whole > _HOURS_A_DAY)),
        "is more than 24 hours: if it is in degrees, write --unit deg",
    )  # fmt: skip
    sign = np.where(np.asarray(pc.is_in(pick["sign"], value_set=pa.array(["-", "−"]))), -1.0, 1.0)
    return sign * sexagesimal.join_fields(whole, minutes, seconds) * each


def _number(texts: pa.ChunkedArray) -> Degrees:
    """Return one field of sexagesimal texts as numbers: 0 if a text does not have the field, NaN for null."""
    written = pc.if_else(pc.equal(texts, ""), "0", texts)
    return cast("Degrees", written.cast(pa.float64()).to_numpy())


def _refuse(url: str, name: str, texts: pa.ChunkedArray, wrong: pa.Array, why: str) -> None:
    at = pc.index(wrong, pa.scalar(True)).as_py()
    if at >= 0:
        raise UnreadableInput(f"row {at + 1} of the column {name} of the table {url}, {texts[at].as_py()!r}, {why}")


def floats(url: str, name: str, column: pa.ChunkedArray) -> Degrees:
    """Return a column of a file as float64, NaN for null; raise `UnreadableInput` if it does not contain numbers."""
    if pa.types.is_boolean(column.type):
        raise UnreadableInput(f"the column {name} of the table {url} contains true and false: name a column of numbers")
    try:
        if _is_text(column.type):
            column = numbers(present(column))
        return cast("Degrees", column.cast(pa.float64(), safe=False).to_numpy())
    except (ValueError, TypeError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UnreadableInput(
            f"the column {name} of the table {url} does not contain numbers ({column.type}): give a column of numbers"
        ) from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind))


def _off_the_sky(
    url: str,
    names: Mapping[str, str],
    values: Mapping[str, Degrees],
    off: Mapping[str, NDArray[np.bool_]],
    rows: int,
) -> list[str]:
    """Return notes about rows outside of the sky.

    If most rows are outside, the columns or their unit must be wrong: raise `UnreadableInput`.
    """
    said = []
    for word, limit in (("dec", "±90"), ("ra", "±360")):
        count = int(off[word].sum())
        if not count:
            continue
        first = values[word][int(np.argmax(off[word]))]
        what = f"a {_SPOKEN[word]} beyond {limit} degrees in the column {names[word]} (the first is {first:g})"
        if 2 * count > rows:
            raise UnreadableInput(
                f"the table {url} has {count} of {rows} rows with {what}: give the unit, such as --unit arcsec, or "
                "name the columns with --ra and --dec"
            )
        said.append(f"{count} of {rows} rows have {what}: these rows are left out")
    return said


def _is_a_field(ra: Degrees, dec: Degrees) -> bool:
    """Return whether stars cover a field of about equal width and height; they do not if RA is in hours."""
    width, height = np.ptp(ra) * np.cos(np.radians(dec.mean())), np.ptp(dec)
    return len(ra) > 2 and height / _SLENDER < width < height * _SLENDER


def _maybe_other_units(ra: Degrees, dec: Degrees) -> list[str]:
    """Return a note if positions without a stated unit would also fit hours or radians."""
    if not len(ra) or np.abs(ra).max() > _HOURS_A_DAY:
        return []
    if np.abs(ra).max() <= 2 * np.pi and np.abs(dec).max() <= np.pi / 2:
        return ["positions are read as degrees, but all could be radians: if they are radians, write --unit rad"]
    if ra.min() >= 0 and not _is_a_field(ra, dec):
        return [
            "right ascensions are read as degrees, but all are between 0 and 24: "
            "if they are hours, write --unit hourangle"
        ]
    return []
