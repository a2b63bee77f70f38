"""The cubes that `gozen watch` still has to reduce, and their order. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from gozen.archive.raw.exposure_record import RawExposure
from gozen.errors import GozenError, UnreadableInput

Name = tuple[str, str]
CubeName = tuple[str, str, str]


class State(StrEnum):
    """How far a cube is."""

    IN_FOLDER = "in folder"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    HELD = "held"


UNDER_WAY = (State.IN_FOLDER, State.WAITING, State.RUNNING)


@dataclass
class QueuedCube:
    """One sensor's part of an exposure, from its arrival to the table.

    Parameters
    ----------
    raw
        The exposure; with all its sensors' files once this one is in the archive.
    express
        Whether it goes before others.
    seen, last
        Moments at which its first and its last file were seen, s of the watch's clock.
    size
        Bytes of its files.
    files
        Where those lie that are in the archive, with their keys: in the spool, or in the folder that they are copied
        from.
    keys
        Their keys in the archive.
    error
        For which it is held.
    """

    raw: RawExposure
    sensor: str
    express: bool
    seen: float
    last: float
    size: int = 0
    files: dict[Path, str] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    state: State = State.IN_FOLDER
    error: GozenError | None = None

    @property
    def name(self) -> Name:
        """Night and exposure."""
        return self.raw.night, self.raw.exposure

    @property
    def key(self) -> CubeName:
        """Night, exposure and sensor."""
        return (*self.name, self.sensor)

    @property
    def raw_exposure(self) -> RawExposure:
        """The exposure with the files of this sensor alone."""
        return replace(self.raw, sensors={self.sensor: self.keys})

    def hold(self, error: GozenError) -> None:
        """Leave it until the watch starts again, or until what it lacks is there."""
        self.state, self.error = State.HELD, error

    @property
    def may_lack_masters(self) -> bool:
        """Whether it is held for something that masters may mend: what could not be recorded stays held."""
        is_recorded = self.sensor in self.raw.sensors
        return self.state == State.HELD and is_recorded and isinstance(self.error, UnreadableInput)

    @property
    def calibrates(self) -> bool:
        """Whether a master is made of it."""
        return self.raw.data_type != "OBJECT"

    @property
    def rank(self) -> tuple[int, float, str, str]:
        """Place in the queue: calibration first, for all need it; then express; then the oldest."""
        return (0 if self.calibrates else 1 if self.express else 2, self.raw.mjd, self.raw.exposure, self.sensor)


Cubes = dict[CubeName, QueuedCube]


def in_order(cubes: Iterable[QueuedCube]) -> list[QueuedCube]:
    """Return cubes in the order in which they are served."""
    return sorted(cubes, key=lambda cube: cube.rank)


def next_to_take(cubes: Iterable[QueuedCube], queue_length: int) -> QueuedCube | None:
    """Return the cube that goes from the folder into the archive next, or None.

    Parameters
    ----------
    queue_length
        When so many wait in the archive, only what goes before them is taken in.
    """
    known = list(cubes)
    full = sum(cube.state in (State.WAITING, State.RUNNING) for cube in known) >= queue_length
    waiting = [cube for cube in known if cube.state == State.IN_FOLDER]
    chosen = [cube for cube in waiting if not full or cube.express or cube.calibrates]
    return min(chosen, key=lambda cube: cube.rank, default=None)


def next_to_run(cubes: Iterable[QueuedCube], quiet_before: float) -> QueuedCube | None:
    """Return the cube that is reduced next, or None.

    A cube of the sky waits for the calibration of its sensor that is known already, and calibrations of one sensor go
    one after the other, so that the masters do not hang on how fast the machine is.

    Parameters
    ----------
    quiet_before
        Only cubes whose last file was seen before this moment are whole.
    """
    known = list(cubes)
    calibrating = {cube.sensor for cube in known if cube.calibrates and cube.state in UNDER_WAY}
    at_work = {cube.sensor for cube in known if cube.calibrates and cube.state == State.RUNNING}
    ready: list[QueuedCube] = []
    for cube in in_order(known):
        if cube.calibrates and cube.state in UNDER_WAY:
            if cube.state == State.WAITING and cube.sensor not in at_work and cube.last <= quiet_before:
                return cube
            at_work.add(cube.sensor)
        elif cube.state == State.WAITING and cube.sensor not in calibrating and cube.last <= quiet_before:
            ready.append(cube)
    return ready[0] if ready else None


def publishable(cubes: Iterable[QueuedCube]) -> list[Name]:
    """Return the exposures whose rows may go into the table, in the order of the queue.

    None goes before one that stands ahead of it and is still worked on: so the table does not hang on which worker was
    faster.
    """
    names: list[Name] = []
    for cube in in_order(cubes):
        if cube.state in UNDER_WAY:
            return [name for name in names if name != cube.name]
        if cube.state == State.DONE and cube.name not in names:
            names.append(cube.name)
    return names


def portions(names: Sequence[Name], size: int, *, idle: bool) -> list[list[Name]]:
    """Cut exposures into portions of one night each that are appended in one step.

    Parameters
    ----------
    size
        Exposures of a portion.
    idle
        Nothing else is to come: the last portion may be smaller.
    """
    cut: list[list[Name]] = []
    for name in names:
        if cut and len(cut[-1]) < size and cut[-1][0][0] == name[0]:
            cut[-1].append(name)
        else:
            cut.append([name])
    if cut and len(cut[-1]) < size and not idle:
        cut.pop()
    return cut
