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
    """Return the name of a step's Exposure: always the same name, so the Exposure cannot be created twice."""
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
    """What was exposed, and how it is reduced."""

    model_config = rules(
        (
            "self.dataType == 'OBJECT' || size(self.pipelines) == 0",
            "pipelines are for OBJECT data; DARK and FLAT become masters, so leave pipelines out",
        ),
        *_kept("object", "instrument", "dataType", "sensors", "nframe", "pipelines", "run", "sensorsPerPod"),
        *_kept_once_given("observationRef", "exposureId", "night", "rawURL"),
    )

    observation_ref: ObjectReference | None = None
    """The Observation to which it belongs."""
    exposure_id: Annotated[int, Field(ge=1, le=99_999_999)] | None = None
    """EXP_ID, the number of the exposure. The observer reserves it; without it the Exposure is refused."""
    night: Night | None = None
    """Local date on which the night began, YYYYMMDD. Without it the Exposure is refused."""
    object: HeaderText
    """Name of the object: at most 68 printable ASCII characters, the limit of a FITS header."""
    instrument: Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$")] = "tomoe"
    """Name of the instrument profile."""
    data_type: DataType = "OBJECT"
    """OBJECT for the sky; DARK or FLAT for calibration frames."""
    sensors: SensorList = Field(default_factory=list)
    """Sensors to reduce, by their names in the instrument profile; an empty list means all."""
    nframe: FrameCount
    """Number of frames of each sensor."""
    pipelines: PipelineList = Field(default_factory=list)
    """Pipelines of the reduction: wcs, stack, neo, cube. OBJECT data with an empty list are not reduced."""
    raw_url: Annotated[str, Field(max_length=1024, pattern=r"^[a-z][a-z0-9+.-]*://\S+$")] | None = Field(
        default=None, alias="rawURL"
    )
    """URL of the folder with its raw data, if they are not in the archive. The site must allow its prefix."""
    run: RunName = "r1"
    """Name of this processing. To reduce again with another flat, version or setting, choose another name."""
    retain_raw: bool = False
    """true: its raw files are kept and do not expire."""
    priority_class: PriorityClass = "default"
    """Jobs of express Exposures start first. Targets of opportunity are express."""
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
    """Name of the sensor in the instrument profile."""
    result: Literal["Rejected", "Failed"]
    """Rejected: a check (gate) refused the data. Failed: the sensor could not be reduced."""
    reason: Annotated[str, Field(max_length=64, pattern=r"^[A-Z][A-Za-z0-9]*$")]
    """Name of the rejection or error, such as SaturatedField."""
    message: Annotated[str, Field(max_length=512)] = ""
    """The measured value and its limit, or the error."""


class LaunchedJob(WireModel):
    """A Kubernetes Job that the operator created."""

    name: Annotated[str, Field(max_length=63)]
    """Name of the Job."""
    uid: Annotated[str, Field(max_length=64)]
    """Unique identifier (uid) of the Job."""


class ExposureStatus(WireModel):
    """The state of an Exposure, written by the operator. The result of each sensor is in the archive."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """Generation (version number) of the spec that this status describes."""
    conditions: Conditions = Field(default_factory=list)
    """Conditions: Accepted, RawAvailable, Complete, Succeeded; CalibrationAvailable only if it is False."""
    sensors: Annotated[int, Field(ge=0)] = 0
    """Number of sensors to reduce."""
    reduced: Annotated[int, Field(ge=0)] = 0
    """Number of sensors that were reduced; their products are in the archive."""
    rejected: Annotated[int, Field(ge=0)] = 0
    """Number of sensors whose data a check (gate) refused."""
    failed: Annotated[int, Field(ge=0)] = 0
    """Number of sensors that could not be reduced."""
    outcomes: Annotated[list[SensorOutcome], Field(max_length=512)] = Field(default_factory=list)
    """The sensors that were rejected or failed."""
    job: LaunchedJob | None = None
    """The Job that reduces it, after its creation. The operator never creates a second one."""
    completion_time: Moment | None = None
    """Time at which the operator found it complete."""


class Exposure(Resource):
    """One execution of an `exposure` step: all sensors, nframe frames."""

    kind: Literal["Exposure"] = "Exposure"
    """Kind of the resource: Exposure."""
    spec: ExposureSpec
    """What was exposed, and how it is reduced."""
    status: ExposureStatus | None = None
    """The state, written by the operator."""
