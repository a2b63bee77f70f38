"""Exposure: one execution of an exposure step on all its sensors; its name is derived from its Observation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gozen.resources.metadata import (
    Conditions,
    HeaderText,
    Moment,
    Night,
    ObjectReference,
    Resource,
    RunName,
    SensorId,
    WireModel,
    rules,
)
from gozen.resources.recipe_steps import DataType, FrameCount, PipelineList, SensorList

PriorityClass = Literal["express", "default"]


def exposure_name(observation: str, step: int) -> str:
    """Return the name of the Exposure of an Observation's step; because of the name it cannot be created twice."""
    return f"{observation}-{step:03d}"


def _kept(*words: str) -> list[tuple[str, str]]:
    """Return rules that make fields immutable; the fields must always have a value."""
    return [
        (f"self.{word} == oldSelf.{word}", f"{word} cannot be changed; another run is another Exposure")
        for word in words
    ]


def _kept_once_given(*words: str) -> list[tuple[str, str]]:
    """Return rules that make optional fields immutable once they have a value."""
    return [
        (
            f"!has(oldSelf.{word}) || (has(self.{word}) && self.{word} == oldSelf.{word})",
            f"{word} cannot be changed once it is given",
        )
        for word in words
    ]


class ExposureSpec(WireModel):
    """The exposure, and how it is to be reduced."""

    model_config = rules(
        (
            "self.dataType == 'OBJECT' || size(self.pipelines) == 0",
            "pipelines are for OBJECT data; DARK and FLAT become masters, so leave pipelines out",
        ),
        *_kept("object", "instrument", "dataType", "sensors", "nframe", "pipelines", "run", "sensorsPerPod"),
        *_kept_once_given("observationRef", "exposureId", "night", "rawURL"),
    )

    observation_ref: ObjectReference | None = None
    """The Observation that asked for it."""
    exposure_id: Annotated[int, Field(ge=1, le=99_999_999)] | None = None
    """EXP_ID, reserved in the archive before the shutter opens."""
    night: Night | None = None
    """YYYYMMDD, the local date on which the night began; known once it is exposed."""
    object: HeaderText
    """The observer's name of the target: at most 68 printable ASCII characters, because FITS headers allow no more."""
    instrument: Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$")] = "tomoe"
    """The instrument profile."""
    data_type: DataType = "OBJECT"
    """OBJECT for the sky; DARK or FLAT for calibration frames."""
    sensors: SensorList = Field(default_factory=list)
    """The sensors, as the instrument profile names them; an empty list means all."""
    nframe: FrameCount
    """Number of frames of each sensor."""
    pipelines: PipelineList = Field(default_factory=list)
    """What to make of the raw data, of wcs, stack, neo and cube; an empty list keeps the raw data only."""
    raw_url: Annotated[str, Field(max_length=1024, pattern=r"^[a-z][a-z0-9+.-]*://\S+$")] | None = Field(
        default=None, alias="rawURL"
    )
    """URL of the folder of its raw data where that is not the archive; only under prefixes that the site allows."""
    run: RunName = "r1"
    """Name of this processing; another flat, version or parameter set is another run."""
    retain_raw: bool = False
    """Whether the raw data are kept after their time in the ring buffer has passed."""
    priority_class: PriorityClass = "default"
    """express is for targets of opportunity: their Jobs run first."""
    sensors_per_pod: Annotated[int, Field(ge=1, le=512)] = 7
    """Number of sensors that one pod reduces."""

    @model_validator(mode="after")
    def _pipelines_are_for_the_sky(self) -> Self:
        if self.data_type != "OBJECT" and self.pipelines:
            raise ValueError("pipelines are for OBJECT data; DARK and FLAT become masters, so leave pipelines out")
        return self


class SensorOutcome(WireModel):
    """A sensor that was rejected or failed."""

    sensor: SensorId
    """The sensor, as the instrument profile names it."""
    result: Literal["Rejected", "Failed"]
    """Rejected: a gate refused the data. Failed: the work could not be done."""
    reason: Annotated[str, Field(max_length=64, pattern=r"^[A-Z][A-Za-z0-9]*$")]
    """Name of the rejection or error, such as SaturatedField."""
    message: Annotated[str, Field(max_length=512)] = ""
    """What was measured and what was allowed."""


class LaunchedJob(WireModel):
    """A Job as the API server made it."""

    name: Annotated[str, Field(max_length=63)]
    """Its name."""
    uid: Annotated[str, Field(max_length=64)]
    """Its unique identifier."""


class ExposureStatus(WireModel):
    """What became of it; written by the operator. Results per sensor are in the archive."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this status is about."""
    conditions: Conditions = Field(default_factory=list)
    """What is known: Accepted, RawAvailable, Complete, Succeeded; CalibrationAvailable where it was not waited for."""
    sensors: Annotated[int, Field(ge=0)] = 0
    """Number of sensors to reduce."""
    reduced: Annotated[int, Field(ge=0)] = 0
    """Number of sensors whose products exist."""
    rejected: Annotated[int, Field(ge=0)] = 0
    """Number of sensors that a gate refused."""
    failed: Annotated[int, Field(ge=0)] = 0
    """Number of sensors for which the work could not be done."""
    outcomes: Annotated[list[SensorOutcome], Field(max_length=512)] = Field(default_factory=list)
    """The rejected and failed sensors only."""
    job: LaunchedJob | None = None
    """The Job that reduces it, once it is launched; there is never a second one."""
    completion_time: Moment | None = None
    """When it was found that nothing more will happen."""


class Exposure(Resource):
    """One execution of an exposure step: all sensors, nframe frames."""

    kind: Literal["Exposure"] = "Exposure"
    """Exposure."""
    spec: ExposureSpec
    """The exposure, and how it is to be reduced."""
    status: ExposureStatus | None = None
    """What became of it."""
