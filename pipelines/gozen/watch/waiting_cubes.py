"""The cubes that `gozen watch` still has to reduce or publish, and their order. No I/O."""

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
    """The progress of a cube."""

    IN_FOLDER = "in folder"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    HELD = "held"


UNDER_WAY = (State.IN_FOLDER, State.WAITING, State.RUNNING)


@dataclass
class QueuedCube:
    """The part of one sensor in an exposure, from the arrival of the first file until its rows are in the table.

    Parameters
    ----------
    raw
        Record of the exposure; with the files of all its sensors, once this sensor's files are in the archive.
    express
        Whether it is reduced before others.
    seen, last
        Times at which its first and its last file were seen, s of the watch's clock.
    size
        Total size of its files, bytes.
    files
        Local path (in the spool or in the folder) and key of each of its files that is in the archive.
    keys
        Keys of its files in the archive.
    error
        The error for which it is held.
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
        """A copy of the record of the exposure that lists only the files of this sensor."""
        return replace(self.raw, sensors={self.sensor: self.keys})

    def hold(self, error: GozenError) -> None:
        """Do not try to reduce this cube again until the watch is restarted or new masters are made."""
        self.state, self.error = State.HELD, error

    @property
    def may_lack_masters(self) -> bool:
        """Whether new masters may resolve the error for which the cube is held; False if it is not recorded."""
        is_recorded = self.sensor in self.raw.sensors
        return self.state == State.HELD and is_recorded and isinstance(self.error, UnreadableInput)

    @property
    def calibrates(self) -> bool:
        """Whether this is a cube of calibration frames, from which a master is made."""
        return self.raw.data_type != "OBJECT"

    @property
    def rank(self) -> tuple[int, float, str, str]:
        """Sort key of the queue: calibration first, because all other cubes need it; then express; then the oldest."""
        return (0 if self.calibrates else 1 if self.express else 2, self.raw.mjd, self.raw.exposure, self.sensor)


Cubes = dict[CubeName, QueuedCube]


def in_order(cubes: Iterable[QueuedCube]) -> list[QueuedCube]:
    """Return cubes in the order of the queue."""
    return sorted(cubes, key=lambda cube: cube.rank)


def next_to_take(cubes: Iterable[QueuedCube], queue_length: int) -> QueuedCube | None:
    """Return the cube to move from the folder into the archive next, or None.

    Parameters
    ----------
    queue_length
        If this many cubes wait in the archive, only calibration and express cubes are moved.
    """
    known = list(cubes)
    full = sum(cube.state in (State.WAITING, State.RUNNING) for cube in known) >= queue_length
    waiting = [cube for cube in known if cube.state == State.IN_FOLDER]
    chosen = [cube for cube in waiting if not full or cube.express or cube.calibrates]
    return min(chosen, key=lambda cube: cube.rank, default=None)


def next_to_run(cubes: Iterable[QueuedCube], quiet_before: float) -> QueuedCube | None:
    """Return the cube to reduce next, or None.

    A sky cube waits for all known calibration cubes of its sensor, and the calibration cubes of one sensor are reduced
    one after the other. So the masters that are used do not depend on the speed of the machine.

    Parameters
    ----------
    quiet_before
        A cube waits if one of its files arrived after this time, because more of its files may follow.
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
    """Return the exposures whose rows may be appended to the table, in the order of the queue.

    An exposure waits while one before it in the queue is still being worked on. So the table does not depend on which
    worker is faster.
    """
    names: list[Name] = []
    for cube in in_order(cubes):
        if cube.state in UNDER_WAY:
            return [name for name in names if name != cube.name]
        if cube.state == State.DONE and cube.name not in names:
            names.append(cube.name)
    return names


def portions(names: Sequence[Name], size: int, *, idle: bool) -> list[list[Name]]:
    """Divide exposures into portions; each is of one night and is appended in one step.

    Parameters
    ----------
    size
        Number of exposures in a portion.
    idle
        Whether no other exposure is in progress: then the last portion may be smaller, else it has to wait.
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
