"""Find the masters for an exposure: of each kind the latest earlier match, or a substitute that the profile allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from gozen.archive.keys import Calibration
from gozen.archive.provenance import CalibrationUsed, Fit, MasterMatch
from gozen.archive.stores.open_store import Store
from gozen.calibration.calibrate_frame import Image
from gozen.calibration.master_library import master_facts, read_master
from gozen.calibration.master_match import (
    CalibrationSetup,
    MasterFacts,
    cut_out,
    described,
    differences,
    master_shape,
    nearest_in_time,
)
from gozen.errors import UnreadableInput
from gozen.instrument.profile import Profile

LOOK_BACK_DAYS = 60
_LOOK_AHEAD_DAYS = 7
"""Days after an exposure in which the message about a missing master searches for masters that came too late."""
_MOST_NAMED = 5


@dataclass(frozen=True)
class Master:
    """One calibration master of one sensor.

    Parameters
    ----------
    image
        Image of the master, cut to the window of the frames that use it.
    mjd
        Start of the exposure from which the master was made, MJD (UTC).
    age_days
        Days from `mjd` to the exposure that uses the master.
    used
        Record of its use, for the commit.
    """

    kind: Calibration
    image: Image
    mjd: float
    age_days: float
    used: CalibrationUsed


def find_masters(
    store: Store, profile: Profile, sensor: str, night: str, mjd: float, wanted: CalibrationSetup
) -> dict[Calibration, Master]:
    """Return the masters for frames of the sky: of each kind the latest match before the exposure.

    Parameters
    ----------
    night, mjd
        Night (``YYYYMMDD``) and time (MJD, UTC) of the exposure.
    wanted
        Setup of its frames.

    Raises
    ------
    UnreadableInput
        No master of the last `LOOK_BACK_DAYS` days fits and the profile allows no substitute (the message names the
        wanted setup and the existing masters), or the master cannot be read.
    """
    look = _Look(store, profile, sensor, night, mjd, wanted)
    found = _level(look, profile.dark_mismatch or "refused")
    if "flat" in profile.masters:
        found["flat"] = look.flat()
    return found


def find_level(
    store: Store, profile: Profile, sensor: str, night: str, mjd: float, wanted: CalibrationSetup
) -> dict[Calibration, Master]:
    """Return the dark or bias to subtract from flat frames; parameters and errors are those of `find_masters`.

    If no dark has the exposure time of the flat, a bias is used, or else the dark of the nearest exposure time: flats
    are so bright that the difference is small. `dark_mismatch` of the profile may override this.
    """
    look = _Look(store, profile, sensor, night, mjd, wanted)
    return _level(look, profile.dark_mismatch or "nearest", or_bias="bias" in profile.masters)


def warnings_of(
    used: Mapping[str, CalibrationUsed], wanted: CalibrationSetup, profile: Profile, read: Profile | None = None
) -> list[str]:
    """Return a sentence for each master that does not fit exactly, and for each step that is not applied.

    Parameters
    ----------
    used
        The masters that the frames get.
    wanted
        Setup of the frames.
    read
        Profile of the pixels that were read; None leaves out the warning about the bias level.
    """
    asked = f"masters: [{', '.join(profile.masters)}] in the profile {profile.name}"
    found = []
    if not {"dark", "bias"} & set(profile.masters):
        found.append(f"no dark or bias is subtracted ({asked})")
    if "flat" not in profile.masters:
        found.append(f"pixels are not divided by a flat ({asked})")
    for one in used.values():
        match = one.match
        if match is None or match.fit == "exact":
            continue
        if match.fit == "filter not stated":
            found.append(f"{one.key} does not name its filter; the frames have {wanted.filter!r}")
        else:
            found.append(
                f"{one.key} has an exposure time of {match.exposure_s or 0:g} s, the frames have "
                f"{wanted.exposure_s or 0:g} s: {match.fit}"
            )
    if used and read is not None and not _has_level(used, wanted, profile, read):
        found.append(
            f"{_without_columns(wanted)}, so its bias level is not subtracted, but that of the masters is; read these "
            "columns with each window, or take masters of the same window"
        )
    return found


def check_level(
    used: Mapping[str, CalibrationUsed], wanted: CalibrationSetup, profile: Profile, read: Profile, sensor: str
) -> None:
    """Raise an error if the bias level of frames would not be subtracted.

    Dividing by a flat would then imprint the flat on the bias level. The level is subtracted with the reference
    columns. If the frames were read without these columns, a dark or bias of the same window subtracts the level: its
    own frames were read without the columns too, so the master contains the level.

    Parameters
    ----------
    used
        The masters that the frames get.
    wanted
        Setup of the frames.
    read
        Profile of the pixels that were read.

    Raises
    ------
    UnreadableInput
        Neither reference columns nor a dark or bias contain the level.
    """
    if _has_level(used, wanted, profile, read):
        return
    found = ", ".join(one.key for name, one in used.items() if not name.startswith("flat"))
    why = (
        f"{found} does not contain the bias level, because it is made from frames with these columns"
        if found
        else "there is no bias"
    )
    raise UnreadableInput(
        f"sensor {sensor}: {_without_columns(wanted)}, and {why}, so the frames cannot be divided by a "
        "flat: read the reference columns with each window; or take dark or bias exposures of the same window and run "
        "`gozen masters`; or use a profile without `reference` and `flat` for such frames"
    )


def _has_level(used: Mapping[str, CalibrationUsed], wanted: CalibrationSetup, profile: Profile, read: Profile) -> bool:
    """Return whether the bias level is known from reference columns, or contained in each dark and bias used."""
    if profile.reference is None or read.reference is not None:
        return True
    own = [one.match for name, one in used.items() if not name.startswith("flat")]
    return bool(own) and all(match is not None and match.window == wanted.window for match in own)


def _without_columns(wanted: CalibrationSetup) -> str:
    return f"the window {wanted.window or 'of all the sensor'} was read without the reference columns"


def _level(look: _Look, rule: str, *, or_bias: bool = False) -> dict[Calibration, Master]:
    if "dark" not in look.profile.masters:
        return {"bias": look.bias()} if "bias" in look.profile.masters else {}
    dark = look.last("dark")
    if dark is not None:
        return {"dark": look.load("dark", dark, "exact")}
    other = nearest_in_time(look.but_for("dark", "exposure time"), look.wanted.exposure_s or 0.0)
    if other is not None and rule == "scaled":
        return _scaled(look, other)
    bias = look.last("bias") if or_bias else None
    if bias is not None:
        return {"bias": look.load("bias", bias, "exact")}
    if other is not None and rule == "nearest":
        return {"dark": look.load("dark", other, "nearest")}
    raise look.missing("dark")


def _scaled(look: _Look, other: MasterFacts) -> dict[Calibration, Master]:
    """Return bias and dark, with the dark current scaled to the exposure time of the frames."""
    bias, dark = look.bias(), look.load("dark", other, "scaled")
    factor = (look.wanted.exposure_s or 0.0) / (other.setup.exposure_s or 1.0)
    image = np.asarray(bias.image + np.float32(factor) * (dark.image - bias.image), np.float32)
    return {"bias": bias, "dark": replace(dark, image=image)}


@dataclass
class _Look:
    """One search for masters; `seen` has the masters that did not fit, for the error message."""

    store: Store
    profile: Profile
    sensor: str
    night: str
    mjd: float
    wanted: CalibrationSetup
    seen: dict[Calibration, list[MasterFacts]] = field(default_factory=dict)

    def bias(self) -> Master:
        bias = self.last("bias")
        if bias is None:
            raise self.missing("bias")
        return self.load("bias", bias, "exact")

    def flat(self) -> Master:
        flat = self.last("flat")
        if flat is not None:
            return self.load("flat", flat, "exact")
        unnamed = [one for one in self.but_for("flat", "filter") if not one.setup.filter]
        if not unnamed:
            raise self.missing("flat")
        return self.load("flat", max(unnamed, key=_when), "filter not stated")

    def last(self, kind: Calibration) -> MasterFacts | None:
        """Return the latest fitting master before the exposure, or None; nights are searched backwards."""
        self.seen[kind] = []
        for night in _nights(self.night, -LOOK_BACK_DAYS):
            before = [one for one in self.of_night(kind, night) if one.mjd <= self.mjd]
            fitting = [one for one in before if not differences(kind, one, self.wanted, self.profile)]
            if fitting:
                return max(fitting, key=_when)
            self.seen[kind] += sorted(before, key=_when, reverse=True)
        return None

    def but_for(self, kind: Calibration, what: str) -> list[MasterFacts]:
        """Return the masters before the exposure that differ only in the property `what`."""
        return [one for one in self.seen[kind] if differences(kind, one, self.wanted, self.profile) == {what}]

    def of_night(self, kind: Calibration, night: str) -> Iterator[MasterFacts]:
        for key in self.store.list(f"calib/{kind}/{night}"):
            if key.endswith(f"/{self.sensor}.fits"):
                yield master_facts(self.store, key)

    def load(self, kind: Calibration, master: MasterFacts, fit: Fit) -> Master:
        image, digest = read_master(self.store, master.key, master_shape(master.setup, self.profile))
        own, age = master.setup, self.mjd - master.mjd
        match = MasterMatch(
            fit=fit,
            camera=master.camera,
            gain=own.gain,
            filter=own.filter,
            exposure_s=own.exposure_s,
            binning=own.binning,
            window=own.window,
        )
        used = CalibrationUsed(key=master.key, sha256=digest, age_days=round(age, 6), match=match)
        return Master(kind, cut_out(image, master, self.wanted, self.profile), master.mjd, age, used)

    def missing(self, kind: Calibration) -> UnreadableInput:
        """Return the error for a missing master: it names the wanted setup and the masters that do not fit."""
        late = [
            one
            for night in _nights(self.night, _LOOK_AHEAD_DAYS)
            for one in self.of_night(kind, night)
            if one.mjd > self.mjd
        ]
        there = [self._why_not(kind, one) for one in (*sorted(late, key=_when), *self.seen.get(kind, ()))]
        more = f" and {len(there) - _MOST_NAMED} more" if len(there) > _MOST_NAMED else ""
        rule = (
            (", or set `dark_mismatch` in the profile, which chooses what happens without one")
            if kind == "dark"
            else ""
        )
        return UnreadableInput(
            f"sensor {self.sensor} has no {kind} master of {self.profile.name} for {described(kind, self.wanted)} "
            f"from the {LOOK_BACK_DAYS} days before the exposure of {self.night}; take such {kind} exposures and "
            f"run `gozen masters`{rule}; the masters that do not fit: {'; '.join(there[:_MOST_NAMED]) or 'none'}{more}"
        )

    def _why_not(self, kind: Calibration, one: MasterFacts) -> str:
        own = one.setup
        says = {
            "camera": f"of the camera {one.camera}",
            "gain": f"gain {own.gain!r}",
            "binning": f"binning {own.binning}",
            "window": f"window {own.window}",
            "filter": f"filter {own.filter!r}" if own.filter else "no stated filter",
            "exposure time": f"{own.exposure_s or 0:g} s",
        }
        reasons = [says[what] for what in sorted(differences(kind, one, self.wanted, self.profile))]
        reasons += [f"taken {one.mjd - self.mjd:.2g} d after the exposure"] if one.mjd > self.mjd else []
        return f"{one.key} ({', '.join(reasons)})"


def _when(master: MasterFacts) -> tuple[float, str]:
    return master.mjd, master.key


def _nights(night: str, days: int) -> Iterable[str]:
    """Yield a night and the nights before (`days` < 0) or after it, whether the archive has them or not."""
    first, step = datetime.strptime(night, "%Y%m%d"), 1 if days > 0 else -1
    for number in range(abs(days) + 1):
        yield f"{first + timedelta(days=step * number):%Y%m%d}"
