"""Stages of a sensor's reduction: each contains the stage before it and the records of its own step.

A commit can be built from any stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TypeVar

import pyarrow as pa

from gozen.archive.commit import GateRecord, Product
from gozen.archive.keys import Processing
from gozen.archive.provenance import Provenance
from gozen.archive.stores.open_store import Store
from gozen.archive.tracklet_record import TrackletRecord
from gozen.astrometry.solution import Solution
from gozen.calibration.calibrate_frame import Detector
from gozen.errors import CorruptFile
from gozen.frames.raw import RawCube, RawFile
from gozen.instrument.profile import Profile
from gozen.reduction.align_frames import AlignedStack, RoughAlignment
from gozen.reduction.calibrated_frames import CalibratedCube
from gozen.reduction.measure_stars import Measurement
from gozen.reduction.sensor_work import SensorWork, SharedInputs
from gozen.settings import Settings

Kind = TypeVar("Kind", bound="Stage")


@dataclass(frozen=True)
class ReductionContext:
    """The inputs that the steps of one sensor's reduction share, once its raw pixels and masters are read.

    Parameters
    ----------
    profile
        Instrument profile, adapted to the pixels that were read out (a window, or binned pixels).
    provenance
        Provenance of all products.
    """

    work: SensorWork
    shared: SharedInputs
    profile: Profile
    detector: Detector
    provenance: Provenance

    @property
    def settings(self) -> Settings:
        """All settings."""
        return self.shared.settings

    @property
    def store(self) -> Store:
        """The archive."""
        return self.shared.store

    @property
    def processing(self) -> Processing:
        """Night, exposure and run of the products."""
        return self.work.processing

    @property
    def version(self) -> str:
        """The version of the code that makes the products."""
        return self.provenance.code_version


@dataclass(frozen=True)
class Stage:
    """A stage of the reduction.

    Parameters
    ----------
    before
        The stage that was reached before; None for the first one.
    gates, warnings, products
        Records that this step adds to the commit.
    """

    before: Stage | None
    _: KW_ONLY
    gates: tuple[GateRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    products: Mapping[str, Product] = field(default_factory=dict)

    @property
    def chain(self) -> tuple[Stage, ...]:
        """All stages from the first one to this one."""
        return (*(self.before.chain if self.before else ()), self)

    def find(self, kind: type[Kind]) -> Kind | None:
        """Return the last stage of a class, or None if it was not reached."""
        return next((stage for stage in reversed(self.chain) if isinstance(stage, kind)), None)


@dataclass(frozen=True)
class Unread(Stage):
    """The first stage: nothing is read yet."""

    work: SensorWork
    shared: SharedInputs
    provenance: Provenance


@dataclass(frozen=True)
class Opened(Stage):
    """Stage at which the raw files are read.

    Parameters
    ----------
    unreadable
        Why single frames were left out; in the records they are numbered after the others.
    """

    before: Unread
    files: tuple[RawFile, ...]
    unreadable: tuple[CorruptFile, ...]


@dataclass(frozen=True)
class Read(Stage):
    """Stage at which the raw files are assembled to one cube with a header."""

    before: Opened
    cube: RawCube

    @property
    def work(self) -> SensorWork:
        """The sensor's exposure that is reduced."""
        return self.before.before.work

    @property
    def shared(self) -> SharedInputs:
        """The inputs that all reductions share."""
        return self.before.before.shared

    @property
    def provenance(self) -> Provenance:
        """The provenance, with the digests of the raw files."""
        return self.before.before.provenance.model_copy(update={"inputs": self.cube.inputs})

    @property
    def pipelines(self) -> tuple[str, ...]:
        """Pipelines to run: the requested ones, else the ones that the header names, else the profile's default."""
        return self.work.pipelines or self.cube.header.pipelines or tuple(self.shared.profile.default_pipelines)


@dataclass(frozen=True)
class HeaderChecked(Stage):
    """Stage at which the header is checked: sensor, coordinates and times are plausible."""

    before: Read


@dataclass(frozen=True)
class Prepared(Stage):
    """Stage at which the masters are found."""

    before: HeaderChecked
    context: ReductionContext

    @property
    def raw(self) -> RawCube:
        """The raw frames of the sensor and their header, as read in the stage `Read`."""
        return self.before.before.cube


@dataclass(frozen=True)
class InContext(Stage):
    """A stage with the same `context` (the inputs that all steps share) as the previous stage."""

    before: Prepared | InContext

    @property
    def context(self) -> ReductionContext:
        """The inputs that all steps share."""
        return self.before.context


@dataclass(frozen=True)
class Calibrated(InContext):
    """Stage at which the frames are calibrated."""

    before: Prepared
    cube: CalibratedCube


@dataclass(frozen=True)
class RoughlyAligned(InContext):
    """Stage at which the shifts of the frames are measured relative to one of them."""

    before: Calibrated
    rough: RoughAlignment


@dataclass(frozen=True)
class Aligned(InContext):
    """Stage at which the frames are stacked and aligned with the stack; then the pipelines run, one after the other."""

    before: RoughlyAligned
    stack: AlignedStack


@dataclass(frozen=True)
class Fitted(Stage):
    """Stage at which an astrometric solution fits the stack, but is not yet compared with the telescope's pointing."""

    aligned: Aligned
    fit: Solution


@dataclass(frozen=True)
class Solved(Stage):
    """Stage at which the astrometric solution of the stack is accepted."""

    aligned: Aligned
    solution: Solution

    @property
    def context(self) -> ReductionContext:
        """The inputs that all steps share."""
        return self.aligned.context


@dataclass(frozen=True)
class Measured(Stage):
    """Stage at which the sources are measured on every good frame, and calibrated if there are reference magnitudes."""

    solved: Solved
    found: Measurement

    @property
    def context(self) -> ReductionContext:
        """The inputs that all steps share."""
        return self.solved.context


@dataclass(frozen=True)
class Searched(Stage):
    """Stage at which movers, streaks and flares are found.

    Parameters
    ----------
    flares
        Number of flares.
    flashes
        Light-curve rows of the flares.
    """

    tracklets: tuple[TrackletRecord, ...]
    flares: int
    flashes: pa.Table | None


@dataclass(frozen=True)
class Stored(Stage):
    """Stage at which a product is stored; it adds no value to the values of the stage before."""
