"""Decide which calibration exposures of a recipe a science exposure may use, before the frames exist. No I/O.

The rules are the same as in `gozen.calibration.master_match` and `master_search`, which use the headers later. A value
that
is not known yet counts as matching.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gozen.frames.exposure_grouping import same_time
from gozen.instrument.profile import Profile
from gozen.resources.recipe_steps import DataType


@dataclass(frozen=True)
class Ordered:
    """The camera setup that is requested for an exposure.

    Parameters
    ----------
    sensors
        Sensors to expose; empty for all.
    gain, exposure_s
        Amplifier setting, and exposure time of one frame in seconds; None if not known.
    """

    data_type: DataType
    sensors: Sequence[str] = ()
    gain: str | None = None
    exposure_s: float | None = None


def kinds_for(data_type: DataType, profile: Profile) -> tuple[DataType, ...]:
    """Return the kinds of calibration exposures that frames of a data type need, according to the profile."""
    darks: tuple[DataType, ...] = ("DARK",) if {"dark", "bias"} & set(profile.masters) else ()
    if data_type == "OBJECT":
        return (*darks, "FLAT") if "flat" in profile.masters else darks
    return darks if data_type == "FLAT" else ()


def may_serve(calibration: Ordered, wanted: Ordered, profile: Profile) -> bool:
    """Return whether an exposure may be calibrated with the master of a calibration exposure."""
    if calibration.data_type not in kinds_for(wanted.data_type, profile):
        return False
    if calibration.sensors and wanted.sensors and not set(calibration.sensors) & set(wanted.sensors):
        return False
    gains = {one.casefold() for one in (calibration.gain, wanted.gain) if one is not None}
    if len(gains) > 1:
        return False
    return calibration.data_type == "FLAT" or _time_fits(calibration, wanted, profile)


def _time_fits(dark: Ordered, wanted: Ordered, profile: Profile) -> bool:
    """Return whether a dark's exposure time matches the frames, or does not have to match."""
    if "dark" not in profile.masters or "bias" in profile.masters:
        return True  # it may be used as a bias, whose exposure time does not matter
    rule = profile.dark_mismatch or ("nearest" if wanted.data_type == "FLAT" else "refused")
    if rule != "refused" or dark.exposure_s is None or wanted.exposure_s is None:
        return True
    return same_time(dark.exposure_s, wanted.exposure_s)
