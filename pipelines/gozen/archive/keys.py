"""The key of every object in the archive (docs/explanation/archive.md). No I/O.

The keys inside a table (partitions, manifests) are defined in `gozen.catalog`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from gozen.errors import BadRequest

Calibration = Literal["dark", "flat", "bias"]
RETAIN = "retain"
_NIGHT = re.compile(r"[0-9]{8}")
_PART = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,199}")
RAW_ENDINGS = (".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fits.fz")
"""Endings of the names of raw files, in lower case."""
_PRODUCT_ENDINGS = (".fits.fz", ".fits", ".parquet")
_NOT_OF_FRAME_ID = re.compile(r"(\.(fits?|fts))?(\.(gz|fz))?$", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Processing:
    """One processing of one exposure; each commit belongs to one.

    Parameters
    ----------
    night
        ``YYYYMMDD``, the local date on which the night began.
    exposure
        Number (eight digits) or name of the exposure.
    run
        The name of this processing; use another name for another flat, code version or set of parameters.
    """

    night: str
    exposure: str
    run: str = "r1"

    def __post_init__(self) -> None:
        checked_night(self.night)
        _part("exposure", self.exposure)
        _part("run", self.run)

    @property
    def folder(self) -> str:
        """The part that all keys of this processing have in common."""
        return f"{self.night}/{self.exposure}/{self.run}"


class CommitKey(NamedTuple):
    """The processing and the sensor that a commit's key names."""

    processing: Processing
    sensor: str


def checked_night(night: str) -> str:
    """Return the night unchanged; raise `BadRequest` if it does not have the form ``YYYYMMDD``."""
    if not _NIGHT.fullmatch(night):
        raise BadRequest(f"night {night!r} is not a date of the form YYYYMMDD, such as 20240131")
    return night


def date_of(night: str) -> date:
    """Return the date of a night; raise `BadRequest` if it is not a valid date of the form ``YYYYMMDD``."""
    try:
        return datetime.strptime(checked_night(night), "%Y%m%d").date()
    except ValueError as error:
        raise BadRequest(
            f"night {night!r} is not a date: the calendar has no such day; write YYYYMMDD, such as 20240131"
        ) from error


def raw(night: str, exposure: str, frame_id: str) -> str:
    """Return the key of a raw file."""
    return f"{raw_folder(night, exposure)}/{_part('frame_id', frame_id)}.fits"


def raw_folder(night: str, exposure: str) -> str:
    """Return the prefix of an exposure's raw files, record and markers."""
    return f"raw/{checked_night(night)}/{_part('exposure', exposure)}"


def retain_marker(night: str, exposure: str) -> str:
    """Return the key of the (empty) object that keeps an exposure's raw files from expiring."""
    return f"{raw_folder(night, exposure)}/{RETAIN}"


def master(kind: Calibration, night: str, exposure: str, sensor: str) -> str:
    """Return the key of a calibration master of one sensor."""
    return f"calib/{kind}/{checked_night(night)}/{_part('exposure', exposure)}/{_part('sensor', sensor)}.fits"


def stack(processing: Processing, frame_id: str) -> str:
    """Return the key of a calibrated, solved stack."""
    return f"stack/{processing.folder}/{_part('frame_id', frame_id)}.fits.fz"


def cube(processing: Processing, frame_id: str) -> str:
    """Return the key of a calibrated cube."""
    return f"cube/{processing.folder}/{_part('frame_id', frame_id)}.fits.fz"


def neo(processing: Processing, frame_id: str) -> str:
    """Return the key of the cutouts and measurements of the moving objects on one sensor."""
    return f"neo/{processing.folder}/{_part('frame_id', frame_id)}.fits"


def staging(processing: Processing, sensor: str) -> str:
    """Return the key of the staged rows of one sensor, which are not yet in the light-curve table."""
    return f"staging/{processing.folder}/{_part('sensor', sensor)}.parquet"


def beside(key: str, digest: str) -> str:
    """Return the key for a product whose usual key has other bytes: the usual name with the digest added."""
    ending = next((one for one in _PRODUCT_ENDINGS if key.endswith(one)), "")
    return f"{key.removesuffix(ending)}-{digest[:12]}{ending}"


def commit(processing: Processing, sensor: str) -> str:
    """Return the key of the commit of one sensor."""
    return f"{commits_of(processing)}/{_part('sensor', sensor)}.json"


def commits_of(processing: Processing) -> str:
    """Return the prefix of all commits of a processing."""
    return f"exposures/{processing.folder}"


def commits(night: str) -> str:
    """Return the prefix of all commits of a night."""
    return f"exposures/{checked_night(night)}"


def parse_commit(key: str) -> CommitKey | None:
    """Return the processing and the sensor of a commit's key, or None for any other key."""
    parts = key.split("/")
    if len(parts) != 5 or parts[0] != "exposures" or not parts[4].endswith(".json"):
        return None
    try:
        return CommitKey(Processing(*parts[1:4]), parts[4].removesuffix(".json"))
    except BadRequest:
        return None


def runs_in_force(commits: Iterable[CommitKey]) -> dict[str, str]:
    """Return, for each exposure of one night, the run whose rows are in the tables.

    This is the run with commits for the most sensors; of several such runs, the last one by name, in natural order:
    ``r10`` comes after ``r9``. So a run with a later name replaces an earlier one as soon as it has as many sensors.
    """
    sensors: dict[tuple[str, str], int] = {}
    for processing, _ in commits:
        name = processing.exposure, processing.run
        sensors[name] = sensors.get(name, 0) + 1
    ordered = sorted(sensors, key=lambda name: (sensors[name], natural_order(name[1])))
    return dict(ordered)


def natural_order(text: str) -> list[tuple[int, str]]:
    """Return a sort key that compares digits in a text as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def log_table(table: Literal["exposures", "quality", "tracklets"], night: str) -> str:
    """Return the key of a night's table in the observation log."""
    return f"tables/{table}/{checked_night(night)}.parquet"


def log_tables(table: Literal["exposures", "quality", "tracklets"]) -> str:
    """Return the prefix of the nights' tables in the observation log."""
    return f"tables/{table}"


def catalog(name: str) -> str:
    """Return the prefix of a HATS collection."""
    return f"catalogs/{_part('catalogue', name)}"


def release(rerun: str) -> str:
    """Return the key of the file that describes a release."""
    return f"releases/{_part('release', rerun)}.json"


def frame_id_of(name: str) -> str:
    """Return the FRAME_ID of a raw file: its name or key without folders and FITS endings."""
    return _NOT_OF_FRAME_ID.sub("", PurePosixPath(name).name)


def is_raw_file(name: str) -> bool:
    """Tell whether a name or key belongs to a raw file, and not to a record, note or marker in the same folder."""
    return name.lower().endswith(RAW_ENDINGS)


def is_name(text: str) -> bool:
    """Tell whether a text is a valid name in the archive, for example of a table."""
    return _PART.fullmatch(text) is not None


def _part(what: str, text: str) -> str:
    if not _PART.fullmatch(text):
        raise BadRequest(
            f"{what} {text!r} cannot name an object in the archive: "
            "it must have 1 to 200 characters, no slash and no leading dot"
        )
    return text
