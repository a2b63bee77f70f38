"""Decide which calibration frames make one master, and how masters of one exposure are named. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gozen.archive.keys import Calibration
from gozen.calibration.master_match import CalibrationSetup
from gozen.frames.exposure_grouping import same_time


@dataclass(frozen=True)
class MasterGroup:
    """Frames of one master.

    Parameters
    ----------
    name
        Tells it from the other masters of its kind in the exposure; empty where it is the only one.
    members
        Numbers of the frames, in the order given.
    """

    name: str
    members: tuple[int, ...]


def groups_of(kind: Calibration, setups: Sequence[CalibrationSetup]) -> list[MasterGroup]:
    """Group calibration frames of one kind.

    Flats belong together by gain, filter, binning and window, whatever their exposure times; darks and biases by gain,
    exposure time, binning and window, whatever the filter wheel stood at. Where the telescope pointed does not matter.
    """
    found: list[list[int]] = []
    for number, setup in enumerate(setups):
        alike = next((group for group in found if _together(kind, setups[group[0]], setup)), None)
        if alike is None:
            found.append([number])
        else:
            alike.append(number)
    names = _names(kind, [setups[group[0]] for group in found])
    return [MasterGroup(name, tuple(group)) for name, group in zip(names, found, strict=True)]


def by_time(setups: Sequence[CalibrationSetup]) -> list[list[int]]:
    """Group frames by exposure time: those that take the same dark."""
    return [list(group.members) for group in groups_of("dark", setups)]


def _together(kind: Calibration, one: CalibrationSetup, other: CalibrationSetup) -> bool:
    if (one.gain, one.binning, one.window) != (other.gain, other.binning, other.window):
        return False
    if kind == "flat":
        return one.filter == other.filter
    return same_time(one.exposure_s or 0.0, other.exposure_s or 0.0)


def _names(kind: Calibration, setups: Sequence[CalibrationSetup]) -> list[str]:
    """Return a name for each group, of what differs among them; a number where that is not enough."""
    if len(setups) == 1:
        return [""]
    columns = [
        [_word(setup.filter) or "nofilter" for setup in setups] if kind == "flat" else [],
        [f"{setup.exposure_s:g}s" for setup in setups] if kind != "flat" else [],
        [_word(setup.gain) for setup in setups],
        [_word(setup.binning) for setup in setups],
        [_word(setup.window) or "full" for setup in setups],
    ]
    telling = [column for column in columns if len(set(column)) > 1]
    names = ["_".join(words) for words in zip(*telling, strict=True)] if telling else ["group"] * len(setups)
    # Filters r and R would be one file on a disk that knows no case.
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        seen[name.casefold()] = seen.get(name.casefold(), 0) + 1
        names[place] = name if seen[name.casefold()] == 1 else f"{name}_{seen[name.casefold()]}"
    return names


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+]+", "-", text).strip("-.")[:24]
