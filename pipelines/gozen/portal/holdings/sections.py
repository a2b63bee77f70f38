"""Decide which parts of the first page users of an access level see: those whose objects they may read. No I/O."""

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
        """Whether the user may see all parts."""
        return self.tables and self.nights


def sections(level: Level) -> Sections:
    """Return the parts that users of an access level see; one table and one night are checked as examples."""
    live = may_read(level, layout.manifest("lightcurves", 1))
    return Sections(live, may_read(level, keys.log_table("exposures", "20000101")))
