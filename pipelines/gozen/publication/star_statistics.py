"""Mean magnitude and scatter of each star and filter, summed over parts of a table. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gozen.catalog.format.partition_parquet import numbers
from gozen.catalog.format.schema import Flag

_BAD = Flag.SATURATED | Flag.EDGE | Flag.DEAD_PIXEL | Flag.NO_CALIBRATION | Flag.NOT_DETECTED | Flag.REGISTRATION_FAILED
LEAST_POINTS = 10
"""Fewest good points of a star whose scatter is compared with the scatter of other stars."""
_SUMS = ("points", "mags", "squares", "errors")
_KEYS = ["source_id", "filter"]


@dataclass(frozen=True)
class StarStatistics:
    """Statistics of good points; arrays of shape (stars,), one entry for each star and filter.

    Parameters
    ----------
    points
        Numbers of points.
    mag, scatter, error
        Mean magnitude, standard deviation, and mean standard error, mag.
    """

    source_id: NDArray[np.int64]
    points: NDArray[np.int64]
    mag: NDArray[np.float64]
    scatter: NDArray[np.float64]
    error: NDArray[np.float64]

    @property
    def comparable(self) -> NDArray[np.bool_]:
        """Which stars have enough points, shape (stars,); all of them if none has."""
        enough = self.points >= LEAST_POINTS
        return enough if enough.any() else np.ones_like(enough)

    def most_variable(self, count: int) -> list[int]:
        """Return the stars whose scatter exceeds their errors most, in descending order, each star once."""
        with np.errstate(divide="ignore", invalid="ignore"):
            excess = np.where(self.points >= LEAST_POINTS, self.scatter / self.error, np.nan)
        # The id breaks ties, so that equal data give equal plots.
        order = np.lexsort((self.source_id, -np.nan_to_num(excess, nan=-1.0)))
        return list(dict.fromkeys(int(one) for one in self.source_id[order]))[:count]


def sums_of(rows: pa.Table) -> pa.Table:
    """Return sums over the good points of each star and filter, which `statistics_of` combines.

    Parameters
    ----------
    rows
        Rows of a light-curve table, with the columns source_id, filter, mag, mag_err and flags.
    """
    good = (numbers(rows, "flags").astype(np.int64) & int(_BAD)) == 0
    mag = pc.cast(rows["mag"], pa.float64())
    known = rows.select(_KEYS).append_column("mags", mag).append_column("squares", pc.multiply(mag, mag))
    known = known.append_column("errors", pc.cast(rows["mag_err"], pa.float64()))
    known = known.append_column("points", pc.cast(pc.is_valid(mag), pa.int64())).filter(pa.array(good))
    return _summed(known)


def statistics_of(parts: Iterable[pa.Table]) -> StarStatistics:
    """Return the statistics from the sums of all parts, of stars with at least one good point."""
    found = _summed(pa.concat_tables(parts))
    found = found.filter(pc.greater(found["points"], 0)).sort_by([("source_id", "ascending"), ("filter", "ascending")])
    points = found["points"].to_numpy().astype(np.int64)
    mag = found["mags"].to_numpy() / points
    variance = found["squares"].to_numpy() / points - mag**2
    return StarStatistics(
        found["source_id"].to_numpy().astype(np.int64),
        points,
        mag,
        np.sqrt(np.maximum(variance, 0.0)),
        np.nan_to_num(found["errors"].to_numpy(), nan=0.0) / points,
    )


def _summed(table: pa.Table) -> pa.Table:
    found = table.group_by(_KEYS, use_threads=False).aggregate([(name, "sum") for name in _SUMS])
    return found.select([*_KEYS, *(f"{name}_sum" for name in _SUMS)]).rename_columns([*_KEYS, *_SUMS])
