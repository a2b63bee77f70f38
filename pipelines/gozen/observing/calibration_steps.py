"""Which calibration exposures of a recipe may serve a science exposure, before the frames exist. No I/O.

The rules are those of `calibration.master_match` and `master_search`, which go by the headers afterwards: what is not
said yet counts as fitting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gozen.frames.exposure_grouping import same_time
from gozen.instrument.profile import Profile
from gozen.resources.recipe_steps import DataType


@dataclass(frozen=True)
class Ordered:
    """How an exposure is to be taken.

    Parameters
    ----------
    sensors
        Empty for all.
    gain, exposure_s
        None where nobody says; the second is of one frame, seconds.
    """

    data_type: DataType
    sensors: Sequence[str] = ()
    gain: str | None = None
    exposure_s: float | None = None


def kinds_for(data_type: DataType, profile: Profile) -> tuple[DataType, ...]:
    """Return which calibration exposures the masters are made of that a profile applies to frames."""
    darks: tuple[DataType, ...] = ("DARK",) if {"dark", "bias"} & set(profile.masters) else ()
    if data_type == "OBJECT":
        return (*darks, "FLAT") if "flat" in profile.masters else darks
    return darks if data_type == "FLAT" else ()


def may_serve(calibration: Ordered, wanted: Ordered, profile: Profile) -> bool:
    """Tell whether a master of a calibration exposure may be what an exposure is calibrated with."""
    if calibration.data_type not in kinds_for(wanted.data_type, profile):
        return False
    if calibration.sensors and wanted.sensors and not set(calibration.sensors) & set(wanted.sensors):
        return False
    gains = {one.casefold() for one in (calibration.gain, wanted.gain) if one is not None}
    if len(gains) > 1:
        return False
    return calibration.data_type == "FLAT" or _time_fits(calibration, wanted, profile)


def _time_fits(dark: Ordered, wanted: Ordered, profile: Profile) -> bool:
    """Tell whether a dark has the exposure time of the frames, or another one serves as well."""
    if "dark" not in profile.masters or "bias" in profile.masters:
        return True  # it may become a bias, which has no exposure time
    rule = profile.dark_mismatch or ("nearest" if wanted.data_type == "FLAT" else "refused")
    if rule != "refused" or dark.exposure_s is None or wanted.exposure_s is None:
        return True
    return same_time(dark.exposure_s, wanted.exposure_s)
