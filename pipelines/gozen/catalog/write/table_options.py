"""Options for writing a table in one step: partition size, margin, memory."""

from __future__ import annotations

from dataclasses import dataclass

from gozen.catalog.format.manifest import Kind
from gozen.catalog.write.spill import MEMORY

PARTITION_ROWS = 1_000_000
"""Partitions split until they hold at most so many rows: a partition is what LSDB gives to one task."""

MARGIN_ARCSEC = 5.0


@dataclass(frozen=True)
class TableOptions:
    """How a table is written.

    Parameters
    ----------
    partition_rows
        Most rows of a partition.
    margin_arcsec
        Width of the margin; None for no margin.
    memory
        Bytes of rows that stay in memory; more goes to the temporary folder.
    kind
        The HATS type.
    night
        The number that names of its files begin with.
    """

    partition_rows: int = PARTITION_ROWS
    margin_arcsec: float | None = MARGIN_ARCSEC
    memory: int = MEMORY
    kind: Kind = "object"
    night: int = 0


DEFAULT_OPTIONS = TableOptions()
