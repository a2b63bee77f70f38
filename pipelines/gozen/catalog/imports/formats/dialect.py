"""Detect the dialect of a text table: separator, column names, units, first row. No I/O."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gozen.catalog.imports.angle_units import is_angle
from gozen.catalog.imports.column_roles import recognised
from gozen.catalog.imports.formats.file_request import NotATableError
from gozen.catalog.imports.split_positions import have_positions, split_angles

_SEPARATORS = (",", ";", "\t", "|")
_SAMPLE = 50
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eEdD][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d*,\d+([eEdD][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.\d+([eEdD][+-]?\d+)?")
_RULE = re.compile(r"[-=:+]+")
_BY_BLANKS = re.compile(r'"([^"]*)"|(\S+)')
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Dialect:
    """The dialect of a text table.

    Parameters
    ----------
    separator
        Separator of values; a blank means any number of blanks and TABs.
    names, units
        Names and units of the columns; a unit is empty if none is given.
    unnamed
        Numbers (from 0) of the columns without a name in the file; they are named ``column1`` and so on.
    first
        Number of lines before the first row.
    decimal
        Decimal sign: a point or a comma.
    """

    separator: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    unnamed: frozenset[int]
    first: int
    decimal: str = "."


@dataclass(frozen=True)
class _Line:
    number: int
    text: str


def sniffed(head: str, columns: frozenset[str] = frozenset(), *, is_whole: bool = False) -> Dialect:
    """Detect the dialect of a text table.

    Parameters
    ----------
    head
        The start of the file.
    columns
        Column names that the user gave.
    is_whole
        Whether `head` is the complete file.

    Raises
    ------
    NotATableError
        There are no rows, no names, a name occurs twice, or no separator is found.
    """
    lines = [_Line(number, text) for number, text in enumerate(_LINE_END.split(head), 1)]
    if not is_whole and len(lines) > 1:
        lines = lines[:-1]  # the last line may be incomplete
    comments = _comments(lines)
    kept = [one for one in lines if one.text.strip() and one not in comments]
    if kept and kept[0].text.lower().startswith("sep="):  # Excel writes this line for itself
        kept = kept[1:]
    if not kept:
        raise NotATableError(
            "it has only comments: give a table with rows" if comments else "it is empty: give a table with rows"
        )
    kept = kept[: _SAMPLE + 1]
    separator = _separator(kept)
    rows = _rows([one.text for one in kept], separator)
    before = [one for one in comments if one.number < kept[0].number]
    names, taken = _names(rows, before, separator, columns, kept[0])
    units, first_row = _below(rows, names, taken)
    first = kept[_lines_of(kept, separator, first_row) - 1].number if first_row else kept[0].number - 1
    sample = rows[first_row:]
    if sample and len(sample[0]) == len(names) + 1 and not sample[0][-1]:
        names = [*names, ""]  # each row ends with a separator, which makes one more, empty value
    decimal = _decimal(sample, separator)
    return _named(Dialect(separator, tuple(names), tuple(units), frozenset(), first, decimal), kept[0].number)


def _comments(lines: Sequence[_Line]) -> list[_Line]:
    """Return the lines that begin with #, except those inside a quoted text of several lines."""
    found, quotes = [], 0
    for one in lines:
        if one.text.lstrip().startswith("#") and not quotes % 2:
            found.append(one)
        else:
            quotes += one.text.count('"')
    return found


def cells(line: str, separator: str) -> list[str]:
    """Return the values of one line."""
    return next(iter(_rows([line], separator)), [])


def _rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    if separator == " ":
        return [[quoted or plain for quoted, plain in _BY_BLANKS.findall(line)] for line in lines]
    text = (f"{line}\n" for line in lines)
    return [[one.strip() for one in row] for row in csv.reader(text, delimiter=separator, skipinitialspace=True)]


def _lines_of(kept: Sequence[_Line], separator: str, rows: int) -> int:
    """Return the number of lines of the first rows: a quoted name may contain a line end."""
    if separator == " ":
        return rows
    reader = csv.reader((f"{one.text}\n" for one in kept), delimiter=separator, skipinitialspace=True)
    for _ in range(rows):
        next(reader)
    return reader.line_num


