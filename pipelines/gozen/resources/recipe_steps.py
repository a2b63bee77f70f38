"""Define the steps of a recipe; in YAML each is a mapping with one key, such as ``setFocus: 28.13``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from gozen.resources.metadata import Declination, HeaderText, RightAscension, SensorId, WireModel
from gozen.resources.pipeline_names import PIPELINE_NAMES, PipelineName

DataType = Literal["OBJECT", "DARK", "FLAT"]
GainName = Literal["high", "mid", "low"]


def _distinct(values: list[str]) -> list[str]:
    doubles = sorted({value for value in values if values.count(value) > 1})
    if doubles:
        raise ValueError(f"{', '.join(doubles)} given twice; name each once")
    return values


_A_SET = {"x-kubernetes-list-type": "set"}
PipelineList = Annotated[
    list[PipelineName], Field(max_length=len(PIPELINE_NAMES), json_schema_extra=_A_SET), AfterValidator(_distinct)
]
SensorList = Annotated[list[SensorId], Field(max_length=512, json_schema_extra=_A_SET), AfterValidator(_distinct)]

FrameCount = Annotated[int, Field(ge=1, le=100_000)]
"""Number of frames of one exposure."""

IntegrationTime = Annotated[float, Field(gt=0, le=86_400)]
"""Integration time of one frame, seconds."""

DeviceCondition = Annotated[str, Field(max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]
"""A state of the observatory: ``pointing``, or one that its drivers report, such as ``domeslit_open``."""

DeviceConditions = Annotated[list[DeviceCondition], Field(min_length=1, max_length=16)]

Offset = Annotated[list[Annotated[float, Field(ge=-648_000, le=648_000)]], Field(min_length=2, max_length=2)]
"""[dRA, dDec], arcsec on the sky."""


class Pointing(WireModel):
    """The position to which the telescope points: the centre of the field."""

    ra: RightAscension
    """Right ascension of the field centre, deg, ICRS."""
    dec: Declination
    """Declination of the field centre, deg, ICRS."""


class Parameters(WireModel):
    """Camera parameters. A parameter that is not given keeps its value."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    gain: GainName | None = None
    """Gain of the amplifier: high, mid or low."""
    tinteg_sec: IntegrationTime | None = None
    """Integration time of one frame, s."""
    nframe: FrameCount | None = None
    """Number of frames of each exposure."""
    data_type: DataType | None = None
    """OBJECT for the sky; DARK or FLAT for calibration frames."""
    sensors: SensorList | None = None
    """Sensors to expose, by their names in the instrument profile; an empty list means all."""

    @model_validator(mode="after")
    def _sets_something(self) -> Self:
        if not self.given:
            raise ValueError(f"name at least one of {', '.join(field_words(Parameters))}")
        return self

    @property
    def given(self) -> dict[str, object]:
        """The parameters that are set, by their Python names."""
        return {name: value for name, value in self if value is not None}


class Operation(WireModel):
    """One step of an Observation. Give exactly one of these fields."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    set_focus: float | None = None
    """Move the focuser to this position, mm."""
    assert_: DeviceConditions | None = Field(default=None, alias="assert")
    """Fail unless these conditions are true. Names have lower-case letters, digits and _, such as domeslit_open."""
    pointing: Pointing | None = None
    """Point the telescope."""
    mirror_cover: Literal["open", "close"] | None = None
    """Open or close the mirror cover."""
    wait: DeviceConditions | None = None
    """Wait until these conditions are true. Names have lower-case letters, digits and _: mirrorcover_open."""
    set_pipeline: PipelineList | None = None
    """Pipelines for the following exposures: wcs, stack, neo, cube. With an empty list only raw data are kept."""
    set_parameter: Parameters | None = None
    """Camera parameters for the following exposures."""
    exposure: HeaderText | None = None
    """Expose under this object name: at most 68 printable ASCII characters, the limit of a FITS header."""
    dithering: Offset | None = None
    """Offset [dRA, dDec] from the current pointing, arcsec on the sky; east and north are positive."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            words = field_words(Operation)
            found = " and ".join(words[name] for name in given) or "none"
            raise ValueError(f"a step is exactly one of {', '.join(words.values())}; this one has {found}")
        return self

    @property
    def kind(self) -> str:
        """The name of this step in YAML, such as ``setFocus``."""
        return next(field_words(Operation)[name] for name, value in self if value is not None)


def field_words(model: type[WireModel]) -> dict[str, str]:
    """Return the YAML name of each field, by its Python name."""
    return {name: field.alias or name for name, field in model.model_fields.items()}
