"""Compute how fast data arrive and are reduced, the backlog, when the disk will be full, and warnings. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gozen.settings import WatchSettings
from gozen.watch.waiting_cubes import QueuedCube, State

WINDOW_S = 300.0
"""Rates are means over this time, or over the time since the start if that is shorter."""
_SHORT_SPAN_S = 60.0
"""Shortest time for a rate: many files may come together at the start, and others also write to the disk."""
_LATE_S = 60.0


@dataclass(frozen=True)
class Warned:
    """A warning: its name and a sentence."""

    name: str
    message: str


@dataclass(frozen=True)
class Pressure:
    """The backlog, and the rates at which cubes arrive and are reduced.

    Parameters
    ----------
    folder, waiting, running, held
        Number of cubes (sensor exposures) in each state. A held cube has failed; it is tried again after a restart, or
        when new masters may help.
    unread
        Number of files that are not complete yet.
    oldest_s
        Age of the oldest cube that is not reduced, s since it was first seen.
    waiting_bytes
        Size of the raw data that are not reduced, bytes.
    pace_in, pace_out
        Cubes that arrive and that are reduced per second.
    room_bytes
        Space that is left for raw data, bytes; None if it is not known.
    room_s
        Time until this space is used up at the present rate, s; None if it does not shrink.
    """

    folder: int
    waiting: int
    running: int
    held: int
    unread: int
    oldest_s: float
    waiting_bytes: int
    pace_in: float
    pace_out: float
    room_bytes: float | None = None
    room_s: float | None = None

    @property
    def unreduced(self) -> int:
        """Number of cubes that are not reduced yet, without failed cubes that are not tried again (``held``)."""
        return self.folder + self.waiting + self.running

    def line(self) -> str:
        """Return the backlog as one line for people."""
        room = "" if self.room_bytes is None else f", free {self.room_bytes / 1e9:.2f} GB"
        room += "" if self.room_s is None else f" ({duration(self.room_s)})"
        held = f", {self.held} held" if self.held else ""
        return (
            f"queue {self.unreduced} ({self.folder} in the folder){held}, oldest {duration(self.oldest_s)}, "
            f"in {self.pace_in:.2f}/s, out {self.pace_out:.2f}/s{room}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain data for JSON."""
        return asdict(self)


class Paces:
    """Arrivals, reductions and free space of the last `WINDOW_S` seconds.

    Parameters
    ----------
    start
        Time at which the watch began, s of its clock.
    """

    def __init__(self, start: float) -> None:
        self._start = start
        self._in: deque[tuple[float, int]] = deque()
        self._cubes: deque[tuple[float, int]] = deque()
        self._out: deque[tuple[float, int]] = deque()
        self._room: deque[tuple[float, float]] = deque()

    def came(self, now: float, size: int, *, first: bool = True) -> None:
        """Count a new file of ``size`` bytes; ``first``: whether it is the first of its cube."""
        self._in.append((now, size))
        if first:
            self._cubes.append((now, 1))

    def went(self, now: float, size: int) -> None:
        """Count a cube of ``size`` bytes that was reduced."""
        self._out.append((now, size))

    def room(self, now: float, free: float) -> None:
        """Record the number of free bytes."""
        self._room.append((now, free))

    def cubes(self, now: float) -> tuple[float, float]:
        """Return how many cubes arrive and how many are reduced, per second."""
        span = self._forget(now)
        return len(self._cubes) / span, len(self._out) / span

    def growth(self, now: float) -> float:
        """Return the growth of the raw data that are not reduced, bytes per second."""
        span = self._forget(now)
        return (sum(size for _, size in self._in) - sum(size for _, size in self._out)) / span

    def shrinkage(self, now: float) -> float:
        """Return the loss of free space on the disk, bytes per second; 0 while it is not known."""
        self._forget(now)
        if not self._room:
            return 0.0
        (first, before), (last, after) = self._room[0], self._room[-1]
        return (before - after) / (last - first) if last - first >= _SHORT_SPAN_S else 0.0

    def _forget(self, now: float) -> float:
        for events in (self._in, self._cubes, self._out, self._room):
            while events and events[0][0] < now - WINDOW_S:
                events.popleft()
        return max(min(now - self._start, WINDOW_S), _SHORT_SPAN_S)


