"""Count the exposures of a night in the observation log; only the necessary columns are read."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gozen.archive import keys
from gozen.archive.stores.open_store import Store
from gozen.errors import MissingObject, UnreadableInput

_COLUMNS = ("exposure", "status", "mjd_start")


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
        Start of the first and of the last exposure, d (UTC); None for a night without exposures.
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
    key = keys.log_table("exposures", night)
    try:
        with store.open(key) as file:
            rows = pq.ParquetFile(file, pre_buffer=False).read(columns=list(_COLUMNS), use_threads=False)
    except (MissingObject, FileNotFoundError):
        return NightCounts(night)
    except (pa.ArrowInvalid, OSError) as error:
        raise UnreadableInput(
            f"{store.url_of(key)} is not a Parquet table ({error}); rebuild it with `gozen archive rebuild {night}`"
        ) from error
    status, starts = rows["status"], pc.min_max(rows["mjd_start"]).as_py()
    return NightCounts(
        night,
        exposures=len(rows["exposure"].unique()),
        reduced=_number(pc.equal(status, "reduced")),
        rejected=_number(pc.equal(status, "rejected")),
        first_mjd=starts["min"],
        last_mjd=starts["max"],
    )


def _number(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
