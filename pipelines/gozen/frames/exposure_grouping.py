"""Group raw files into exposures, and name the exposures, by the files' headers. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gozen.archive.raw.exposure_record import RawExposure, Setup, Taken
from gozen.errors import CorruptFile
from gozen.instrument.profile import Profile
from gozen.resources.sky_circle import separation_deg

PAUSE_S = 1800.0
"""An exposure ends after half an hour without a frame, seconds."""
PAUSE_FRAMES = 10
"""Number of exposure times without a frame that end an exposure, if they are longer than `PAUSE_S`."""
_DAY_S = 86400.0
_SAME_TIME = 0.01
_FIELD_SHARE = 0.1
_SLUG_LENGTH = 48
_COMPARED = ("filter", "gain", "binning", "window")
"""Setup fields that must agree in files of one exposure number, in addition to target, kind of data, exposure time."""


@dataclass(frozen=True)
class FrameFacts:
    """The properties of a raw file that decide to which exposure it belongs."""

    object: str
    data_type: str
    sensor: str
    setup: Setup
    taken: Taken


def tolerance_deg(profile: Profile) -> float:
    """Return the largest separation of two pointings of one exposure, degrees."""
    field_arcsec = min(profile.active_shape) * profile.pixel_scale_arcsec
    return max(_FIELD_SHARE * field_arcsec, 2 * profile.pointing_uncertainty_arcsec) / 3600


def slug(text: str) -> str:
    """Return a text as a name for keys: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_SLUG_LENGTH].strip("-") or "unnamed"


def number_name(exposure_id: str | None) -> str | None:
    """Return the name of an exposure with a number (eight digits); None without a number or if it is not valid."""
    if exposure_id is None or not (exposure_id.isascii() and exposure_id.isdigit()):
        return None
    return f"{int(exposure_id):08d}"


@dataclass
class _Exposure:
    """An exposure to which files are being assigned."""

    name: str
    object: str
    data_type: str
    setup: Setup
    begin: float
    end: float
    cube_s: float | None
    held: bool = False
    first: dict[str, Taken] = field(default_factory=dict)

    @property
    def pause_days(self) -> float:
        """Longest pause before a further file of the exposure, days; after a longer pause a new exposure begins."""
        if self.cube_s is not None:
            # Cubes of one exposure start together.
            return self.cube_s / 2 / _DAY_S
        return max(PAUSE_S, PAUSE_FRAMES * self.setup.exposure_s) / _DAY_S

    def add(self, frame: FrameFacts) -> None:
        taken = frame.taken
        self.begin = min(self.begin, taken.mjd)
        if self.cube_s is None:
            self.end = max(self.end, taken.mjd)
        known = self.first.get(frame.sensor)
        # Later pointings are compared with this one, so a frame that has a pointing is preferred.
        if known is None or (taken.ra is None, taken.mjd) < (known.ra is None, known.mjd):
            self.first[frame.sensor] = taken


