"""Stages of a sensor's reduction: each value holds the stage before it and the records of its step.

A commit can be made of any of them.
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
    """What the steps of one sensor's reduction share, once its raw pixels and its masters are known.

    Parameters
    ----------
    profile
        That of the pixels that were read: of a window, or of binned ones.
    provenance
        Of all products.
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
        """What the products belong to."""
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
        What this step alone adds to the commit.
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
        """Return the last stage of a kind, or None where it was not reached."""
        return next((stage for stage in reversed(self.chain) if isinstance(stage, kind)), None)


@dataclass(frozen=True)
class Unread(Stage):
    """Nothing is read yet."""

    work: SensorWork
    shared: SharedInputs
    provenance: Provenance


@dataclass(frozen=True)
class Opened(Stage):
    """The raw files are read.

    Parameters
    ----------
    unreadable
        Why single frames were left out; they count after the others.
    """

    before: Unread
    files: tuple[RawFile, ...]
    unreadable: tuple[CorruptFile, ...]


@dataclass(frozen=True)
class Read(Stage):
    """The raw files are one cube, with a header."""

    before: Opened
    cube: RawCube

    @property
    def work(self) -> SensorWork:
        """What is reduced."""
        return self.before.before.work

    @property
    def shared(self) -> SharedInputs:
        """What all reductions share."""
        return self.before.before.shared

    @property
    def provenance(self) -> Provenance:
        """The provenance with the raw files."""
        return self.before.before.provenance.model_copy(update={"inputs": self.cube.inputs})

    @property
    def pipelines(self) -> tuple[str, ...]:
        """What to do: what was asked, else what the header says, else the profile's default."""
        return self.work.pipelines or self.cube.header.pipelines or tuple(self.shared.profile.default_pipelines)


@dataclass(frozen=True)
class HeaderChecked(Stage):
    """The header agrees with the sensor, the sky and the clock."""

    before: Read


@dataclass(frozen=True)
class Prepared(Stage):
    """The masters are found."""

    before: HeaderChecked
    context: ReductionContext

    @property
    def raw(self) -> RawCube:
        """The raw cube."""
        return self.before.before.cube


@dataclass(frozen=True)
class Calibrated(Stage):
    """The frames are calibrated."""

    before: Prepared
    cube: CalibratedCube

    @property
    def context(self) -> ReductionContext:
        """What all steps share."""
        return self.before.context


@dataclass(frozen=True)
class RoughlyAligned(Stage):
    """The frames are measured against one of them."""

    before: Calibrated
    rough: RoughAlignment

    @property
    def context(self) -> ReductionContext:
        """What all steps share."""
        return self.before.context


@dataclass(frozen=True)
class Aligned(Stage):
    """The frames are stacked and aligned with the stack: from here on pipelines run, one after the other."""

    before: RoughlyAligned
    stack: AlignedStack

    @property
    def context(self) -> ReductionContext:
        """What all steps share."""
        return self.before.context


@dataclass(frozen=True)
class Fitted(Stage):
    """A solution fits the stack; whether it is where the telescope pointed is not known."""

    aligned: Aligned
    fit: Solution


@dataclass(frozen=True)
class Solved(Stage):
    """The stack has its place on the sky."""

    aligned: Aligned
    solution: Solution

    @property
    def context(self) -> ReductionContext:
        """What all steps share."""
        return self.aligned.context


@dataclass(frozen=True)
class Measured(Stage):
    """The sources are measured on every frame, and calibrated."""

    solved: Solved
    found: Measurement

    @property
    def context(self) -> ReductionContext:
        """What all steps share."""
        return self.solved.context


@dataclass(frozen=True)
class Searched(Stage):
    """What moves and what flashes is found.

    Parameters
    ----------
    flares
        How many sources flash.
    flashes
        Their light-curve rows.
    """

    tracklets: tuple[TrackletRecord, ...]
    flares: int
    flashes: pa.Table | None


@dataclass(frozen=True)
class Stored(Stage):
    """Products are stored; nothing else is new."""