def _separator(kept: Sequence[_Line]) -> str:
    """Return the separator that splits all lines into as many values as the first line (one more or less is allowed).

    If no separator or several do this, return the separator that gives most values, with blanks as the last choice.
    """
    texts = [one.text for one in kept]
    widths = {one: [len(row) for row in _rows(texts, one)] for one in (*_SEPARATORS, " ")}

    def rank(one: str) -> tuple[bool, bool, bool, int]:
        head, *rest = widths[one]
        fits = all(abs(width - head) <= 1 for width in rest)
        return head > 1 and fits, head > 1, one != " ", head

    best = max(widths, key=rank)
    rest = {width for one in _SEPARATORS for width in widths[one][1:] if min(widths[one][1:]) > 1}
    is_title = best == " " and len(kept) > 2 and rest
    if widths[best][0] > 1 and not is_title:
        return best
    raise NotATableError(
        f"line {kept[0].number}, {_short(kept[0].text)}, should contain the names of columns, separated by commas, "
        "semicolons, TABs, | or blanks; write # before a line that is a title or a remark"
    )


def _names(
    rows: list[list[str]], before: Sequence[_Line], separator: str, columns: frozenset[str], line: _Line
) -> tuple[list[str], int]:
    """Return the names and the number of rows that they take: 1, or 0 if a comment above the rows has them."""
    first = rows[0]
    known = set(first) & columns or {"ra", "dec"} & set(recognised(first))
    if known or not any(map(_is_number, first)):
        return first, 1
    comments = [cells(one.text.lstrip().lstrip("#"), separator) for one in reversed(before)]
    names = [one for one in comments if len(one) == len(first) and not any(map(_is_number, one))]
    if names:
        return next((one for one in names if "ra" in recognised(one) or have_positions(one)), names[0]), 0
    raise NotATableError(
        f"line {line.number}, {_short(line.text)}, contains values instead of the names of the columns: "
        "write a line of names above it; or, if these are the names, give two of them by --ra and --dec"
    )


def _below(rows: list[list[str]], names: list[str], taken: int) -> tuple[list[str], int]:
    """Return the units from a row below the names, and the first row of values; a row of dashes is skipped."""
    at, units = taken, [""] * len(names)
    if len(rows) > at and _is_rule(rows[at]):
        return units, at + 1
    if len(rows) > at and _is_units(rows[at], names):
        units = [one.strip("[]()") for one in (rows[at] + units)[: len(names)]]
        at += 1
    elif not (len(rows) > at + 1 and _is_rule(rows[at + 1]) and _has_no_position(rows[at], names)):
        return units, at
    else:  # VizieR: a row of units, in which those of positions may be empty, and a row of dashes
        units, at = (rows[at] + units)[: len(names)], at + 1
    return units, at + (len(rows) > at and _is_rule(rows[at]))


def _is_rule(row: list[str]) -> bool:
    return any("-" in one for one in row) and all(not one or _RULE.fullmatch(one) for one in row)


def _is_units(row: list[str], names: list[str]) -> bool:
    places = [row[names.index(name)] for name in _of_positions(names) if name in names[: len(row)]]
    return any(map(is_angle, places)) and not any(map(_is_number, row))


def _has_no_position(row: list[str], names: list[str]) -> bool:
    """Return whether a row has no values of positions, so that it may be a row of units.

    A row of dashes below it is not enough to decide this: the dashes may be missing values below a row of values.
    """
    of_positions = _of_positions(names)
    places = [one for name, one in zip(names, row, strict=False) if name in of_positions]
    return not any(map(_is_number, row)) and not any(one[:1].isdigit() or one[:1] in {*"+-−"} for one in places if one)


def _of_positions(names: list[str]) -> list[str]:
    """Return the columns of right ascension and declination; if angles are split, of hours and degrees."""
    found = {word: one.whole for word, one in split_angles(names).items()} | recognised(names)
    return [found[word] for word in ("ra", "dec") if word in found]


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text))


def _decimal(sample: list[list[str]], separator: str) -> str:
    values = [one for row in sample for one in row]
    has_comma = separator != "," and any(_COMMA.fullmatch(one) for one in values)
    return "," if has_comma and not any(_POINT.fullmatch(one) for one in values) else "."


def _named(found: Dialect, line: int) -> Dialect:
    """Name the columns without a name ``column1`` and so on; refuse a name that occurs twice."""
    names, unnamed = list(found.names), set()
    for at, name in enumerate(names):
        if not name:
            names[at] = next(
                one for one in (f"column{at + 1}", *(f"column{at + 1}_{n}" for n in range(99))) if one not in names
            )
            unnamed.add(at)
    for at, name in enumerate(names):
        if name in names[:at]:
            raise NotATableError(
                f"the name {name} occurs twice in line {line}, as columns {names.index(name) + 1} and {at + 1}: "
                "give each column another name"
            )
    units = (*found.units, *[""] * len(names))[: len(names)]
    return replace(found, names=tuple(names), units=units, unnamed=frozenset(unnamed))


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
