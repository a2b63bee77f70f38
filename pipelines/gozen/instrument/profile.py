"""Define the model of an instrument profile, and load one. Rules for headers are in `header_rules`."""

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

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from gozen.errors import BadRequest, UnreadableInput, problem_of, reason_of
from gozen.instrument.header_rules import HeaderWords, WordPart
from gozen.instrument.profile_contradictions import contradictions
from gozen.resources.pipeline_names import PipelineName
from gozen.resources.yaml_document import parse

_LARGEST_SENSOR = 32767
_SECTION = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]")

FOLDER = "GOZEN_PROFILES"
"""Environment variable that names a folder of further profiles, files ``<name>.yaml``."""


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{value!r} is not an IANA time zone such as Asia/Tokyo") from error
    return value


def section_slices(section: str) -> tuple[slice, slice]:
    """Return the (row, column) slices of a FITS section ``[x1:x2,y1:y2]``, whose ends are 1-based and inclusive."""
    found = _SECTION.fullmatch(section.replace(" ", ""))
    if not found:
        raise ValueError(f"{section!r} is not a FITS section such as [1:2000,1:1128]")
    x1, x2, y1, y2 = (int(text) for text in found.groups())
    if not (1 <= x1 <= x2 and 1 <= y1 <= y2):
        raise ValueError(f"the FITS section {section!r} is empty or starts before pixel 1")
    return slice(y1 - 1, y2), slice(x1 - 1, x2)


