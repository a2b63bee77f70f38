"""What a user says of a table file beyond its address, and how a file that cannot be read is named."""

from __future__ import annotations

from dataclasses import dataclass


class NotATableError(Exception):
    """What is wrong with a file, in words that say where and what to write; the caller names the file."""


@dataclass(frozen=True)
class Asked:
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


def listed(tables: list[str]) -> str:
    """Return the tables of a file for a message."""
    return "; ".join(tables)
