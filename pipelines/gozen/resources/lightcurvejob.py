"""LightCurveJob: a request to append reduced exposures to a light-curve table."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gozen.resources.exposure import LaunchedJob
from gozen.resources.metadata import (
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
from gozen.resources.sky_circle import SkyCircle

CatalogName = Annotated[str, Field(max_length=63, pattern=r"^[a-z][a-z0-9_]*$")]
ExposureKey = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]

LONGEST_CADENCE_SEC = 86_400


def _cadence(value: object) -> object:
    whole_seconds = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LONGEST_CADENCE_SEC
    if value != "frame" and not whole_seconds:
        raise ValueError(f"write frame, or whole seconds from 1 to {LONGEST_CADENCE_SEC}")
    return value


Cadence = Annotated[
    Literal["frame"] | int,
    BeforeValidator(_cadence),
    Field(json_schema_extra={"x-kubernetes-int-or-string": True}),
]
"""``frame``, or whole seconds."""


class Region(WireModel):
    """A circle on the sky."""

    ra: RightAscension
    """Right ascension of its centre, deg, ICRS."""
    dec: Declination
    """Declination of its centre, deg, ICRS."""
    radius_deg: Annotated[float, Field(gt=0, le=180)]
    """Its radius, deg."""

    @property
    def circle(self) -> SkyCircle:
        """The region as the circle that selects data."""
        return SkyCircle(self.ra, self.dec, self.radius_deg)


class Selection(WireModel):
    """Which exposures: those that meet all that is given."""

    model_config = rules(
        (
            "has(self.night) || size(self.exposures) > 0 || has(self.region)",
            "the selection is empty; give night, exposures or region",
        )
    )

    night: Night | None = None
    """All exposures of this night, YYYYMMDD."""
    exposures: Annotated[list[ExposureKey], Field(max_length=1024)] = Field(default_factory=list)
    """These exposures, as the archive names them."""
    region: Region | None = None
    """Exposures that touch this circle."""
    run: RunName = "r1"
    """The processing whose results are taken."""

    @model_validator(mode="after")
    def _selects_something(self) -> Self:
        if self.night is None and not self.exposures and self.region is None:
            raise ValueError("the selection is empty; give night, exposures or region")
        return self


class LightCurveJobSpec(WireModel):
    """What to gather, and how."""

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
            f"cadence is frame, or whole seconds from 1 to {LONGEST_CADENCE_SEC}",
        ),
    )

    selection: Selection
    """Which exposures."""
    cadence: Cadence = "frame"
    """One point for each frame, or the mean over so many whole seconds."""
    aperture: Annotated[int, Field(ge=2, le=101)] | None = None
    """Diameter of the aperture, pixel; one of those measured at the reduction. Left out: the calibrated one."""
    reference_catalog: CatalogName = "gaia"
    """The catalogue that sources are matched to."""
    match_radius_arcsec: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Largest distance of a match, arcsec."""
    target_catalog: CatalogName = "lightcurves"
    """The table that the light curves go to."""
    publish: bool = False
    """Whether the table is offered to users once the job has succeeded."""


class LightCurveJobStatus(WireModel):
    """What became of it; written by the operator."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this status is about."""
    conditions: Conditions = Field(default_factory=list)
    """What is known: Accepted, Complete, Succeeded."""
    exposures: Annotated[int, Field(ge=0)] = 0
    """Number of exposures that the selection found."""
    rows: Annotated[int, Field(ge=0)] = 0
    """Number of rows that were appended."""
    manifest: Annotated[int, Field(ge=0)] | None = None
    """Version of the target table that first holds them."""
    job: LaunchedJob | None = None
    """The Job that appends them, once it is launched; there is never a second one."""
    completion_time: Moment | None = None
    """When it was found that nothing more will happen."""


class LightCurveJob(Resource):
    """Gather the light curves of reduced exposures into a table."""

    kind: Literal["LightCurveJob"] = "LightCurveJob"
    """LightCurveJob."""
    spec: LightCurveJobSpec
    """What to gather, and how."""
    status: LightCurveJobStatus | None = None
    """What became of it."""
