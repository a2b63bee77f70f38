"""The record of an exposure's raw data, ``raw/{night}/{exposure}/exposure.json``: which files each sensor has.

It spares everybody from opening every file to learn which sensor it is; who takes files in writes it last.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace

from gozen.archive.store import Store
from gozen.errors import CorruptFile

RECORD = "exposure.json"


@dataclass(frozen=True)
class RawExposure:
    """What was taken in one exposure.

    Parameters
    ----------
    night, exposure
        As in the keys of the archive.
    object, data_type
        From the header.
    mjd
        Start of the first frame, MJD (UTC).
    sensors
        Keys of each sensor's raw files, in the order of their names.
    root
        URL of the folder that the keys begin at, where that is not the archive; see `gozen.archive.outside`.
    """

    night: str
    exposure: str
    object: str
    data_type: str
    mjd: float
    sensors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    root: str | None = None

    def to_json(self) -> bytes:
        """Return the bytes of the record."""
        content = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "root"}
        return (json.dumps(content, sort_keys=True, indent=1) + "\n").encode()


def record_exposure(store: Store, fresh: RawExposure) -> RawExposure:
    """Write an exposure's record, with what an earlier record of it names; return it."""
    key = record_key(fresh.night, fresh.exposure)
    old = read_record(store, key) if store.exists(key) else None
    if old is not None:
        sensors = {name: set(files) for name, files in old.sensors.items()}
        for name, files in fresh.sensors.items():
            sensors.setdefault(name, set()).update(files)
        fresh = replace(fresh, mjd=min(old.mjd, fresh.mjd), sensors=by_sensor(sensors))
    if fresh != old:
        store.write(key, fresh.to_json())
    return fresh


def raw_exposures(store: Store, night: str) -> list[RawExposure]:
    """Return the recorded exposures of a night, by time."""
    found = [read_record(store, key) for key in store.list(f"raw/{night}") if key.endswith(f"/{RECORD}")]
    return sorted(found, key=lambda one: (one.mjd, one.exposure))


def read_record(store: Store, key: str) -> RawExposure:
    """Read an exposure's record.

    Raises
    ------
    CorruptFile
        What lies there is no record.
    """
    try:
        content = json.loads(store.read(key))
        sensors = {name: tuple(files) for name, files in content.pop("sensors").items()}
        return RawExposure(**content, sensors=sensors)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{store.url_of(key)} is no record of an exposure: {error}") from error


def record_key(night: str, exposure: str) -> str:
    """Return the key of an exposure's record."""
    return f"raw/{night}/{exposure}/{RECORD}"


def by_sensor(sensors: dict[str, list[str]] | dict[str, set[str]]) -> dict[str, tuple[str, ...]]:
    """Return the files of each sensor in the order of their names."""
    return {name: tuple(sorted(files)) for name, files in sorted(sensors.items())}
