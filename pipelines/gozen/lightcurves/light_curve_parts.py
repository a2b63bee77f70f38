"""Split rows into light curves, one for each source and filter. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gozen.catalog.format.partition_parquet import numbers

OLDER_DIAMETER_PX = 21
"""Diameter of the calibrated aperture, pixels, for rows of older Gozen versions that do not state it."""


@dataclass(frozen=True)
class LightCurvePart:
    """Rows of one source in one filter.

    Parameters
    ----------
    filter
        Empty if it is not known.
    rows
        Row numbers, ascending.
    """

    source_id: int
    filter: str
    rows: NDArray[np.intp]


def parts(rows: pa.Table) -> list[LightCurvePart]:
    """Split rows by source and filter; sources, and filters of a source, are in the order of their first rows."""
    source, names = numbers(rows, "source_id"), filters_of(rows)
    found: dict[int, dict[str, list[int]]] = {}
    for row, (one, name) in enumerate(zip(source.tolist(), names, strict=True)):
        found.setdefault(one, {}).setdefault(name, []).append(row)
    return [
        LightCurvePart(one, name, np.array(which, np.intp))
        for one, by_name in found.items()
        for name, which in by_name.items()
    ]


def filters_of(rows: pa.Table) -> list[str]:
    """Return the filter of each row; empty if it is not known."""
    if "filter" not in rows.column_names:
        return [""] * len(rows)
    named: list[str] = pc.fill_null(rows["filter"].cast(pa.string()), "").to_pylist()
    return named


def diameters_of(rows: pa.Table) -> NDArray[np.int64]:
    """Return the diameter of each row's calibrated aperture, pixels."""
    if "aperture_diameter" not in rows.column_names:
        return np.full(len(rows), OLDER_DIAMETER_PX)
    return np.asarray(pc.fill_null(rows["aperture_diameter"], OLDER_DIAMETER_PX).to_numpy(), np.int64)
