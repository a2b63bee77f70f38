"""Which night, exposures and sensors a command works on."""

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
    """Return the night that was named, or the only one that the archive has raw data of.

    Raises
    ------
    BadRequest
        There is none, or more than one.
    """
    if named is not None:
        return named
    nights = sorted({key.split("/")[1] for key in store.list("raw")})
    if len(nights) == 1:
        return nights[0]
    if not nights:
        raise BadRequest(f"{store.url} has no raw data; name files with --raw, or make some with `gozen simulate`")
    raise BadRequest(f"{store.url} has raw data of {len(nights)} nights: choose one with --night: {', '.join(nights)}")


def common_night(exposures: Sequence[RawExposure]) -> str | None:
    """Return the night of exposures, None without exposures; `BadRequest` when they are of more than one."""
    nights = sorted({one.night for one in exposures})
    if len(nights) > 1:
        raise BadRequest(f"the raw files are of {len(nights)} nights; choose one with --night: {nights}")
    return nights[0] if nights else None


def exposures_of_night(
    store: Store,
    profile: Profile,
    night: str,
    names: Sequence[str] | None = None,
    *,
    left_out: LeftOut = ignore,
) -> list[RawExposure]:
    """Return a night's exposures of one camera; those that came without a record get one now.

    Parameters
    ----------
    names
        Those that matter: where all of them have records, the rest of the night is not read.
    left_out
        Receives the reasons why files get no record.

    Raises
    ------
    BadRequest
        The night is no date, or the archive has no raw data of this night and camera.
    """
    from gozen.frames.take_in import record_missing  # astropy loads only where headers are read

    date_of(night)
    records = [read_record(store, night, name) for name in names or ()]
    known = [one for one in records if one is not None]
    if records and len(known) == len(records):
        return known
    left_out(record_missing(store, night, profile))
    found = raw_exposures(store, night)
    if not found:
        raise BadRequest(f"{store.url} has no raw data of the night {night}; `gozen archive info` says what it has")
    own = [one for one in found if one.setup is None or one.setup.camera == profile.name]
    if not own:
        others = ", ".join(sorted({one.setup.camera for one in found if one.setup}))
        raise BadRequest(f"the raw data of the night {night} are of {others}, not of {profile.name}; see --instrument")
    return own


def chosen_exposures(exposures: Sequence[RawExposure], names: Sequence[str]) -> list[RawExposure]:
    """Return those exposures that are named, all without names; `BadRequest` when there is none of them."""
    chosen = [one for one in exposures if not names or one.exposure in names]
    if names and not chosen:
        raise BadRequest(f"no exposure {', '.join(names)}; there are {', '.join(one.exposure for one in exposures)}")
    return chosen


def exposure_at(settings: Settings, profile: Profile, night: str, names: Sequence[str], url: str) -> RawExposure:
    """Return the one exposure whose raw data lie in a folder outside the archive.

    Parameters
    ----------
    names
        The name of the exposure, and no other.
    url
        The folder; it must be under one of the setting ``raw_url_prefixes``.

    Raises
    ------
    BadRequest
        Not one exposure is named, or the settings do not allow the folder.
    UnreadableInput
        The folder has no raw file that can be read.
    """
    from gozen.frames.take_in import exposure_outside

    date_of(night)
    if len(names) != 1:
        raise BadRequest(f"--raw-url {url} is the folder of one exposure; name it, and no other")
    return replace(exposure_outside(open_outside(url, settings), night, names[0], profile), root=url)


def check_sensors(sensors: Sequence[str], profile: Profile) -> None:
    """Raise `BadRequest` when the camera lacks one of the sensors."""
    known = [one.id for one in profile.sensors]
    unknown = [name for name in sensors if name not in known]
    if unknown:
        raise BadRequest(f"the profile has no sensor {', '.join(unknown)}; it has {', '.join(known)}")


def part_of(sensors: Sequence[str], profile: Profile, part: int, size: int) -> list[str]:
    """Return one group of sensors.

    Parameters
    ----------
    sensors
        Those to divide into groups; empty for all of the camera.
    part
        Number of the group, from 0.
    size
        Sensors in a group.

    Raises
    ------
    BadRequest
        There are not so many groups.
    """
    divided = sensors or [one.id for one in profile.sensors]
    chosen = list(divided[part * size : (part + 1) * size])
    if not chosen:
        raise BadRequest(f"--part {part}: {len(divided)} sensors in groups of {size} have no such group")
    return chosen
