"""Options for writing a table in one step: partition size, margin, memory."""

from __future__ import annotations

from dataclasses import dataclass

from gozen.catalog.format.manifest import Kind
from gozen.catalog.write.spill import MEMORY

PARTITION_ROWS = 1_000_000
"""Partitions are split until each has at most this number of rows: LSDB processes one partition in one task."""

MARGIN_ARCSEC = 5.0


@dataclass(frozen=True)
class TableOptions:
    """How a table is written.

    Parameters
    ----------
    partition_rows
        Maximum number of rows in a partition; one of the deepest order may have more.
    margin_arcsec
        Width of the margin; None for no margin.
    memory
        Bytes of rows to keep in memory; beyond that, rows are written to the temporary folder.
    kind
        The HATS type.
    night
        The number with which the names of its files begin.
    """

    partition_rows: int = PARTITION_ROWS
    margin_arcsec: float | None = MARGIN_ARCSEC
    memory: int = MEMORY
    kind: Kind = "object"
    night: int = 0


DEFAULT_OPTIONS = TableOptions()