def _binning(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d?x[1-9]\d?", text):
        raise ValueError(f"{text!r} is not a binning such as 2x2 (along x and y)")
    return text


def _apertures(value: Any) -> Any:
    if value == "auto":
        return value
    given = value if isinstance(value, list | tuple) else ()
    whole = all(type(one) is int and LEAST_DIAMETER_PX <= one <= MOST_DIAMETER_PX for one in given)
    if not given or not whole or len(set(given)) != len(given):
        raise ValueError(
            f"write auto, or a list of diameters such as [21, 10]: whole pixels from {LEAST_DIAMETER_PX} to "
            f"{MOST_DIAMETER_PX}, each only once; Gozen computes the magnitudes from the first one"
        )
    return tuple(given)


Section = Annotated[str, AfterValidator(lambda text: (section_slices(text), text)[1])]
LEAST_DIAMETER_PX, MOST_DIAMETER_PX = 2, 101
Apertures = Annotated[tuple[int, ...] | Literal["auto"], BeforeValidator(_apertures)]
"""Diameters of apertures, pixels, the calibrated one first; or ``auto``: one that is chosen by the seeing."""


def _decimal(value: Any) -> Any:
    if isinstance(value, str) and ":" in value:
        raise ValueError("write degrees as a decimal number, such as -1.5 for -1:30:00")
    return value


Decimal = Annotated[float, BeforeValidator(_decimal)]


class Site(WordPart):
    """The camera's site, which is needed for night, twilight, airmass and barycentric times."""

    name: str
    longitude_deg: Decimal = Field(ge=-180, le=360, description="East positive")
    latitude_deg: Decimal = Field(ge=-90, le=90)
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
        raise ValueError(
            f"a sensor's id is a whole number up to {_LARGEST_SENSOR}, such as 121, because tables store it as a number"
        )
    return value


def _with_groups(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from error
    if not groups:
        raise ValueError(f"{value!r} has no group; write the part that is the sensor's id in parentheses")
    return value


SensorNumber = Annotated[str, AfterValidator(_sensor_number)]


class Sensor(WordPart):
    """One sensor and its position in the focal plane."""

    id: SensorNumber
    x_arcsec: float = Field(0.0, description="Offset of its centre on the sky, east positive")
    y_arcsec: float = Field(0.0, description="Offset of its centre on the sky, north positive")
    saturation_adu: float | None = Field(None, gt=0, description="Only if it differs from that of the gain")


class Gain(WordPart):
    """Gain, read noise and saturation of the camera at one setting of its amplifier."""

    e_per_adu: float = Field(gt=0, description="Inverse gain, electrons per ADU")
    read_noise_e: float = Field(ge=0, description="Read noise, electrons")
    saturation_adu: float = Field(gt=0, description="Raw value above which a pixel is no longer linear")


class Profile(WordPart):
    """An instrument profile.

    Areas are FITS sections of the raw image (``[x1:x2,y1:y2]``, 1-based, inclusive), as in headers.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    description: str = ""
    site: Site
    raw: Literal["cube", "frames"] = Field(description="One file per sensor and exposure, or one per frame")
    raw_names: Annotated[str, AfterValidator(_with_groups)] | None = Field(
        None, description="Regular expression for names of raw files without ending; its joined groups are the sensor"
    )
    hdu: Annotated[int, Field(ge=0)] | str | None = Field(
        None, description="HDU of the image: number (0: primary) or EXTNAME; default: the first image"
    )
    unsigned: bool | None = Field(
        None, description="Whether 16-bit pixels without BZERO are unsigned; if not set, files that seem so are refused"
    )
    binning: Annotated[str, AfterValidator(_binning)] = Field(
        "1x1", description="Binning (x, y) for which shape, active, reference and pixel scale are given"
    )
    shape: tuple[int, int] = Field(description="Rows and columns of a raw frame")
    active: Section = Field(description="The pixels that see the sky")
    reference: Section | None = Field(None, description="Reference or overscan columns")
    overscan: Literal["row", "frame"] = Field("row", description="Whether each row or each frame has one bias level")
    pixel_scale_arcsec: float = Field(gt=0)
    pixel_scale_uncertainty: float = Field(0.01, gt=0, lt=1, description="Relative uncertainty of the pixel scale")
    orientation_deg: float = Field(0.0, description="Position angle of the +y axis, north through east")
    mirrored: bool = Field(False, description="False: if north is up, east is left")
    pointing_uncertainty_arcsec: float = Field(120.0, gt=0, description="Largest error of the header's coordinates")
    gains: Mapping[str, Gain] = Field(min_length=1)
    default_gain: str
    masters: tuple[Literal["dark", "bias", "flat"], ...] = Field(
        ("dark", "flat"), description="Masters to use; empty: Gozen measures uncalibrated pixels"
    )
    dark_mismatch: Literal["scaled", "nearest", "refused"] | None = Field(
        None, description="What to do if no dark has the exposure time; default: sky is refused, flats are not"
    )
    aperture_diameters_px: Apertures = Field(
        "auto", description="Diameters of the apertures, the calibrated one first; auto: by the seeing"
    )
    stack_skips_frames: int = Field(0, ge=0, description="Number of first frames left out of the stack")
    default_pipelines: tuple[PipelineName, ...] = ("wcs", "stack")
    sensors: tuple[Sensor, ...] = Field(min_length=1)
    header: HeaderWords

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rows, columns = self.shape
        for name in ("active", "reference"):
            section = getattr(self, name)
            if section and any(s.stop > n for s, n in zip(section_slices(section), (rows, columns), strict=True)):
                raise ValueError(
                    f"{name} {section} is outside the raw frame of {columns} columns and {rows} rows; "
                    f"correct {name} or shape"
                )
        if self.default_gain not in self.gains:
            raise ValueError(
                f"default_gain {self.default_gain!r} is not one of {', '.join(self.gains)}; name one of these"
            )
        ids = [sensor.id for sensor in self.sensors]
        if twice := [one for one in dict.fromkeys(ids) if ids.count(one) > 1]:
            raise ValueError(f"two sensors have the same id {twice[0]}; give each sensor a different id")
        for problem in contradictions(self):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _can_scale(self) -> Self:
        if self.dark_mismatch == "scaled" and not {"bias", "dark"} <= set(self.masters):
            raise ValueError(
                "`dark_mismatch: scaled` requires `bias` and `dark` in the list `masters`; add them, or choose another "
                "dark_mismatch"
            )
        return self

    @cached_property
    def active_shape(self) -> tuple[int, int]:
        """Rows and columns of the pixels that see the sky."""
        rows, columns = section_slices(self.active)
        return rows.stop - rows.start, columns.stop - columns.start

    def sensor_of_name(self, frame_id: str) -> str | None:
        """Return the sensor that a raw file's name (without ending) gives; None if it gives none of this profile."""
        if self.raw_names is None:
            return self.sensors[0].id if len(self.sensors) == 1 else None
        found = re.fullmatch(self.raw_names, frame_id)
        sensor = self.sensor("".join(found.groups(default=""))) if found else None
        return sensor.id if sensor else None

    def sensor(self, sensor_id: str) -> Sensor | None:
        """Return the sensor with this id, or None."""
        return next((sensor for sensor in self.sensors if sensor.id == sensor_id), None)


def shipped_profiles() -> list[str]:
    """Return the names of the profiles that come with Gozen."""
    folder = resources.files("gozen.instrument") / "profiles"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_profile(name: str) -> Profile:
    """Load a profile by name or by path.

    A name is searched in the folder that the environment variable GOZEN_PROFILES names, then among the profiles that
    come with Gozen.

    Raises
    ------
    UnreadableInput
        There is no such profile, or it is invalid; the message names the entry, its value and the allowed values.
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
            f"cannot read the instrument profile {name!r}: {reason_of(error)}; give the path of a profile, or one of: "
            f"{known}"
        ) from error


def parse_profile(text: str, source: str) -> Profile:
    """Return the profile in a YAML text, which is read as strictly as a recipe; ``source`` is its name in messages.

    Raises
    ------
    UnreadableInput
        The text is not valid YAML 1.2, has a key twice, contradicts itself, or can never read a file.
    """
    try:
        documents = parse(text, source)
    except BadRequest as error:
        raise UnreadableInput(f"the instrument profile {source} cannot be read: {error}") from error
    if len(documents) > 1:
        raise UnreadableInput(
            f"the instrument profile {source} has {len(documents)} YAML documents; put each into a separate file"
        )
    try:
        return Profile.model_validate(documents[0].value if documents else None)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'profile'}: {problem_of(problem['msg'])} "
            f"({str(problem['input'])[:60]!r})"
            for problem in error.errors()
        )
        raise UnreadableInput(f"the instrument profile {source} is not valid: {problems}") from error
