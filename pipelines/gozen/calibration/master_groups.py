"""Group calibration frames into masters, and name the masters of one exposure. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gozen.archive.keys import Calibration
from gozen.calibration.master_match import CalibrationSetup
from gozen.frames.exposure_grouping import same_time


@dataclass(frozen=True)
class MasterGroup:
    """The frames of one master.

    Parameters
    ----------
    name
        Distinguishes the master from others of its kind in the exposure; empty if it is the only one.
    members
        Indices of the frames, ascending.
    """

    name: str
    members: tuple[int, ...]


def groups_of(kind: Calibration, setups: Sequence[CalibrationSetup]) -> list[MasterGroup]:
    """Group calibration frames of one kind into masters.

    Flats of a group have the same gain, filter, binning and window; their exposure times may differ. Darks and biases
    of a group have the same gain, exposure time, binning and window; their filters may differ. The pointing does not
    matter.
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
    """Group frames that need the same dark: by gain, exposure time, binning and window."""
    return [list(group.members) for group in groups_of("dark", setups)]


def _together(kind: Calibration, one: CalibrationSetup, other: CalibrationSetup) -> bool:
    if (one.gain, one.binning, one.window) != (other.gain, other.binning, other.window):
        return False
    if kind == "flat":
        return one.filter == other.filter
    return same_time(one.exposure_s or 0.0, other.exposure_s or 0.0)


def _names(kind: Calibration, setups: Sequence[CalibrationSetup]) -> list[str]:
    """Name each group by the properties that differ among the groups; add a number if names are still equal."""
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
    # On a file system that ignores case, masters of the filters r and R would be the same file.
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        seen[name.casefold()] = seen.get(name.casefold(), 0) + 1
        names[place] = name if seen[name.casefold()] == 1 else f"{name}_{seen[name.casefold()]}"
    return names


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+]+", "-", text).strip("-.")[:24]
