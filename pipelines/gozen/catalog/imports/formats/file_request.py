"""A user's choices for a table file, and the errors of files that are not readable tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class NotATableError(Exception):
    """A file is not a table that can be imported; the message says why and what to do, the caller adds the file."""


@dataclass(frozen=True)
class FileRequest:
    """A user's choices for a file.

    Parameters
    ----------
    hdu
        Table of a FITS file (number or EXTNAME) or of a VOTable (number from 1, ID or name).
    encoding
        Encoding of a text table that is neither UTF-8 nor UTF-16 with a byte order mark.
    columns
        Column names that the user gave: a line that contains one of them is the line of names.
    """

    hdu: str | None = None
    encoding: str | None = None
    columns: frozenset[str] = frozenset()


def joined_names(tables: list[str]) -> str:
    """Return names joined by semicolons, for a message."""
    return "; ".join(tables)


def unclear(count: int, hdu: str, there: str) -> str:
    """Return the message for a ``--hdu`` that names no table or several.

    Parameters
    ----------
    count
        Number of tables that it names.
    hdu
        The value that the user gave to ``--hdu``.
    there
        The tables of the file.
    """
    names = "no table of it matches" if not count else f"{count} tables of it match"
    return f"{names} --hdu {hdu}; the tables are: {there}" + ("; give the number of one table" if count else "")


def refuse_doubles(names: Sequence[str]) -> None:
    """Raise `NotATableError` if two columns have the same name, or a column has none."""
    if not all(one.strip() for one in names):
        at = next(at for at, one in enumerate(names, 1) if not one.strip())
        raise NotATableError(f"its column {at} has no name: give each column a different name")
    twice = next((one for at, one in enumerate(names) if one in names[:at]), None)
    if twice is not None:
        raise NotATableError(f"it has two columns with the name {twice}: give each column a different name")
