"""The model of an instrument profile, and how one is found and loaded. Reading a header by it is in `header`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from gozen.errors import UnreadableInput

_LARGEST_SENSOR = 32767
_TIME_KINDS = ("utc", "local", "jd", "mjd", "unix")
_SECTION = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]")

FOLDER = "GOZEN_PROFILES"
"""Environment variable that names a folder of further profiles, each under its name with ``.yaml``."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{value!r} is no IANA time zone such as Asia/Tokyo") from error
    return value


def section_slices(section: str) -> tuple[slice, slice]:
    """Return the (row, column) slices of a FITS section ``[x1:x2,y1:y2]``, whose ends are 1-based and inclusive."""
    found = _SECTION.fullmatch(section.replace(" ", ""))
    if not found:
        raise ValueError(f"{section!r} is no FITS section such as [1:2000,1:1128]")
    x1, x2, y1, y2 = (int(text) for text in found.groups())
    if not (1 <= x1 <= x2 and 1 <= y1 <= y2):
        raise ValueError(f"the FITS section {section!r} is empty or starts before pixel 1")
    return slice(y1 - 1, y2), slice(x1 - 1, x2)


def _apertures(value: Any) -> Any:
    if value == "auto":
        return value
    given = value if isinstance(value, list | tuple) else ()
    whole = all(type(one) is int and LEAST_DIAMETER_PX <= one <= MOST_DIAMETER_PX for one in given)
    if not given or not whole or len(set(given)) != len(given):
        raise ValueError(
            f"write auto, or different whole numbers of pixels from {LEAST_DIAMETER_PX} to {MOST_DIAMETER_PX}, "
            "the calibrated aperture first, such as [21, 10]"
        )
    return tuple(given)


_upper_case = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)
TimeScale = Annotated[Literal["UTC", "TAI", "TT", "TDB", "GPS"], _upper_case]
HeaderWord = Annotated[str, AfterValidator(lambda text: text.strip().upper())]
Section = Annotated[str, AfterValidator(lambda text: (section_slices(text), text)[1])]
LEAST_DIAMETER_PX, MOST_DIAMETER_PX = 2, 101
Apertures = Annotated[tuple[int, ...] | Literal["auto"], PlainValidator(_apertures)]
"""Diameters of apertures, pixels, the calibrated one first; or ``auto``, one chosen by the seeing."""


class Site(_Part):
    """Where the camera stands; night, twilight, airmass and barycentric times need it."""

    name: str
    longitude_deg: float = Field(ge=-180, le=360, description="East positive")
    latitude_deg: float = Field(ge=-90, le=90)
    height_m: float
    time_zone: Annotated[str, AfterValidator(_zone)]

    @property
    def geocentric_m(self) -> tuple[float, float, float]:
        """Cartesian coordinates on the WGS 84 ellipsoid (NIMA TR8350.2), metres."""
        radius, flattening = 6_378_137.0, 1 / 298.257223563
        longitude, latitude = math.radians(self.longitude_deg), math.radians(self.latitude_deg)
        square = flattening * (2 - flattening)
        normal = radius / math.sqrt(1 - square * math.sin(latitude) ** 2)
        across = (normal + self.height_m) * math.cos(latitude)
        up = (normal * (1 - square) + self.height_m) * math.sin(latitude)
        return across * math.cos(longitude), across * math.sin(longitude), up


def _sensor_number(value: str) -> str:
    if not (value.isdigit() and value.isascii() and int(value) <= _LARGEST_SENSOR):
        raise ValueError(f"a sensor's id is a number up to {_LARGEST_SENSOR}, such as 121: tables keep it as one")
    return value


