"""The record of an exposure: the raw files of each sensor, and when and where they were taken. No I/O.

`gozen.archive.raw.exposure_record` stores records in the archive.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace

_OPTIONAL = ("root", "setup", "taken", "forgotten")


@dataclass(frozen=True)
class Setup:
    """Properties, in addition to object and data type, that all files of one exposure have in common.

    Parameters
    ----------
    camera
        Name of the instrument profile.
    exposure_s
        Net exposure of one frame, seconds; for flat fields, of the first frame.
    window
        FITS section of the sensor; empty for the full sensor.
    exposure_id
        The exposure number in the headers; None if they have none.
    """

    camera: str
    filter: str
    exposure_s: float
    gain: str
    binning: str = "1x1"
    window: str = ""
    exposure_id: str | None = None


@dataclass(frozen=True)
class Taken:
    """When and where one raw file was taken.

    Parameters
    ----------
    mjd
        Start of its first pixel, MJD (UTC).
    ra, dec
        Pointing, degrees; None if the header does not give it.
    cube_s
        Duration of a cube, seconds; None for a single frame.
    """

    mjd: float
    ra: float | None = None
    dec: float | None = None
    cube_s: float | None = None


@dataclass(frozen=True)
class Forgotten:
    """A raw file that was removed from the archive: its key and SHA-256, the time (UTC) and the reason."""

    key: str
    sha256: str
    when: str
    why: str = ""


@dataclass(frozen=True)
class RawExposure:
    """The record of one exposure.

    Parameters
    ----------
    night, exposure
        Night (``YYYYMMDD``) and identifier, as in the keys of the archive.
    object, data_type
        Target and kind of data, from the header of the first file.
    mjd
        Start of the first frame, MJD (UTC).
    sensors
        Keys of each sensor's raw files, sorted.
    setup
        Camera, filter and so on; None if the writer of the record did not give them.
    taken
        When and where each file was taken, by key; files for which this is unknown are left out.
    forgotten
        Files that were removed from the archive.
    root
        URL of the folder to which the keys are relative, if it is not the archive; see
        `gozen.archive.raw.external_raw`.
    """

    night: str
    exposure: str
    object: str
    data_type: str
    mjd: float
    sensors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    setup: Setup | None = None
    taken: Mapping[str, Taken] = field(default_factory=dict)
    forgotten: tuple[Forgotten, ...] = ()
    root: str | None = None

    @property
    def gone(self) -> set[str]:
        """Keys of files that were removed and not added again."""
        here = {key for files in self.sensors.values() for key in files}
        return {one.key for one in self.forgotten} - here

    @property
    def says_nothing(self) -> bool:
        """Whether the record is empty: no files, no removed files, no object and no data type."""
        return not (self.object or self.data_type or self.sensors or self.forgotten)

    @property
    def pointing(self) -> tuple[float, float] | None:
        """Pointing of the earliest file that has one: right ascension and declination, degrees; None if no file has."""
        known = [one for one in self.taken.values() if one.ra is not None and one.dec is not None]
        first = min(known, key=lambda one: one.mjd, default=None)
        return None if first is None or first.ra is None or first.dec is None else (first.ra, first.dec)

    def to_json(self) -> bytes:
        """Return the record as JSON bytes, without ``root``."""
        content = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _OPTIONAL}
        if self.setup is not None:
            content["setup"] = asdict(self.setup)
        if self.taken:
            content["taken"] = {key: asdict(one) for key, one in self.taken.items()}
        if self.forgotten:
            content["forgotten"] = [asdict(one) for one in self.forgotten]
        return (json.dumps(content, sort_keys=True, indent=1) + "\n").encode()


def merge_records(old: RawExposure | None, fresh: RawExposure) -> RawExposure:
    """Return the record of an exposure with the files of an earlier record and of a new one.

    If both have values for a file, the object or the setup, the earlier values are kept.
    """
    if old is None or not old.sensors:
        return fresh if old is None else replace(fresh, forgotten=old.forgotten)
    known = {key for files in old.sensors.values() for key in files}
    sensors = {name: set(files) for name, files in old.sensors.items()}
    for name, files in fresh.sensors.items():
        sensors.setdefault(name, set()).update(set(files) - known)
    return replace(
        fresh,
        object=old.object or fresh.object,
        data_type=old.data_type or fresh.data_type,
        mjd=min(old.mjd, fresh.mjd),
        sensors=by_sensor({name: files for name, files in sensors.items() if files}),
        setup=old.setup or fresh.setup,
        taken={**fresh.taken, **old.taken},
        forgotten=old.forgotten,
    )


def without(record: RawExposure, gone: Collection[str]) -> RawExposure:
    """Return a record without some of its files."""
    sensors = {name: set(files) - set(gone) for name, files in record.sensors.items()}
    return replace(
        record,
        sensors=by_sensor({name: files for name, files in sensors.items() if files}),
        taken={key: one for key, one in record.taken.items() if key not in gone},
    )


def parse_record(data: bytes) -> RawExposure:
    """Return the record that was stored as these bytes.

    Raises
    ------
    ValueError
        The bytes are not a valid record; the message gives the reason.
    """
    try:
        content = json.loads(data)
        sensors = {name: tuple(files) for name, files in content.pop("sensors").items()}
        setup = Setup(**content.pop("setup")) if "setup" in content else None
        taken = {name: Taken(**one) for name, one in content.pop("taken", {}).items()}
        forgotten = tuple(Forgotten(**one) for one in content.pop("forgotten", ()))
        return RawExposure(**content, sensors=sensors, setup=setup, taken=taken, forgotten=forgotten)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def by_sensor(sensors: dict[str, list[str]] | dict[str, set[str]]) -> dict[str, tuple[str, ...]]:
    """Return the files of each sensor, sorted."""
    return {name: tuple(sorted(files)) for name, files in sorted(sensors.items())}
