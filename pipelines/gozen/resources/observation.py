"""Observation: the steps that an astronomer requests. The observatory's format is in `observatory_recipe`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from gozen.resources.metadata import (
    OBSERVATION_NAME_LENGTH,
    Conditions,
    HeaderText,
    Moment,
    Name,
    Resource,
    WireModel,
    rules,
)
from gozen.resources.recipe_steps import Operation


class TimeWindow(WireModel):
    """When an Observation may run."""

    model_config = rules(
        ("self.end > self.start", "the time window ends before it starts; give the earlier moment first")
    )

    start: Moment
    """Not before this moment, UTC, RFC 3339."""
    end: Moment
    """Not after this moment, UTC, RFC 3339."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise ValueError("the time window ends before it starts; give the earlier moment first")
        return self


class ObservationSpec(WireModel):
    """What is asked for."""

    model_config = rules(
        (
            "!self.operations.exists(o, has(o.exposure)) || "
            "self.operations.exists(o, has(o.setParameter) && has(o.setParameter.nframe))",
            "no step sets nframe; put a setParameter with nframe before the first exposure",
        ),
        (
            "!self.operations.exists(o, has(o.exposure)) || "
            "self.operations.exists(o, has(o.setParameter) && has(o.setParameter.tintegSec))",
            "no step sets tintegSec; put a setParameter with tintegSec before the first exposure",
        ),
        (
            "!self.operations.exists(o, has(o.dithering)) || self.operations.exists(o, has(o.pointing))",
            "dithering needs a pointing before it",
        ),
        ("self.operations == oldSelf.operations", "the steps cannot be changed; apply them under another name"),
        ("self.observer == oldSelf.observer", "the observer cannot be changed"),
        ("self.project == oldSelf.project", "the project cannot be changed"),
    )

    observer: HeaderText
    """Who asks, up to 68 printable ASCII characters, as FITS headers hold."""
    project: HeaderText
    """The project that the data belong to, up to 68 printable ASCII characters."""
    priority: Annotated[float, Field(ge=0, le=1)] = 0.5
    """From 0 to 1; the highest runs first."""
    target_of_opportunity: bool = False
    """Whether it interrupts the queue and its data are reduced first."""
    time_window: TimeWindow | None = None
    """When it may run; always, if left out."""
    operations: Annotated[list[Operation], Field(min_length=1, max_length=512)]
    """The steps, carried out in order."""
    comment: Annotated[str, Field(max_length=16_384)] = ""
    """Free text, stored unchanged."""
    suspend: bool = False
    """Whether exposures and Jobs that have not begun are postponed."""


class ExpectedExposure(WireModel):
    """One exposure that an Observation will make."""

    name: Name
    """Name of its Exposure."""
    step: Annotated[int, Field(ge=1, le=512)]
    """Its step among the operations, counted from 1."""
    object: HeaderText
    """The observer's name of the target."""


class Claim(WireModel):
    """Which observer executes an Observation; no other may, until it has been silent for long."""

    holder: Annotated[str, Field(min_length=1, max_length=63)]
    """Name of the observer, one for each telescope."""
    session: Annotated[str, Field(min_length=1, max_length=63)]
    """The observer's process: a later one of the same name takes over."""
    renewed: Moment
    """Last sign of life, UTC."""


class ObservationStatus(WireModel):
    """The outcome. The operator writes it, except for `claim`, `over` and the condition Executed."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this status is about."""
    conditions: Conditions = Field(default_factory=list)
    """What is known: Accepted, Executed (written by the observer), Complete, Succeeded."""
    claim: Claim | None = None
    """The observer that executes it; written by the observer."""
    over: bool | None = None
    """Whether the observers are done with it: they no longer list it; written by the observer."""
    exposures: Annotated[list[ExpectedExposure], Field(max_length=512)] = Field(default_factory=list)
    """The exposures that it makes, in order."""
    completed: Annotated[int, Field(ge=0)] = 0
    """Number of Exposures to which nothing more will happen."""
    succeeded: Annotated[int, Field(ge=0)] = 0
    """Number of Exposures that were reduced; rejections are results too."""


class Observation(Resource):
    """What an observer asks for: the steps of one recipe."""

    model_config = rules(
        (
            f"self.metadata.name.size() <= {OBSERVATION_NAME_LENGTH}",
            f"the name is longer than {OBSERVATION_NAME_LENGTH} characters, to which its Exposures add their step",
        ),
        ("!self.metadata.name.contains('.')", "the name may contain only lower-case letters, digits and dashes"),
    )
    longest_name: ClassVar[int] = OBSERVATION_NAME_LENGTH

    kind: Literal["Observation"] = "Observation"
    """Observation."""
    spec: ObservationSpec
    """What is asked for."""
    status: ObservationStatus | None = None
    """What became of it."""
