"""Count the exposures of a night in the observation log."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from gozen.archive.log.observation_log import read_log_table
from gozen.archive.stores.open_store import Store


@dataclass(frozen=True)
class NightCounts:
    """Counts of the exposures of one night.

    Parameters
    ----------
    night
        ``YYYYMMDD``.
    exposures
        Exposures with a commit of at least one sensor.
    reduced, rejected
        Sensor exposures that were reduced, and that a gate rejected.
    first_mjd, last_mjd
        Start of the first and of the last exposure, d (UTC); None if no exposure has a start.
    """

    night: str
    exposures: int = 0
    reduced: int = 0
    rejected: int = 0
    first_mjd: float | None = None
    last_mjd: float | None = None


def count_night(store: Store, night: str) -> NightCounts:
    """Count the exposures of a night in the observation log; zeros for a night that it does not have.

    Raises
    ------
    UnreadableInput
        The night's table is not a Parquet table.
    StorageUnavailable
        The archive cannot be read.
    """
    # In one read: the table may be rewritten at any time, and ranges of two versions do not fit together.
    rows = read_log_table(store, "exposures", night)
    status, starts = rows["status"], rows["mjd_start"]
    span = pc.min_max(starts.filter(pc.is_finite(starts))).as_py()
    return NightCounts(
        night,
        exposures=len(rows["exposure"].unique()),
        reduced=_number(pc.equal(status, "reduced")),
        rejected=_number(pc.equal(status, "rejected")),
        first_mjd=span["min"],
        last_mjd=span["max"],
    )


def _number(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