class Exposures:
    """The exposures of one night, to which files are assigned; files must come in order of time.

    Parameters
    ----------
    tolerance
        Largest separation of two pointings of one exposure, degrees.
    known
        Exposures in the archive, of any camera; they keep their names and files.
    closed
        Returns whether a sensor of an archived exposure is finished, so that no file is added to it.
    """

    def __init__(
        self,
        tolerance: float,
        known: Iterable[RawExposure],
        closed: Callable[[str, str], bool],
    ) -> None:
        self._tolerance, self._closed = tolerance, closed
        self._names: set[str] = set()
        self._unknown: set[str] = set()
        self._next: dict[str, int] = {}
        self._open: dict[tuple[str, ...], list[_Exposure]] = {}
        self._numbered: dict[tuple[str, str], _Exposure] = {}
        for one in sorted(known, key=lambda raw: (raw.mjd, raw.exposure)):
            self._add_known(one)

    def place(self, frame: FrameFacts, source: str) -> str:
        """Return the name of the exposure to which a file belongs; create the exposure if it does not exist.

        Parameters
        ----------
        source
            The file's name, for messages.

        Raises
        ------
        CorruptFile
            The file contradicts the other files of its exposure number.
        """
        if frame.setup.exposure_id is not None:
            exposure = self._of_number(frame, frame.setup.exposure_id, source)
        else:
            exposure = self._of_series(frame)
        exposure.add(frame)
        return exposure.name

    def _of_number(self, frame: FrameFacts, number: str, source: str) -> _Exposure:
        known = self._numbered.get(_number_key(frame.setup.camera, number))
        if known is None:
            return self._begin(frame)
        problem = contradiction(frame, known.object, known.data_type, known.setup)
        if problem:
            raise CorruptFile(
                f"{source}: {problem} as in the other files of exposure number {number}; files with one number form "
                "one exposure, so correct the number or that value in the header; if the camera does not number its "
                "exposures, remove `exposure_id` from the profile"
            )
        if frame.taken.cube_s is not None and frame.sensor in known.first:
            raise CorruptFile(
                f"{source}: sensor {frame.sensor} has another cube of exposure number {number}, but an exposure has "
                "one cube of each sensor; give this file another exposure number"
            )
        return known

    def _of_series(self, frame: FrameFacts) -> _Exposure:
        mjd, series = frame.taken.mjd, self._open.setdefault(_series(frame), [])
        series[:] = [one for one in series if one.end + one.pause_days >= mjd]
        fitting = [one for one in series if self._fits(frame, one)]
        return min(fitting, key=lambda one: self._rank(frame, one)) if fitting else self._begin(frame)

    def _fits(self, frame: FrameFacts, one: _Exposure) -> bool:
        if one.begin - one.pause_days > frame.taken.mjd:
            return False
        if (frame.taken.cube_s is None) != (one.cube_s is None):
            return False
        if frame.taken.cube_s is not None and frame.sensor in one.first:
            return False
        if frame.data_type != "FLAT" and not same_time(frame.setup.exposure_s, one.setup.exposure_s):
            return False
        apart = _apart(frame, one)
        if apart is not None and apart > self._tolerance:
            return False
        return not (one.held and self._closed(one.name, frame.sensor))

    @staticmethod
    def _rank(frame: FrameFacts, one: _Exposure) -> tuple[bool, float, float]:
        # The nearest pointing first: this separates frames of two adjacent fields.
        apart = _apart(frame, one)
        return apart is None, apart or 0.0, -one.end

    def _begin(self, frame: FrameFacts) -> _Exposure:
        mjd = frame.taken.mjd
        base = base_name(frame)
        # A file with an exposure number joins the exposure of that name, even if nothing is known about its files.
        name = base if base in self._unknown and frame.setup.exposure_id is not None else self._free_name(base)
        fresh = _Exposure(name, frame.object, frame.data_type, frame.setup, mjd, mjd, frame.taken.cube_s)
        self._register(fresh, frame)
        return fresh

    def _register(self, exposure: _Exposure, frame: FrameFacts) -> None:
        self._names.add(exposure.name)
        if frame.setup.exposure_id is not None:
            self._numbered[_number_key(frame.setup.camera, frame.setup.exposure_id)] = exposure
        else:
            self._open.setdefault(_series(frame), []).append(exposure)

    def _add_known(self, raw: RawExposure) -> None:
        if raw.forgotten and not raw.sensors:
            return
        self._names.add(raw.exposure)
        sensors = {key: sensor for sensor, files in raw.sensors.items() for key in files}
        files = sorted((taken.mjd, key) for key, taken in raw.taken.items() if key in sensors)
        if raw.setup is None or not files:
            self._unknown.add(raw.exposure)
            return
        frames = [FrameFacts(raw.object, raw.data_type, sensors[key], raw.setup, raw.taken[key]) for _, key in files]
        begin, length = files[0][0], frames[0].taken.cube_s
        known = _Exposure(raw.exposure, raw.object, raw.data_type, raw.setup, begin, begin, length, held=True)
        for frame in frames:
            known.add(frame)
        self._register(known, frames[0])

    def _free_name(self, base: str) -> str:
        number = self._next.get(base, 1)
        while (name := base if number == 1 else f"{base}-{number}") in self._names:
            number += 1
        self._next[base] = number + 1
        return name


def contradiction(frame: FrameFacts, object_: str, data_type: str, setup: Setup) -> str:
    """Return a message about the first quantity in which a file differs from the others of its exposure number.

    The message is empty if none differs.

    Parameters
    ----------
    object_, data_type, setup
        Values of the other files.
    """
    pairs = [("object", frame.object, object_), ("data_type", frame.data_type, data_type)]
    pairs += [(name, getattr(frame.setup, name), getattr(setup, name)) for name in _COMPARED]
    for name, its, others in pairs:
        if its != others:
            return f"{name} is {its!r}, not {others!r}"
    if not same_time(frame.setup.exposure_s, setup.exposure_s):
        return f"exposure_s is {frame.setup.exposure_s:g}, not {setup.exposure_s:g}"
    return ""


def same_time(one: float, other: float) -> bool:
    """Return whether two exposure times are equal to one per cent."""
    return abs(one - other) <= _SAME_TIME * max(abs(one), abs(other))


def _series(frame: FrameFacts) -> tuple[str, ...]:
    """Return the values in which files without a number must agree; pointings and exposure times are not among them."""
    setup, kind = frame.setup, frame.data_type
    settings = (setup.camera, kind, setup.gain, setup.binning, setup.window)
    if kind == "OBJECT":
        return (*settings, setup.filter, frame.object)
    return (*settings, setup.filter) if kind == "FLAT" else settings


def _apart(frame: FrameFacts, one: _Exposure) -> float | None:
    """Return the angle (degrees) between the sensor's first pointing and a file's; None if unknown or not OBJECT."""
    first, taken = one.first.get(frame.sensor), frame.taken
    if frame.data_type != "OBJECT" or first is None or first.ra is None or first.dec is None:
        return None
    if taken.ra is None or taken.dec is None:
        return None
    return separation_deg(first.ra, first.dec, taken.ra, taken.dec)


def _number_key(camera: str, number: str) -> tuple[str, str]:
    return camera, number_name(number) or number


def base_name(frame: FrameFacts) -> str:
    """Return the name of an exposure from its first file: its number; without one its target or calibration type."""
    number = frame.setup.exposure_id
    if number is not None:
        return number_name(number) or slug(number)
    name = slug(frame.object)
    if frame.data_type != "OBJECT":
        kind = frame.data_type.lower()
        return name if kind in name else f"{kind}-{name}"
    # A target whose name looks like an exposure number must not get the name of that exposure.
    return f"object-{name}" if number_name(name) == name else name


def number_of(name: str, base: str) -> int:
    """Return the number of an exposure among those with its base name, from 1; 0 if its name has another form."""
    number = name.removeprefix(base)
    if not name.startswith(base) or (number and not (number[0] == "-" and number[1:].isdecimal())):
        return 0
    return int(number[1:]) if number else 1
