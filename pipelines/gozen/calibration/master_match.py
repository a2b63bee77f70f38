"""Decide whether a master matches frames: camera, gain, filter, exposure time, window. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from gozen.archive.keys import Calibration
from gozen.calibration.calibrate_frame import Image
from gozen.errors import UnreadableInput
from gozen.frames.exposure_grouping import same_time
from gozen.instrument.profile import Profile, section_slices
from gozen.instrument.read_header import RawHeader

Area = tuple[slice, slice]


@dataclass(frozen=True)
class CalibrationSetup:
    """Settings of the camera on which the calibration depends; empty or None if they are not known.

    Parameters
    ----------
    exposure_s
        Net exposure time of one frame, seconds.
    binning, window
        As in `gozen.instrument.read_header.RawHeader`.
    """

    gain: str = ""
    filter: str = ""
    exposure_s: float | None = None
    binning: str = "1x1"
    window: str = ""

    @classmethod
    def of_header(cls, header: RawHeader) -> Self:
        """Return the camera settings of a raw frame, on which its calibration depends, from its header."""
        return cls(header.gain, header.filter.strip(), header.exposure_s, header.binning, header.window)

    @classmethod
    def of_master(cls, words: Mapping[str, Any]) -> Self:
        """Return the setup of a master's frames, from its header keywords; an old master may lack some."""

        def text(word: str) -> str:
            value = words.get(word)
            return value.strip() if isinstance(value, str) else ""

        time = words.get("EXPTIME1")
        return cls(
            text("GAINMODE"),
            text("FILTER"),
            float(time) if isinstance(time, int | float) else None,
            text("BINNING"),
            text("WINDOW"),
        )

    def as_cards(self) -> list[tuple[str, str | int | float, str]]:
        """Return the header cards from which `of_master` reads the setup."""
        cards: list[tuple[str, str | int | float, str]] = [
            ("FILTER", self.filter, "filter"),
            ("GAINMODE", self.gain, "amplifier setting"),
            ("BINNING", self.binning, "pixels joined along x and y"),
            ("WINDOW", self.window, "part of the sensor; empty for all"),
        ]
        return cards if self.exposure_s is None else [*cards, ("EXPTIME1", self.exposure_s, "[s] of one frame")]


@dataclass(frozen=True)
class MasterFacts:
    """Facts from the header of a stored master.

    Parameters
    ----------
    camera
        Name of the instrument profile; empty if an old archive does not state it.
    mjd
        Start of the master's first frame, MJD (UTC).
    """

    key: str
    camera: str
    setup: CalibrationSetup
    mjd: float


def differences(kind: Calibration, master: MasterFacts, wanted: CalibrationSetup, profile: Profile) -> set[str]:
    """Return the properties in which a master does not match frames; empty if it matches.

    Camera, gain, binning and window are compared, for a flat also the filter, for a dark also the exposure time. A
    property that an old master does not state counts as equal, except the filter.
    """
    own = master.setup
    found = set()
    if master.camera and master.camera != profile.name:
        found.add("camera")
    if own.gain and own.gain.casefold() != wanted.gain.casefold():
        found.add("gain")
    if own.binning and own.binning != wanted.binning:
        found.add("binning")
    if not _contains(own.window, wanted.window, profile):
        found.add("window")
    if kind == "flat" and own.filter != wanted.filter:
        found.add("filter")
    if kind == "dark" and None not in (own.exposure_s, wanted.exposure_s):
        found |= set() if same_time(own.exposure_s or 0.0, wanted.exposure_s or 0.0) else {"exposure time"}
    return found


def nearest_in_time(darks: Iterable[MasterFacts], exposure_s: float) -> MasterFacts | None:
    """Return the dark whose exposure time is most similar (by the ratio of the times), or None without darks.

    If several darks have the same ratio (within 1 %), the latest is returned.
    """

    def ratio(dark: MasterFacts) -> float:
        own = dark.setup.exposure_s or 0.0
        return abs(math.log(own / exposure_s)) if own > 0 and exposure_s > 0 else math.inf

    return min(darks, key=lambda dark: (round(ratio(dark), 2), -dark.mjd, dark.key), default=None)


def described(kind: Calibration, setup: CalibrationSetup) -> str:
    """Return the properties that a master of this kind must fit, as text for messages."""
    words = [f"gain {setup.gain!r}" if setup.gain else "unknown gain"]
    if kind == "flat":
        words.insert(0, f"filter {setup.filter!r}" if setup.filter else "no stated filter")
    if kind == "dark" and setup.exposure_s is not None:
        words.insert(0, f"{setup.exposure_s:g} s")
    return ", ".join([*words, f"binning {setup.binning}", f"window {setup.window}" if setup.window else "full frame"])


def master_shape(setup: CalibrationSetup, profile: Profile) -> tuple[int, int] | None:
    """Return rows and columns of a full-frame master with the profile's binning; None for any other master."""
    return None if setup.window or setup.binning not in ("", profile.binning) else profile.active_shape


def cut_out(image: Image, master: MasterFacts, wanted: CalibrationSetup, profile: Profile) -> Image:
    """Return the part of a master's image that covers the window of frames.

    Raises
    ------
    UnreadableInput
        The master's image is smaller than its header states.
    """
    own, part = (_seen(window, wanted.binning, profile) for window in (master.setup.window, wanted.window))
    if own == part:
        return image
    rows, columns = (
        slice((p.start - o.start) // step, (p.start - o.start) // step + (p.stop - p.start) // step)
        for o, p, step in zip(own, part, _steps(wanted.binning), strict=True)
    )
    if rows.stop > image.shape[0] or columns.stop > image.shape[1]:
        raise UnreadableInput(
            f"{master.key} has shape {image.shape}, which is too small for the window {wanted.window}; make the "
            "master again"
        )
    return image[rows, columns]


def _contains(window: str, other: str, profile: Profile) -> bool:
    pairs = zip(_seen(window, "1x1", profile), _seen(other, "1x1", profile), strict=True)
    return all(large.start <= small.start and small.stop <= large.stop for large, small in pairs)


def _seen(window: str, binning: str, profile: Profile) -> Area:
    """Return the rows and columns of a window that are in the active area, in unbinned pixels; may be empty.

    A binned pixel counts only if it is completely in the active area.
    """
    described = zip(section_slices(profile.active), _steps(profile.binning), strict=True)
    active = [slice(one.start * step, one.stop * step) for one, step in described]
    inside = section_slices(window) if window else (slice(0, active[0].stop), slice(0, active[1].stop))
    rows, columns = (_joined(one, part, step) for one, part, step in zip(active, inside, _steps(binning), strict=True))
    return rows, columns


def _joined(active: slice, window: slice, step: int) -> slice:
    first = window.start + max(math.ceil((active.start - window.start) / step), 0) * step
    count = max((min(active.stop, window.stop) - first) // step, 0)
    return slice(first, first + count * step)


def _steps(binning: str) -> tuple[int, int]:
    """Return the binning factors of rows and of columns, from text such as ``2x1`` (columns x rows)."""
    along_x, along_y = binning.split("x")
    return int(along_y), int(along_x)
