"""What a user says about a table file besides its address, and how an unreadable file is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class NotATableError(Exception):
    """What is wrong with a file, in words that say where and what to write; the caller names the file."""


@dataclass(frozen=True)
class FileRequest:
    """What a user says of a file.

    Parameters
    ----------
    hdu
        Which table of a FITS file (number or EXTNAME) or of a VOTable (number from 1, ID or name).
    encoding
        Of a text table that is neither UTF-8 nor UTF-16 with a byte order mark.
    columns
        Names of columns that the user gave: a line that holds one of them is a line of names.
    """

    hdu: str | None = None
    encoding: str | None = None
    columns: frozenset[str] = frozenset()


def joined_names(tables: list[str]) -> str:
    """Return the tables of a file for a message."""
    return "; ".join(tables)


def unclear(count: int, hdu: str, there: str) -> str:
    """Return what is wrong with the ``--hdu`` that a user wrote, where it is not the name of one table."""
    names = "no table of it goes" if not count else f"{count} tables of it go"
    return f"{names} by --hdu {hdu}: {there}" + ("; name it by its number" if count else "")


def refuse_doubles(names: Sequence[str]) -> None:
    """Raise `NotATableError` where two columns have one name, or a column has none."""
    if not all(one.strip() for one in names):
        at = next(at for at, one in enumerate(names, 1) if not one.strip())
        raise NotATableError(f"its column {at} has no name: give each a name of its own")
    twice = next((one for at, one in enumerate(names) if one in names[:at]), None)
    if twice is not None:
        raise NotATableError(f"it has two columns of the name {twice}: give each a name of its own")