def pressure_of(
    cubes: Iterable[QueuedCube], paces: Paces, now: float, *, unread: int, free: float | None, limit: float | None
) -> Pressure:
    """Return the backlog and the rates at the time ``now``.

    Parameters
    ----------
    unread
        Number of files that are not complete yet.
    free
        Free bytes on the disk of the archive; None if the archive is not on a disk.
    limit
        Largest size of the raw data that are not reduced, bytes; None for the free space of the disk.
    """
    known = list(cubes)
    count = {state: sum(cube.state == state for cube in known) for state in State}
    open_cubes = [cube for cube in known if cube.state in (State.IN_FOLDER, State.WAITING, State.RUNNING)]
    waiting = sum(cube.size for cube in known if cube.state != State.DONE)
    pace_in, pace_out = paces.cubes(now)
    rooms = [] if free is None else [(free, paces.shrinkage(now))]
    rooms += [] if limit is None else [(limit - waiting, paces.growth(now))]
    room, loss = min(rooms, key=lambda one: (lasting(*one), one[0])) if rooms else (None, 0.0)
    left = lasting(room, loss) if room is not None else float("inf")
    return Pressure(
        folder=count[State.IN_FOLDER],
        waiting=count[State.WAITING],
        running=count[State.RUNNING],
        held=count[State.HELD],
        unread=unread,
        oldest_s=max((max(now - cube.seen, 0.0) for cube in open_cubes), default=0.0),
        waiting_bytes=waiting,
        pace_in=pace_in,
        pace_out=pace_out,
        room_bytes=room,
        room_s=None if left == float("inf") else left,
    )


def lasting(room: float, loss: float) -> float:
    """Return the time in s after which ``room`` bytes are used up at ``loss`` bytes per second; may be infinite."""
    if room <= 0:
        return 0.0
    return room / loss if loss > 0 else float("inf")


def warnings_of(now: Pressure, settings: WatchSettings) -> list[Warned]:
    """Return the warnings for a backlog."""
    found = []
    if now.room_bytes is not None and now.room_bytes <= 0:
        found.append(
            Warned(
                "RawRoomUsedUp",
                f"there is no space for more raw data; {now.waiting_bytes / 1e9:.2f} GB of them are not reduced. "
                "Gozen deletes none of these; pause the camera",
            )
        )
    elif now.room_s is not None and now.room_s < settings.warn_s and now.room_bytes is not None:
        found.append(
            Warned(
                "RawRoomShort",
                f"the space for raw data, {now.room_bytes / 1e9:.2f} GB, will be full in {duration(now.room_s)} at "
                "this rate: use more workers, or pause the camera; on a full disk, delete reduced raw data, too "
                "(gozen archive expire)",
            )
        )
    if now.pace_out < now.pace_in and now.oldest_s > _LATE_S:
        found.append(
            Warned(
                "FallingBehind",
                f"{now.pace_in:.2f} sensor exposures arrive per second and {now.pace_out:.2f} are reduced; the oldest "
                f"has waited for {duration(now.oldest_s)}: use more workers, or fewer pipelines",
            )
        )
    if now.waiting + now.running >= settings.queue_length and now.folder:
        found.append(
            Warned(
                "QueueFull",
                f"{settings.queue_length} sensor exposures wait in the archive (watch.queue_length), and {now.folder} "
                "more wait in the folder",
            )
        )
    return found


def changes(before: Sequence[Warned], after: Sequence[Warned]) -> tuple[list[Warned], list[str]]:
    """Return the new warnings, and the names of the warnings that are over."""
    old, new = {one.name for one in before}, {one.name for one in after}
    return [one for one in after if one.name not in old], sorted(old - new)


def duration(seconds: float) -> str:
    """Return a duration as text in s, min or h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