def _with_groups(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from error
    if not groups:
        raise ValueError(f"{value!r} has no group; the groups, joined, are the sensor's id")
    return value


SensorNumber = Annotated[str, AfterValidator(_sensor_number)]


class Sensor(_Part):
    """One sensor and its place in the focal plane."""

    id: SensorNumber
    x_arcsec: float = Field(0.0, description="Offset of its centre on the sky, east positive")
    y_arcsec: float = Field(0.0, description="Offset of its centre on the sky, north positive")
    saturation_adu: float | None = Field(None, gt=0, description="Where it differs from the gain's")


class Gain(_Part):
    """One amplifier setting."""

    e_per_adu: float = Field(gt=0, description="Inverse gain, electrons per ADU")
    read_noise_e: float = Field(ge=0, description="Read noise, electrons")
    saturation_adu: float = Field(gt=0, description="Raw value at which a pixel stops being linear")


class WordRule(_Part):
    """How one quantity is read from a header: a word, several that are joined, or a constant."""

    word: HeaderWord | None = None
    words: tuple[HeaderWord, ...] = ()
    value: str | float | int | None = None
    kind: Literal["text", "number", "integer", "hours", "degrees", "utc", "local", "jd", "mjd", "unix"] = "text"
    scale: float = 1.0
    values: Mapping[str, str] = Field(default_factory=dict, description="Other spellings of a value")
    optional: bool = False
    timesys: TimeScale | None = Field(None, description="Time scale of the word, where the header does not say it")
    moment: Literal["start", "middle", "end"] = Field("start", description="Which of the exposure a time is")

    @model_validator(mode="after")
    def _time_is_said_of_times(self) -> Self:
        if self.timesys is not None and self.kind not in ("utc", "jd", "mjd"):
            raise ValueError(f"timesys is for kind: utc, jd and mjd; a time of kind {self.kind} has none to choose")
        return self

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum((self.word is not None, bool(self.words), self.value is not None)) != 1:
            raise ValueError("give exactly one of `word`, `words` and `value`")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The words that are read."""
        return self.words or ((self.word,) if self.word else ())


class HeaderWords(_Part):
    """The rule for each quantity that a raw file's header gives."""

    object: WordRule
    data_type: WordRule
    utc_start: WordRule = Field(description="When the first pixel of the (first) frame starts")
    exposure_s: WordRule = Field(description="Net exposure of one frame")
    frame_time_s: WordRule | None = Field(None, description="From frame to frame, in a cube")
    row_time_s: WordRule | None = Field(None, description="From row to row, for a rolling shutter")
    utc_sequence: WordRule | None = Field(None, description="When the sequence starts; must precede utc_start")
    ra: WordRule | None = None
    dec: WordRule | None = None
    sensor: WordRule = WordRule(value="1")
    exposure_id: WordRule | None = None
    frame_id: WordRule | None = None
    gain: WordRule | None = Field(None, description="Name of the amplifier setting")
    filter: WordRule | None = None
    binning: WordRule | None = Field(None, description="Pixels that were joined: `2`, `2x2`, or two words for x and y")
    window: WordRule | None = Field(None, description="FITS section of the sensor that was read, in its full pixels")
    pipelines: WordRule | None = None
    project: WordRule | None = None
    observer: WordRule | None = None

    @model_validator(mode="after")
    def _times_are_times(self) -> Self:
        for name in type(self).model_fields:
            rule: WordRule | None = getattr(self, name)
            if name in ("utc_start", "utc_sequence") and rule and rule.kind not in _TIME_KINDS:
                raise ValueError(f"{name} is of kind {rule.kind}; a time is one of {', '.join(_TIME_KINDS)}")
            if name != "utc_start" and rule and rule.moment != "start":
                raise ValueError(f"{name} has moment: {rule.moment}; only utc_start may be given by another moment")
        if self.utc_start.optional:
            raise ValueError("utc_start is optional: a frame without a time cannot be reduced; leave `optional` out")
        return self


class Profile(_Part):
    """An instrument profile.

    Areas are FITS sections of the raw image (``[x1:x2,y1:y2]``, 1-based, inclusive), as they stand in headers.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    description: str = ""
    site: Site
    raw: Literal["cube", "frames"] = Field(description="One file per sensor and exposure, or one per frame")
    raw_names: Annotated[str, AfterValidator(_with_groups)] | None = Field(
        None, description="Regular expression of raw files' names without ending; its groups, joined, are the sensor"
    )
    shape: tuple[int, int] = Field(description="Rows and columns of a raw frame")
    active: Section = Field(description="The pixels that see the sky")
    reference: Section | None = Field(None, description="Reference or overscan columns")
    overscan: Literal["row", "frame"] = Field("row", description="One bias level per row, or one per frame")
    pixel_scale_arcsec: float = Field(gt=0)
    pixel_scale_uncertainty: float = Field(0.01, gt=0, lt=1, description="Relative")
    orientation_deg: float = Field(0.0, description="Position angle of the +y axis, north through east")
    mirrored: bool = Field(False, description="False: east is left when north is up")
    pointing_uncertainty_arcsec: float = Field(120.0, gt=0, description="Of the header's coordinates")
    gains: Mapping[str, Gain] = Field(min_length=1)
    default_gain: str
    masters: tuple[Literal["dark", "bias", "flat"], ...] = Field(
        ("dark", "flat"), description="Empty: there are no calibration frames, and pixels are measured as they are"
    )
    dark_mismatch: Literal["scaled", "nearest", "refused"] | None = Field(
        None, description="Where no dark has the frames' exposure time; by default the sky is refused, flats are not"
    )
    aperture_diameters_px: Apertures = Field(
        "auto", description="Of the circles that stars are measured in, the calibrated one first; or by the seeing"
    )
    stack_skips_frames: int = Field(0, ge=0, description="First frames that are measured but left out of the stack")
    default_pipelines: tuple[Literal["wcs", "stack", "neo", "cube"], ...] = ("wcs", "stack")
    sensors: tuple[Sensor, ...] = Field(min_length=1)
    header: HeaderWords

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rows, columns = self.shape
        for name in ("active", "reference"):
            section = getattr(self, name)
            if section and any(s.stop > n for s, n in zip(section_slices(section), (rows, columns), strict=True)):
                raise ValueError(f"{name} {section} lies outside the raw frame of {columns} columns and {rows} rows")
        if self.default_gain not in self.gains:
            raise ValueError(f"default_gain {self.default_gain!r} is not one of {', '.join(self.gains)}")
        if len({sensor.id for sensor in self.sensors}) != len(self.sensors):
            raise ValueError("two sensors have the same id")
        return self

    @model_validator(mode="after")
    def _can_scale(self) -> Self:
        if self.dark_mismatch == "scaled" and not {"bias", "dark"} <= set(self.masters):
            raise ValueError("dark_mismatch: scaled needs bias and dark under `masters`")
        return self

    @cached_property
    def active_shape(self) -> tuple[int, int]:
        """Rows and columns of the pixels that see the sky."""
        rows, columns = section_slices(self.active)
        return rows.stop - rows.start, columns.stop - columns.start

    def sensor_of_name(self, frame_id: str) -> str | None:
        """Return the sensor that a raw file's name (without ending) tells; None where it tells none of ours."""
        if self.raw_names is None:
            return self.sensors[0].id if len(self.sensors) == 1 else None
        found = re.fullmatch(self.raw_names, frame_id)
        sensor = self.sensor("".join(found.groups(default=""))) if found else None
        return sensor.id if sensor else None

    def sensor(self, sensor_id: str) -> Sensor | None:
        """Return the sensor of this id, or None."""
        return next((sensor for sensor in self.sensors if sensor.id == sensor_id), None)


def shipped_profiles() -> list[str]:
    """Return the names of the profiles that come with Gozen."""
    folder = resources.files("gozen.instrument") / "profiles"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_profile(name: str) -> Profile:
    """Load a profile that ships, by name, or any other, by path.

    Raises
    ------
    UnreadableInput
        There is no such profile, or it contradicts itself; the message names the entry, its value and what is allowed.
    """
    folder = os.environ.get(FOLDER)
    if folder and (Path(folder) / f"{name}.yaml").is_file():
        name = str(Path(folder) / f"{name}.yaml")
    if name in shipped_profiles():
        text = (resources.files("gozen.instrument") / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
        return parse_profile(text, name)
    try:
        return parse_profile(Path(name).read_text(encoding="utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(shipped_profiles())
        raise UnreadableInput(
            f"cannot read the instrument profile {name!r}: {error}; give the path of a profile, or one of: {known}"
        ) from error


def parse_profile(text: str, source: str) -> Profile:
    """Make a profile from YAML text; ``source`` stands in the messages."""
    try:
        content: Any = yaml.safe_load(text)
        return Profile.model_validate(content)
    except yaml.YAMLError as error:
        raise UnreadableInput(f"the instrument profile {source} is not YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'profile'}: {problem['msg']} ({str(problem['input'])[:60]!r})"
            for problem in error.errors()
        )
        raise UnreadableInput(f"the instrument profile {source} is not valid: {problems}") from error
