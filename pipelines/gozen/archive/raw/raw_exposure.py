"""The contents of an exposure's record: files of each sensor, when and where they were taken. No I/O.

Where records lie in the archive, and how several processes change one: `gozen.archive.raw.exposure_record`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace

_OPTIONAL = ("root", "setup", "taken", "forgotten")


@dataclass(frozen=True)
class Setup:
    """What all files of one exposure have in common besides object and kind of data.

    Parameters
    ----------
    camera
        Name of the instrument profile.
    exposure_s
        Net exposure of one frame, seconds; of a flat field that of its first frame.
    window
        FITS section of the sensor; empty for all of it.
    exposure_id
        The number that the headers give; None where they give none.
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
        Pointing, degrees; None where the header does not say.
    cube_s
        Length of a cube, seconds; None for a single frame.
    """

    mjd: float
    ra: float | None = None
    dec: float | None = None
    cube_s: float | None = None


@dataclass(frozen=True)
class Forgotten:
    """A raw file that was taken out of the archive again: which, with what SHA-256, when (UTC) and why."""

    key: str
    sha256: str
    when: str
    why: str = ""


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
    setup
        Of camera and filter; None where whoever wrote the record did not say.
    taken
        When and where each file was taken, by key, as far as it is known.
    forgotten
        Files that were taken out again.
    root
        URL of the folder that the keys begin at, where that is not the archive; see `gozen.archive.raw.external_raw`.
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
        """Keys that were taken out and did not come back."""
        here = {key for files in self.sensors.values() for key in files}
        return {one.key for one in self.forgotten} - here

    @property
    def says_nothing(self) -> bool:
        """Whether it names neither files, past ones included, nor a target or a kind of data."""
        return not (self.object or self.data_type or self.sensors or self.forgotten)

    @property
    def pointing(self) -> tuple[float, float] | None:
        """Where the telescope looked first, degrees; None where no file says it."""
        known = [one for one in self.taken.values() if one.ra is not None and one.dec is not None]
        first = min(known, key=lambda one: one.mjd, default=None)
        return None if first is None or first.ra is None or first.dec is None else (first.ra, first.dec)

    def to_json(self) -> bytes:
        """Return the bytes of the record."""
        content = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _OPTIONAL}
        if self.setup is not None:
            content["setup"] = asdict(self.setup)
        if self.taken:
            content["taken"] = {key: asdict(one) for key, one in self.taken.items()}
        if self.forgotten:
            content["forgotten"] = [asdict(one) for one in self.forgotten]
        return (json.dumps(content, sort_keys=True, indent=1) + "\n").encode()


def merge_records(old: RawExposure | None, fresh: RawExposure) -> RawExposure:
    """Return an exposure with the files of an earlier record of it and those of a fresh one.

    What the earlier one says of a file, a target or a setup stands, so that two who join the same records in another
    order agree.
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
    """Return an exposure without some of its files."""
    sensors = {name: set(files) - set(gone) for name, files in record.sensors.items()}
    return replace(
        record,
        sensors=by_sensor({name: files for name, files in sensors.items() if files}),
        taken={key: one for key, one in record.taken.items() if key not in gone},
    )


def parse_record(data: bytes) -> RawExposure:
    """Return the exposure that the bytes of a record describe.

    Raises
    ------
    ValueError
        They are not a record; the message says in what.
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
    """Return the files of each sensor in the order of their names."""
    return {name: tuple(sorted(files)) for name, files in sorted(sensors.items())}
