"""The key of every object in the archive (DESIGN §4): pure text, no I/O.

A table's inner keys (partitions, manifests) are the business of `gozen.catalog`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Calibration = Literal["dark", "flat", "bias"]


@dataclass(frozen=True, order=True)
class Processing:
    """One processing of one exposure: what a commit belongs to.

    Parameters
    ----------
    night
        ``YYYYMMDD``, the local date on which the night began.
    exposure
        The exposure's identifier.
    run
        The name of this processing; another flat, code version or parameter set is another run.
    """

    night: str
    exposure: str
    run: str = "r1"

    @property
    def folder(self) -> str:
        """The part that all keys of this processing share."""
        return f"{self.night}/{self.exposure}/{self.run}"


def raw(night: str, exposure: str, frame_id: str) -> str:
    """Return the key of a raw file in the ring buffer."""
    return f"raw/{night}/{exposure}/{frame_id}.fits"


def master(kind: Calibration, night: str, exposure: str, sensor: str) -> str:
    """Return the key of a calibration master of one sensor."""
    return f"calib/{kind}/{night}/{exposure}/{sensor}.fits"


def stack(processing: Processing, frame_id: str) -> str:
    """Return the key of a calibrated, solved stack."""
    return f"stack/{processing.folder}/{frame_id}.fits.fz"


def cube(processing: Processing, frame_id: str) -> str:
    """Return the key of a calibrated cube."""
    return f"cube/{processing.folder}/{frame_id}.fits.fz"


def staging(processing: Processing, sensor: str) -> str:
    """Return the key of the calibrated detections of one sensor, before the nightly append."""
    return f"staging/{processing.folder}/{sensor}.parquet"


def commit(processing: Processing, sensor: str) -> str:
    """Return the key of the commit of one sensor."""
    return f"exposures/{processing.folder}/{sensor}.json"


def commits(night: str) -> str:
    """Return the prefix of all commits of a night."""
    return f"exposures/{night}"


def log_table(table: Literal["exposures", "quality"], night: str) -> str:
    """Return the key of a night's table in the observation log."""
    return f"tables/{table}/{night}.parquet"


def catalog(name: str) -> str:
    """Return the prefix of a HATS collection."""
    return f"catalogs/{name}"
