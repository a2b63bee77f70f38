"""The observer's situation at one moment, and the possible actions. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gozen.archive.exp_ids import Closing
from gozen.observing.device_drivers import CameraState
from gozen.resources.observation import Observation
from gozen.resources.recipe_steps import Pointing
from gozen.settings import ObserverSettings
from gozen_operator.observer.observation_steps import Recipe


@dataclass(frozen=True)
class Attempt:
    """The latest attempt of an exposure, from the archive.

    Parameters
    ----------
    number
        Number of the attempt, from 1.
    exposure_id, night
        EXP_ID and night that were reserved for it; None and empty before that.
    opened
        Whether its shutter has been opened.
    opened_by
        Process that opened the shutter, for an attempt that has not ended.
    closing
        How the attempt ended; None if it has not ended.
    recorded
        Sensors that the camera's record names; None without a record.
    """

    number: int = 1
    exposure_id: int | None = None
    night: str = ""
    opened: bool = False
    opened_by: str = ""
    closing: Closing | None = None
    recorded: frozenset[str] | None = None


@dataclass(frozen=True)
class Moving:
    """A device step in progress, and the time of the observer's first check that saw it; None before that check."""

    step: int
    since: datetime | None = None


@dataclass(frozen=True)
class Failure:
    """A step that has failed.

    Parameters
    ----------
    blocked
        Whether the data of the step were taken, but its Exposure cannot be created.
    """

    step: int
    message: str
    blocked: bool = False


@dataclass(frozen=True)
class Situation:
    """The situation in which the observer decides what to do next.

    Parameters
    ----------
    recipe, uid
        Recipe and uid of the Observation that it claimed.
    observation
        The present object in the cluster; None if it was deleted.
    session
        Name of this process in claims.
    now, night, night_ends
        The present time, its night, and the end of the night in which the recipe was claimed.
    step
        The next step; None if all steps are done.
    done
        Exposure steps whose Exposures exist.
    moving, busy, busy_since
        The device step in progress, whether any device moves, and when one was first seen to move.
    conditions
        States that the devices report, by the conditions in ``assert`` and ``wait`` of the recipe.
    camera
        State of the camera, read *before* the archive: a record that is written in between is not missed.
    attempt
        Latest attempt of the next step, if the step is an exposure.
    failure
        The step that has failed.
    began
        EXP_ID for which this process last opened the shutter.
    stopping
        Whether the process has received a signal to end.
    """

    recipe: Recipe
    uid: str
    observation: Observation | None
    session: str
    now: datetime
    night: str
    night_ends: datetime
    limits: ObserverSettings
    move_timeout_s: float
    step: int | None = None
    done: frozenset[int] = frozenset()
    moving: Moving | None = None
    busy: bool = False
    busy_since: datetime | None = None
    conditions: Mapping[str, bool] = field(default_factory=dict)
    camera: CameraState = field(default_factory=CameraState)
    attempt: Attempt = field(default_factory=Attempt)
    failure: Failure | None = None
    began: int | None = None
    stopping: bool = False


@dataclass(frozen=True)
class SetFocus:
    """Action: begin to move the focuser to a position, mm."""

    step: int
    position_mm: float


@dataclass(frozen=True)
class Point:
    """Action: begin to point the telescope."""

    step: int
    pointing: Pointing


@dataclass(frozen=True)
class MoveCover:
    """Action: begin to open or close the mirror cover."""

    step: int
    state: Literal["open", "close"]


@dataclass(frozen=True)
class Passed:
    """Action: record that a step is done."""

    step: int


@dataclass(frozen=True)
class Wait:
    """Action: do nothing for a while. The message names the reason; if it is empty, the last message is kept."""

    pause_s: float
    message: str = ""


@dataclass(frozen=True)
class Reserve:
    """Action: reserve an EXP_ID (number of an exposure) for an attempt."""

    step: int
    attempt: int


@dataclass(frozen=True)
class Expose:
    """Action: open the shutter for an EXP_ID."""

    step: int
    exposure_id: int
    night: str


@dataclass(frozen=True)
class Abort:
    """Action: end the exposure that is running."""

    exposure_id: int
    why: str


@dataclass(frozen=True)
class Close:
    """Action: record how an exposure ended."""

    step: int
    exposure_id: int
    closing: Closing


@dataclass(frozen=True)
class Create:
    """Action: create the Exposure of a step whose data were taken."""

    step: int
    exposure_id: int
    night: str
    sensors: tuple[str, ...]


@dataclass(frozen=True)
class Finish:
    """Action: write the final or interrupted state of the Observation, and release the claim."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


@dataclass(frozen=True)
class Leave:
    """Action: leave the Observation without a status: it is deleted, or another process has claimed it."""

    why: str


Action = SetFocus | Point | MoveCover | Passed | Wait | Reserve | Expose | Abort | Close | Create | Finish | Leave
