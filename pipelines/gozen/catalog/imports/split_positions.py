"""Positions with hours, minutes and seconds in separate columns, as in CDS and VizieR tables. No I/O.

`RAh RAm RAs` are hours, minutes and seconds of right ascension; `DE- DEd DEm DEs` are sign, degrees, minutes and
seconds of declination. The CDS standard for catalogues defines these names
(https://cds.unistra.fr/doc/catstd-3.3.htx).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gozen.catalog.imports.column_roles import name_without_unit, recognised
from gozen.catalog.imports.position_columns import floats
from gozen.errors import BadRequest, UnreadableInput

_PARTS: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "ra": (("", "rah", "ram", "ras"),),
    "dec": (("de-", "ded", "dem", "des"), ("dec-", "decd", "decm", "decs")),
}
"""Column names of sign, hours or degrees, minutes and seconds, in lower case."""
_SIGNS = frozenset(signs for spellings in _PARTS.values() for signs, *_ in spellings if signs)
_LIMITS = {"ra": 24.0, "dec": 90.0}
_SLACK = 1e-6
_OLD_EQUINOX = re.compile(r"\bB?(?:1950|1900|1875|1855)(?:\.0)?\b")


@dataclass(frozen=True)
class SplitAngle:
    """The columns of a right ascension or declination that is split over several columns.

    Parameters
    ----------
    word
        ``ra`` or ``dec``.
    whole
        Column of hours or degrees.
    sign, seconds
        None if there is no such column.
    """

    word: str
    sign: str | None
    whole: str
    minutes: str
    seconds: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of the angle, in the order in which they are read."""
        return tuple(one for one in (self.sign, self.whole, self.minutes, self.seconds) if one is not None)

    @property
    def label(self) -> str:
        """Name of the angle in messages: its columns, joined by commas."""
        return ", ".join(self.columns)


def split_angles(names: Iterable[str]) -> dict[str, SplitAngle]:
    """Find the columns of a file that are parts of right ascension or declination."""
    lower = {name_without_unit(name).lower(): name for name in names}
    found: dict[str, SplitAngle] = {}
    for word, spellings in _PARTS.items():
        for sign, whole, minutes, seconds in spellings:
            if whole in lower and minutes in lower and word not in found:
                found[word] = SplitAngle(word, lower.get(sign), lower[whole], lower[minutes], lower.get(seconds))
    return found


def have_positions(names: Sequence[str]) -> bool:
    """Return whether there are columns of positions with the usual names, each angle in one column or in parts."""
    return {"ra", "dec"} <= {*recognised(names), *split_angles(names)}


def is_sign(name: str) -> bool:
    """Return whether a column contains the signs of declinations: a dash is a value there, not a missing one."""
    return name_without_unit(name).lower() in _SIGNS


def with_joined(url: str, table: pa.Table, splits: Iterable[SplitAngle]) -> pa.Table:
    """Add a column of degrees to a table for each split angle, named by the angle's label.

    Raises
    ------
    UnreadableInput
        A part is not a number within its limits, the sign of a declination is not known, or the equinox is older than
        J2000.
    """
    for one in splits:
        said = (table.schema.field(one.whole).metadata or {}).get(b"description", b"")
        text = said.decode()
        if _OLD_EQUINOX.search(text):
            raise UnreadableInput(
                f"the columns {one.label} of the table {url} have an old equinox ({text}): give positions in ICRS or "
                "J2000"
            )
        field = pa.field(one.label, pa.float64(), metadata={"unit": "deg", "description": text})
        table = table.append_column(field, pa.array(_degrees(url, table, one)))
    return table


def _degrees(url: str, table: pa.Table, angle: SplitAngle) -> NDArray[np.float64]:
    whole = floats(url, angle.whole, table.column(angle.whole))
    minutes = floats(url, angle.minutes, table.column(angle.minutes))
    seconds = np.full(len(whole), np.nan)
    if angle.seconds is not None:
        seconds = floats(url, angle.seconds, table.column(angle.seconds))
    sign = _sign(url, table, angle, whole)
    _check(url, angle.whole, np.abs(whole) > _LIMITS[angle.word], whole, f"more than {_LIMITS[angle.word]:g}")
    for name, values, limit in ((angle.minutes, minutes, 60), (angle.seconds or "", seconds, 60 + _SLACK)):
        _check(url, name, values < 0, values, "negative")
        _check(url, name, values >= limit, values, "60 or more")
    # Rough positions have no seconds, or neither minutes nor seconds; seconds without minutes are not a position.
    minutes = np.where(np.isnan(minutes) & np.isnan(seconds), 0.0, minutes)
    each = 15.0 if angle.word == "ra" else 1.0
    found: NDArray[np.float64] = sign * (np.abs(whole) + minutes / 60 + np.nan_to_num(seconds) / 3600) * each
    return found


def _sign(url: str, table: pa.Table, angle: SplitAngle, whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return -1 or 1 for each row, from the column of signs, or else from the sign of the degrees.

    An integer column cannot store -00: it is refused if it contains both 0 and negative values.
    """
    south = np.signbit(whole) & ~np.isnan(whole)
    if angle.word == "ra":
        _check(url, angle.whole, south, whole, "negative")
        return np.ones(len(whole))
    column = table.column(angle.whole)
    if pa.types.is_string(column.type):
        south = np.asarray(pc.fill_null(pc.match_substring_regex(column, r"^\s*[-−]"), False))
    if angle.sign is not None:
        dashes = _dashes(url, angle.sign, table.column(angle.sign))
        _check(url, angle.whole, south & ~dashes, whole, f"negative, but the column {angle.sign} has no minus sign")
        south = dashes
    elif pa.types.is_integer(column.type) and south.any() and (whole == 0).any():
        raise UnreadableInput(
            f"the column {angle.whole} of the table {url} contains negative integers and 0, and an integer cannot "
            "distinguish +00 from -00 degrees; add a column DE- with the signs, or write -00 as text"
        )
    return np.where(south, -1.0, 1.0)


def _dashes(url: str, name: str, column: pa.ChunkedArray) -> NDArray[np.bool_]:
    texts = pc.utf8_trim_whitespace(pc.fill_null(column.cast(pa.string()), ""))
    known = pa.array(["", "+", "-", "−"])
    wrong = pc.index(pc.is_in(texts, value_set=known), pa.scalar(False)).as_py()
    if wrong >= 0:
        raise UnreadableInput(
            f"row {wrong + 1} of the column {name} of the table {url}, {texts[wrong].as_py()!r}, is not a sign: "
            "write + or -"
        )
    found: NDArray[np.bool_] = np.asarray(pc.is_in(texts, value_set=known[2:]))
    return found


def _check(url: str, name: str, wrong: NDArray[np.bool_], values: NDArray[np.float64], why: str) -> None:
    if wrong.any():
        at = int(np.argmax(wrong))
        raise UnreadableInput(f"row {at + 1} of the column {name} of the table {url}, {values[at]:g}, is {why}")


def parts_of(splits: Mapping[str, SplitAngle]) -> list[str]:
    """Return the columns of all angles that are given in parts, such as hours, minutes and seconds."""
    return [name for one in splits.values() for name in one.columns]


def refuse_units(url: str, splits: Mapping[str, SplitAngle], unit: str | None) -> None:
    """Raise `BadRequest` if a user gives a unit for split angles: the names of their columns define the units."""
    if splits and unit is not None:
        raise BadRequest(
            f"the positions of the table {url} are in the columns {', '.join(parts_of(splits))}, whose names already "
            "give the units; leave --unit out, or name other columns by --ra and --dec"
        )
