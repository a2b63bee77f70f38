"""Define the base model, names, times, metadata and conditions that all resources share."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    field_validator,
)
from pydantic.alias_generators import to_camel

API_VERSION = "gozen.astro/v1alpha1"

NAME_LENGTH = 52
"""Longest name of a resource: its Job's pods append an index to it, and a host name has at most 63 characters."""

OBSERVATION_NAME_LENGTH = 48
"""Longest name of an Observation: its Exposures append a step number, such as ``-008``."""

FITS_TEXT_LENGTH = 68
"""Longest text in one FITS header card (FITS standard 4.0, section 4.2.1)."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


class WireModel(BaseModel):
    """Base class of all parts of a resource: camelCase in YAML and JSON, snake_case in Python.

    Unknown fields and values of another type are refused.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def rules(*expressions: tuple[str, str]) -> ConfigDict:
    """Return a model's configuration with rules that the API server checks.

    A rule is an expression in CEL, the expression language of Kubernetes, with the message for a failed check. A Python
    validator of the model makes the same check without a cluster. Rules with ``oldSelf`` are checked only when a
    resource is changed.
    """
    checks: list[JsonValue] = [{"rule": expression, "message": message} for expression, message in expressions]
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": checks})


def _moment(value: object) -> datetime:
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(
                "there is no such day or time of day; check month, day, hour, minute and second"
            ) from error
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("write a moment as 2023-12-12T08:00:00Z (RFC 3339, with Z or an offset)")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the moment is outside the years 1 to 9999") from error


def written(moment: datetime) -> str:
    """Return a moment in UTC as RFC 3339 text."""
    return moment.isoformat().replace("+00:00", "Z")


Moment = Annotated[AwareDatetime, BeforeValidator(_moment), PlainSerializer(written, return_type=str)]
"""A moment in UTC; RFC 3339 text in YAML and JSON."""

Name = Annotated[str, Field(max_length=NAME_LENGTH, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""A DNS-1123 label: lower-case letters, digits and dashes."""

HeaderText = Annotated[str, Field(min_length=1, max_length=FITS_TEXT_LENGTH, pattern=r"^[!-~]([ -~]*[!-~])?$")]
"""A line of printable ASCII without spaces at its ends: it must fit into one FITS header card."""

Night = Annotated[str, Field(max_length=8, pattern=r"^[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$")]
"""``YYYYMMDD``, the local date on which the night began."""

SensorId = Annotated[str, Field(max_length=16, pattern=r"^[A-Za-z0-9]+$")]
"""A sensor as the instrument profile names it, such as ``121``."""

RunName = Annotated[str, Field(max_length=32, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""The name of one processing run, such as ``r1``."""

RightAscension = Annotated[float, Field(ge=0, lt=360)]
"""Right ascension, degrees, ICRS."""

Declination = Annotated[float, Field(ge=-90, le=90)]
"""Declination, degrees, ICRS."""


class ObjectMeta(WireModel):
    """Metadata of a resource, as in Kubernetes. Without a cluster only the name is used."""

    name: Name
    """Name of the resource: lower-case letters, digits and dashes."""
    namespace: Annotated[str, Field(max_length=63)] | None = None
    """Namespace of the resource."""
    labels: dict[str, str] = {}
    """Short texts by which resources can be selected."""
    annotations: dict[str, str] = {}
    """Texts that are not used for selection."""
    uid: str | None = None
    """Unique identifier of the resource; set by the API server."""
    resource_version: str | None = None
    """Version of the stored object; set by the API server."""
    generation: int | None = None
    """Version number of the spec; set by the API server."""
    creation_timestamp: Moment | None = None
    """Time of creation; set by the API server."""
    deletion_timestamp: Moment | None = None
    """Time at which deletion was requested; set by the API server."""
    deletion_grace_period_seconds: int | None = None
    """Seconds between request and deletion; set by the API server."""
    finalizers: list[str] = []
    """Tasks that must be done before the resource is deleted."""
    owner_references: list[dict[str, Any]] = []
    """Owners of the resource. It is deleted when they are deleted."""
    managed_fields: list[dict[str, Any]] = []
    """Clients that wrote each field; set by the API server."""


class ObjectReference(WireModel):
    """A reference to a resource in the same namespace."""

    name: Name
    """Name of the resource."""


class Condition(WireModel):
    """One statement about the state of a resource, in the usual form of Kubernetes."""

    type: Annotated[str, Field(max_length=64, pattern=r"^[A-Z][A-Za-z0-9]*$")]
    """Name: Accepted, RawAvailable, CalibrationAvailable, Executed, Complete, Succeeded or Published."""
    status: Literal["True", "False", "Unknown"]
    """Whether the statement is true."""
    reason: Annotated[str, Field(max_length=64, pattern=r"^[A-Z][A-Za-z0-9]*$")]
    """Reason for the status, one word for programs."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """Reason for the status, a sentence for people."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """Generation (version number) of the spec that this condition describes."""
    last_transition_time: Moment
    """Time at which the status last changed, UTC."""


def _keyed_by(word: str) -> dict[str, JsonValue]:
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [word]}


Conditions = Annotated[list[Condition], Field(max_length=16, json_schema_extra=_keyed_by("type"))]


NAME_RULES = (
    (f"self.metadata.name.size() <= {NAME_LENGTH}", f"the name is longer than {NAME_LENGTH} characters"),
    ("!self.metadata.name.contains('.')", "the name may contain only lower-case letters, digits and dashes"),
)
"""Rules of all resources that do not need a shorter name."""


class Resource(WireModel):
    """Base class of Observation, Exposure and LightCurveJob."""

    model_config = rules(*NAME_RULES)
    longest_name: ClassVar[int] = NAME_LENGTH

    api_version: Literal["gozen.astro/v1alpha1"] = "gozen.astro/v1alpha1"
    """Group and version of the resource."""
    metadata: ObjectMeta
    """Name, labels, and the fields that the API server adds."""

    @field_validator("metadata")
    @classmethod
    def _short_name(cls, value: ObjectMeta) -> ObjectMeta:
        if len(value.name) > cls.longest_name:
            raise ValueError(f"the name has {len(value.name)} characters; {cls.longest_name} are allowed")
        return value

    def wire(self) -> dict[str, Any]:
        """Return the resource as plain data with the field names of YAML and of the API server."""
        data = self.model_dump(mode="json", exclude_none=True)
        data["metadata"] = self.metadata.model_dump(mode="json", exclude_defaults=True)
        order = ("apiVersion", "kind", "metadata", "spec", "status")
        return {word: data[word] for word in order if word in data}
