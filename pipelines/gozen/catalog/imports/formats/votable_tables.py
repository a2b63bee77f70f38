"""List the tables of a VOTable file, and choose one."""

from __future__ import annotations

from typing import Any

from gozen.catalog.imports.formats.file_request import FileRequest, NotATableError, joined_names, unclear
from gozen.catalog.imports.formats.fits_tables import has_positions


def choose_votable_table(document: Any, asked: FileRequest) -> Any:
    """Return the named table of a parsed document, else the only table, else the only table with positions.

    Raises
    ------
    NotATableError
        There is no such table, the choice is ambiguous, or no table has rows.
    """
    tables = [(number, one) for number, one in enumerate(document.iter_tables(), 1) if not one.is_empty()]
    there = joined_names([_line(number, one) for number, one in tables])
    if not tables:
        raise NotATableError("it is a VOTable without rows; give a table that has rows")
    if asked.hdu is not None:
        found = [one for n, one in tables if asked.hdu in (str(n), one.ID, one.name)]
        if len(found) != 1:
            raise NotATableError(unclear(len(found), asked.hdu, there))
    elif len(tables) > 1:
        found = [one for _, one in tables if has_positions([f.name for f in one.fields], asked.columns)]
    else:
        found = [one for _, one in tables]
    if len(found) != 1:
        raise NotATableError(f"it has several tables; choose one with --hdu: {there}")
    return found[0]


def _line(number: int, table: Any) -> str:
    named = f" ({table.ID or table.name})" if table.ID or table.name else ""
    return f"--hdu {number}{named}: {len(table.array)} rows of {', '.join(f.name for f in table.fields[:6])}"
