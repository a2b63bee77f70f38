"""Patches from tables in memory, to test the arguments of users' functions without files and processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gozen.quickdb.patches.column_definitions import Names, TableColumns
from gozen.quickdb.patches.patch import Patch, PatchReads
from gozen.quickdb.patches.patch_data import as_array

SCHEMA = pa.schema(
    [
        ("_healpix_29", pa.int64()),
        ("source_id", pa.int64()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        ("isprimary", pa.bool_()),
        ("kind", pa.string()),
        ("g_psfflux_flux", pa.float32()),
        ("g_psfflux_fluxerr", pa.float32()),
        ("g_psfflux_instflux", pa.float32()),
        ("g_psfflux_instfluxerr", pa.float32()),
        ("g_edge", pa.bool_()),
        ("r_psfflux_flux", pa.float32()),
    ],
    metadata={"gozen_bands": "g r i"},
)


class Memory:
    """A source that answers from arrays, and notes what it was asked for."""

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self._tables = tables
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def rows(self, patch: int) -> int:
        return len(next(iter(self._tables.values())))

    def columns(self, patch: int, table: str, names: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
        self.asked.append((table, tuple(names)))
        return {name: as_array(self._tables[table].column(name)) for name in names}

    def margin(self, patch: int, arcsec: float) -> tuple[int, int]:
        return -1, 0


def forced_of(rows: int, seed: int = 1) -> pa.Table:
    """Make rows of a small table ``forced``."""
    random = np.random.default_rng(seed)
    columns = {
        "_healpix_29": np.sort(random.integers(0, 12 << 58, rows)),
        "source_id": np.arange(rows),
        "ra": random.uniform(0, 360, rows),
        "dec": random.uniform(-90, 90, rows),
        "isprimary": random.random(rows) < 0.9,
        "kind": random.choice(["star", "galaxy"], rows).tolist(),
        "g_edge": random.random(rows) < 0.1,
        **{name: random.lognormal(5, 1, rows).astype(np.float32) for name in SCHEMA.names if "psfflux" in name},
    }
    return pa.table([pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names], schema=SCHEMA)


def patch_of(
    table: pa.Table, source: Memory | None = None, expected: Mapping[str, Sequence[str]] | None = None
) -> Patch:
    """Make a patch of all rows of a table ``forced``."""
    names = Names({"forced": TableColumns.of_schema("forced", table.schema)}, ("lightcurves",))
    reads = PatchReads(source or Memory({"forced": table}), names, expected or {}, {})
    return Patch(reads, 0, "0/0/0", (0, 12 << 58), len(table))
