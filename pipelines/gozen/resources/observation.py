"""Observation: the steps that an astronomer requests. Its form as a recipe is in `observatory_recipe`."""

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
    """The times between which an Observation may be executed."""

    model_config = rules(
        ("self.end > self.start", "the time window ends before it starts; give the earlier moment first")
    )

    start: Moment
    """Earliest time at which it may begin, as RFC 3339 text: 2024-03-01T12:00:00Z."""
    end: Moment
    """Latest time at which its last exposure may end, as RFC 3339 text."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise ValueError("the time window ends before it starts; give the earlier moment first")
        return self


class ObservationSpec(WireModel):
    """What the astronomer requests."""

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
    """Name of the person who requests it: at most 68 printable ASCII characters, the limit of a FITS header."""
    project: HeaderText
    """Project of the data: at most 68 printable ASCII characters, the limit of a FITS header."""
    priority: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Priority from 0 to 1; the highest is executed first."""
    target_of_opportunity: bool = False
    """true: it is executed before all others that have not begun, and its data are reduced first."""
    time_window: TimeWindow | None = None
    """The times between which it may be executed; default: always."""
    operations: Annotated[list[Operation], Field(min_length=1, max_length=512)]
    """The steps, executed in this order."""
    comment: Annotated[str, Field(max_length=16_384)] = ""
    """Free text, stored unchanged."""
    suspend: bool = False
    """true: no further step begins, and Exposures without a Job get none."""


class ExpectedExposure(WireModel):
    """One planned exposure of an Observation."""

    name: Name
    """Name of the Exposure resource."""
    step: Annotated[int, Field(ge=1, le=512)]
    """Number of the `exposure` step among the operations, counted from 1."""
    object: HeaderText
    """Name of the object."""


class Claim(WireModel):
    """The observer that executes an Observation; another may take over if it does not renew its claim."""

    holder: Annotated[str, Field(min_length=1, max_length=63)]
    """Name of the observer, one for each telescope."""
    session: Annotated[str, Field(min_length=1, max_length=63)]
    """Identifier of the observer's process. A later process of the same name takes over the claim."""
    renewed: Moment
    """Time of the last renewal, UTC."""


class ObservationStatus(WireModel):
    """The state of an Observation. The observer writes `claim`, `over` and Executed, the operator the rest."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """Generation (version number) of the spec that this status describes."""
    conditions: Conditions = Field(default_factory=list)
    """Conditions: Accepted, Executed, Complete, Succeeded. The observer writes Executed."""
    claim: Claim | None = None
    """The observer that executes it. The observer writes this field."""
    over: bool | None = None
    """true: observers have finished with it and no longer list it. The observer writes this field."""
    exposures: Annotated[list[ExpectedExposure], Field(max_length=512)] = Field(default_factory=list)
    """Its planned exposures, in order."""
    completed: Annotated[int, Field(ge=0)] = 0
    """Number of its Exposures that are complete."""
    succeeded: Annotated[int, Field(ge=0)] = 0
    """Number of its Exposures that succeeded. Rejected data count as success, because a rejection is a result."""


class Observation(Resource):
    """A request of an astronomer: the steps of one recipe."""

    model_config = rules(
        (
            f"self.metadata.name.size() <= {OBSERVATION_NAME_LENGTH}",
            f"the name is longer than {OBSERVATION_NAME_LENGTH} characters; its Exposures append their step to it",
        ),
        ("!self.metadata.name.contains('.')", "the name may contain only lower-case letters, digits and dashes"),
    )
    longest_name: ClassVar[int] = OBSERVATION_NAME_LENGTH

    kind: Literal["Observation"] = "Observation"
    """Kind of the resource: Observation."""
    spec: ObservationSpec
    """What the astronomer requests."""
    status: ObservationStatus | None = None
    """The state, written by the operator and the observer."""
