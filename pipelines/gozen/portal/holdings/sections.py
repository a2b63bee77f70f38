"""Decide which parts of the first page a level of access sees: those whose objects the level may read. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from gozen.archive import keys
from gozen.archive.access_levels import Level, may_read
from gozen.catalog.format import layout


@dataclass(frozen=True)
class Sections:
    """The parts of the page that may be withheld; releases are shown to all users.

    Parameters
    ----------
    tables
        The live tables, and the reference catalogue, which is one of them.
    nights
        The nights of the observation log.
    """

    tables: bool
    nights: bool

    @property
    def all(self) -> bool:
        """Whether nothing is withheld."""
        return self.tables and self.nights


def sections(level: Level) -> Sections:
    """Return what a level sees: one table and one night are checked as examples of all others."""
    live = may_read(level, layout.manifest("lightcurves", 1))
    return Sections(live, may_read(level, keys.log_table("exposures", "20000101")))
