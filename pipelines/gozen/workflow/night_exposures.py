"""Select the night, exposures and sensors that a command works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gozen.archive.keys import date_of
from gozen.archive.raw.exposure_record import RawExposure, raw_exposures, read_record
from gozen.archive.raw.external_raw import open_outside
from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest
from gozen.instrument.profile import Profile
from gozen.settings import Settings
from gozen.workflow.stage_progress import LeftOut, ignore


def only_night(store: Store, named: str | None = None) -> str:
    """Return the named night, or the only night of which the archive has raw data.

    Raises
    ------
    BadRequest
        No night is named, and the archive has raw data of none or of more than one.
    """
    if named is not None:
        return named
    nights = sorted({key.split("/")[1] for key in store.list("raw")})
    if len(nights) == 1:
        return nights[0]
    if not nights:
        raise BadRequest(
            f"{store.url} has no raw data; add some with `gozen run RECIPE --raw FOLDER`, or simulate some with "
            "`gozen simulate`"
        )
    raise BadRequest(f"{store.url} has raw data of {len(nights)} nights: choose one with --night: {', '.join(nights)}")


def common_night(exposures: Sequence[RawExposure]) -> str | None:
    """Return the night of exposures, or None without exposures; raise `BadRequest` if there are several nights."""
    nights = sorted({one.night for one in exposures})
    if len(nights) > 1:
        raise BadRequest(f"the raw files are of {len(nights)} nights; choose one with --night: {', '.join(nights)}")
    return nights[0] if nights else None


def exposures_of_night(
    store: Store,
    profile: Profile,
    night: str,
    names: Sequence[str] | None = None,
    *,
    left_out: LeftOut = ignore,
) -> list[RawExposure]:
    """Return a night's exposures of one camera; write missing records of exposures.

    Parameters
    ----------
    names
        Exposures that are needed: if all of them have records, only they are returned.
    left_out
        Receives the reasons why files are not recorded.

    Raises
    ------
    BadRequest
        The night is not a valid date, or the archive has no raw data of this night and camera; a named exposure is of
        another camera.
    """
    from gozen.frames.take_in import record_missing  # imported late: astropy is only needed if headers are read

    date_of(night)
    records = [read_record(store, night, name) for name in names or ()]
    known = [one for one in records if one is not None]
    if records and len(known) == len(records):
        own = _of_camera(known, profile)
        others = [one for one in known if one not in own]
        if others:
            raise _other_camera(", ".join(one.exposure for one in others), others, profile)
        return known
    left_out(record_missing(store, night, profile))
    found = raw_exposures(store, night)
    if not found:
        raise BadRequest(
            f"{store.url} has no raw data of the night {night}; `gozen archive info` shows what it contains"
        )
    own = _of_camera(found, profile)
    if not own:
        raise _other_camera(f"the night {night}", found, profile)
    return own


def _of_camera(exposures: Sequence[RawExposure], profile: Profile) -> list[RawExposure]:
    return [one for one in exposures if one.setup is None or one.setup.camera == profile.name]


def _other_camera(of: str, exposures: Sequence[RawExposure], profile: Profile) -> BadRequest:
    cameras = ", ".join(sorted({one.setup.camera for one in exposures if one.setup}))
    return BadRequest(
        f"the raw data of {of} are of the camera {cameras}, not of {profile.name}; choose the camera with --instrument"
    )


def chosen_exposures(exposures: Sequence[RawExposure], names: Sequence[str]) -> list[RawExposure]:
    """Return the named exposures, or all without names; raise `BadRequest` if one of the names does not exist."""
    absent = sorted(set(names) - {one.exposure for one in exposures})
    if absent:
        have = ", ".join(one.exposure for one in exposures)
        night = exposures[0].night if exposures else ""
        raise BadRequest(f"the night {night} has no exposure {', '.join(absent)}; it has {have}")
    return [one for one in exposures if not names or one.exposure in names]


def exposure_at(settings: Settings, profile: Profile, night: str, names: Sequence[str], url: str) -> RawExposure:
    """Return the exposure whose raw data are in a folder outside the archive.

    Parameters
    ----------
    names
        The name of the exposure; exactly one.
    url
        URL of the folder, under one of the prefixes in the setting ``raw_url_prefixes``.

    Raises
    ------
    BadRequest
        The number of names is not one, or the settings do not allow the folder.
    UnreadableInput
        The folder has no readable raw file.
    """
    from gozen.frames.take_in import exposure_outside

    date_of(night)
    if len(names) != 1:
        raise BadRequest(f"--raw-url {url} is the folder of one exposure; name exactly one exposure")
    return replace(exposure_outside(open_outside(url, settings), night, names[0], profile), root=url)


def check_sensors(sensors: Sequence[str], profile: Profile) -> None:
    """Raise `BadRequest` if the camera lacks one of the sensors."""
    known = [one.id for one in profile.sensors]
    unknown = [name for name in sensors if name not in known]
    if unknown:
        raise BadRequest(f"the profile has no sensor {', '.join(unknown)}; it has {', '.join(known)}")


def part_of(sensors: Sequence[str], profile: Profile, part: int, size: int) -> list[str]:
    """Return one group of sensors.

    Parameters
    ----------
    sensors
        Sensors to divide into groups; empty for all of the camera.
    part
        Number of the group, from 0.
    size
        Number of sensors in each group.

    Raises
    ------
    BadRequest
        There is no group of this number.
    """
    divided = sensors or [one.id for one in profile.sensors]
    chosen = list(divided[part * size : (part + 1) * size])
    if not chosen:
        last = (len(divided) - 1) // size
        raise BadRequest(
            f"--part {part}: {len(divided)} sensors in groups of {size} have no such group; give 0 to {last}"
        )
    return chosen
