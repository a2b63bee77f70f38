"""What a look-up costs in a table that has grown: a part of benchmarks/lookup.py."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from goals import Goal
from gozen.archive.stores.open_store import open_store
from gozen.catalog.read.lookup import Catalog
from star_tables import RADIUS_ARCSEC, SIX, filled, targets
from timing import say

LARGE = 5
"""How many times larger the other table is."""
LIMIT = 1.2
Wanted = tuple[Sequence[int], Sequence[tuple[float, float]]]


def measured(folder: Path, rows: int) -> dict[str, Any]:
    """Make a table, and one of five times its rows, and look up in both."""
    wanted = []
    for size in (rows, LARGE * rows):
        say(f"a table of {size:,} rows")
        ids, cones = targets(size, 200)
        wanted.append((filled(open_store(folder / f"size-{size}"), size), (ids, cones["plain"])))
    (small, of_small), (large, of_large) = wanted
    found = compared(small, large, of_small, of_large)
    shutil.rmtree(folder / f"size-{LARGE * rows}")
    return found


def compared(small: Catalog, large: Catalog, of_small: Wanted, of_large: Wanted) -> dict[str, Any]:
    """Time look-ups of stars and cones in both tables by turns, each warm; return medians in ms and the rows found."""
    result: dict[str, Any] = {"rows": [small.info().rows, large.info().rows]}
    for name, which in (("id", 0), ("cone", 1)):
        spent: list[tuple[float, float]] = []
        found: list[tuple[int, int]] = []
        for turn in range(3):
            for one, other in zip(of_small[which], of_large[which], strict=True):
                times, rows = zip(_one(small, one), _one(large, other), strict=True)
                if turn:  # the first warms both
                    spent.append(times)
                    found.append(rows)
        medians = np.median(np.array(spent), axis=0) * 1000
        result[name] = {"small_ms": medians[0], "large_ms": medians[1], "rows": np.median(np.array(found), axis=0)}
    return result


def _one(catalog: Catalog, wanted: int | tuple[float, float]) -> tuple[float, int]:
    begin = time.perf_counter()
    is_cone = isinstance(wanted, tuple)
    found = catalog.cone(*wanted, RADIUS_ARCSEC, SIX) if is_cone else catalog.lightcurve(wanted, SIX)
    return time.perf_counter() - begin, len(found)


def goals_of(result: dict[str, Any]) -> list[Goal]:
    """Return each goal with what was measured and its limit."""
    return [
        Goal(f"large/small_{name}", float(result[name]["large_ms"] / result[name]["small_ms"]), LIMIT)
        for name in ("id", "cone")
    ]


def show(result: dict[str, Any]) -> None:
    """Print what was measured."""
    small, large = result["rows"]
    for name in ("id", "cone"):
        one = result[name]
        one["rows"] = [float(rows) for rows in one["rows"]]
        print(
            f"{name}: {one['small_ms']:.3f} ms in {small:,} rows, {one['large_ms']:.3f} ms in {large:,} "
            f"({one['rows'][0]:.0f} and {one['rows'][1]:.0f} rows found)"
        )
