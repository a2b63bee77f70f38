"""LightCurveJob: a request to append reduced exposures to a light-curve table."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gozen.resources.exposure import LaunchedJob
from gozen.resources.metadata import (
    NAME_RULES,
    Conditions,
    Declination,
    Moment,
    Night,
    Resource,
    RightAscension,
    RunName,
    WireModel,
    rules,
)
from gozen.resources.publish_request import PublishRequest, PublishState, earlier_form
from gozen.resources.sky_circle import SkyCircle

CatalogName = Annotated[str, Field(max_length=63, pattern=r"^[a-z][a-z0-9_]*$")]
ExposureKey = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]

LONGEST_CADENCE_SEC = 86_400


def _cadence(value: object) -> object:
    whole_seconds = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LONGEST_CADENCE_SEC
    if value != "frame" and not whole_seconds:
        raise ValueError("write frame, the only cadence of this version")
    return value


Cadence = Annotated[
    Literal["frame"] | int,
    BeforeValidator(_cadence),
    Field(json_schema_extra={"x-kubernetes-int-or-string": True}),
]
"""``frame``, or whole seconds, which the operator refuses as CadenceNotOffered in this version."""


class Region(WireModel):
    """A circle on the sky."""

    ra: RightAscension
    """Right ascension of the centre, deg, ICRS."""
    dec: Declination
    """Declination of the centre, deg, ICRS."""
    radius_deg: Annotated[float, Field(gt=0, le=180)]
    """Radius of the circle, deg."""

    @property
    def circle(self) -> SkyCircle:
        """The region as the circle that selects data."""
        return SkyCircle(self.ra, self.dec, self.radius_deg)


class Selection(WireModel):
    """The data to append: those that match all given fields."""

    model_config = rules(
        (
            "has(self.night) || size(self.exposures) > 0 || has(self.region)",
            "the selection is empty; give night, exposures or region",
        )
    )

    night: Night | None = None
    """All exposures of this night, YYYYMMDD."""
    exposures: Annotated[list[ExposureKey], Field(max_length=1024)] = Field(default_factory=list)
    """Exposures with these names in the archive: the EXP_ID in eight digits, such as 00000003."""
    region: Region | None = None
    """Only data of sensors that overlap this circle."""
    run: RunName = "r1"
    """Name of the processing whose results are appended."""

    @model_validator(mode="after")
    def _selects_something(self) -> Self:
        if self.night is None and not self.exposures and self.region is None:
            raise ValueError("the selection is empty; give night, exposures or region")
        return self


class LightCurveJobSpec(WireModel):
    """Which data to append, and to which table."""

    model_config = rules(
        ("self.selection == oldSelf.selection", "the selection cannot be changed; apply another LightCurveJob"),
        ("self.cadence == oldSelf.cadence", "cadence cannot be changed; apply another LightCurveJob"),
        (
            "has(self.aperture) == has(oldSelf.aperture) && (!has(self.aperture) || self.aperture == oldSelf.aperture)",
            "aperture cannot be changed; apply another LightCurveJob",
        ),
        ("self.targetCatalog == oldSelf.targetCatalog", "targetCatalog cannot be changed; apply another LightCurveJob"),
        (
            "type(self.cadence) == string ? self.cadence == 'frame' : "
            f"(self.cadence >= 1 && self.cadence <= {LONGEST_CADENCE_SEC})",
            "write frame, the only cadence of this version",
        ),
    )

    selection: Selection
    """The data to append."""
    cadence: Cadence = "frame"
    """frame: one row for each frame. Whole seconds are refused as CadenceNotOffered in this version."""
    aperture: Annotated[int, Field(ge=2, le=101)] | None = None
    """Diameter of an aperture in the profile, pixels. It is only checked: rows contain all apertures."""
    reference_catalog: CatalogName = "gaia"
    """Not used in this version: the reduction matches sources to the catalogue of the setting `reference`."""
    match_radius_arcsec: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Not used in this version: the reduction uses the setting `calibration.match_radius_arcsec`."""
    target_catalog: CatalogName = "lightcurves"
    """Name of the light-curve table to which the rows are appended."""
    publish: Annotated[PublishRequest | None, BeforeValidator(earlier_form)] = None
    """Publish the light curves in a folder of Nextcloud after they were appended; default: do not publish them."""


class LightCurveJobStatus(WireModel):
    """The state of a LightCurveJob, written by the operator."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """Generation (version number) of the spec that this status describes."""
    conditions: Conditions = Field(default_factory=list)
    """Conditions: Accepted, Complete, Succeeded; with publish also Published."""
    exposures: Annotated[int, Field(ge=0)] = 0
    """Number of exposures that were selected."""
    rows: Annotated[int, Field(ge=0)] = 0
    """Number of rows that were appended."""
    manifest: Annotated[int, Field(ge=0)] | None = None
    """Number of the first version of the table that contains these rows."""
    job: LaunchedJob | None = None
    """The Job that appends the rows, after its creation. The operator never creates a second one."""
    completion_time: Moment | None = None
    """Time at which the operator found it complete."""
    published: PublishState | None = None
    """The folder in Nextcloud, and the attempts to publish; absent before the first attempt."""


class LightCurveJob(Resource):
    """A request to append reduced exposures to a light-curve table."""

    # The rule is here and not in the spec: earlier versions stored `publish: false` there, which CEL cannot read as an
    # object, and what was not yet published may go.
    model_config = rules(
        *NAME_RULES,
        (
            "!has(oldSelf.spec.publish) || has(self.spec.publish) || !has(oldSelf.status) || "
            "!has(oldSelf.status.published)",
            "publish cannot be removed after the first attempt to publish; delete the LightCurveJob instead",
        ),
    )

    kind: Literal["LightCurveJob"] = "LightCurveJob"
    """Kind of the resource: LightCurveJob."""
    spec: LightCurveJobSpec
    """Which data to append, and to which table."""
    status: LightCurveJobStatus | None = None
    """The state, written by the operator."""
