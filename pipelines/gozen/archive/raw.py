"""The record of an exposure's raw data, ``raw/{night}/{exposure}/exposure.json``: which files each sensor has.

It spares everybody from opening every file to learn which sensor it is; who takes files in writes it last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace

from gozen.archive.store import Store
from gozen.errors import CorruptFile

RECORD = "exposure.json"
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
        URL of the folder that the keys begin at, where that is not the archive; see `gozen.archive.outside`.
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


def record_exposure(store: Store, fresh: RawExposure) -> RawExposure:
    """Write an exposure's record, with what an earlier record of it names; return it."""
    key = record_key(fresh.night, fresh.exposure)
    old = read_record(store, key) if store.exists(key) else None
    fresh = joined(old, fresh)
    if fresh != old:
        store.write(key, fresh.to_json())
    return fresh


def joined(old: RawExposure | None, fresh: RawExposure) -> RawExposure:
    """Return an exposure with the files of an earlier record of it and those of a fresh one."""
    if old is None:
        return fresh
    sensors = {name: set(files) for name, files in old.sensors.items()}
    for name, files in fresh.sensors.items():
        sensors.setdefault(name, set()).update(files)
    return replace(
        fresh,
        mjd=min(old.mjd, fresh.mjd) if old.sensors else fresh.mjd,
        sensors=by_sensor(sensors),
        setup=(old.setup if old.sensors else None) or fresh.setup,
        taken={**old.taken, **fresh.taken},
        forgotten=old.forgotten,
    )


def raw_exposures(store: Store, night: str) -> list[RawExposure]:
    """Return the recorded exposures of a night, by time; those whose files were all taken out again are none."""
    found = [read_record(store, key) for key in store.list(f"raw/{night}") if key.endswith(f"/{RECORD}")]
    found = [one for one in found if one.sensors or not one.forgotten]
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
        setup = Setup(**content.pop("setup")) if "setup" in content else None
        taken = {name: Taken(**one) for name, one in content.pop("taken", {}).items()}
        forgotten = tuple(Forgotten(**one) for one in content.pop("forgotten", ()))
        return RawExposure(**content, sensors=sensors, setup=setup, taken=taken, forgotten=forgotten)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{store.url_of(key)} is no record of an exposure: {error}") from error


def record_key(night: str, exposure: str) -> str:
    """Return the key of an exposure's record."""
    return f"raw/{night}/{exposure}/{RECORD}"


def by_sensor(sensors: dict[str, list[str]] | dict[str, set[str]]) -> dict[str, tuple[str, ...]]:
    """Return the files of each sensor in the order of their names."""
    return {name: tuple(sorted(files)) for name, files in sorted(sensors.items())}
