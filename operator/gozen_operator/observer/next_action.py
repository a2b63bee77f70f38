"""Decide the observer's next action from the situation alone, whatever happened before. No I/O.

Decisions depend only on cluster and archive; the memory of this process only avoids repeated movements. So the process
can be killed after any action: the next process continues from that point, and neither repeats nor loses an exposure.
"""

from __future__ import annotations

from datetime import timedelta

from gozen.archive.exp_ids import Closing
from gozen.resources.metadata import written
from gozen.resources.recipe_steps import Operation
from gozen_operator.observer.schedule import is_accepted
from gozen_operator.observer.situation import (
    Abort,
    Action,
    Close,
    Create,
    Expose,
    Finish,
    Leave,
    MoveCover,
    Passed,
    Point,
    Reserve,
    SetFocus,
    Situation,
    Wait,
)

POLL_S = 0.5
_DELETED, _BEING_DELETED = "the Observation was deleted", "the Observation is being deleted"


def next_action(s: Situation) -> Action:
    """Return the next action."""
    refused = _not_ours(s)
    if refused is not None:
        return _let_go(s, refused)
    step = s.step
    taken = s.attempt.closing is not None and s.attempt.closing.result == "taken"
    if s.failure is not None and (s.failure.blocked or not taken):
        return _fail(s, s.failure.step, s.failure.message)
    if step is None:
        return Finish("True", "Executed", f"{s.recipe.steps} steps, {len(s.done)} exposures")
    operation = s.recipe.operation(step)
    if operation.exposure is not None:
        return _exposure(s, step)
    if s.moving is not None and s.moving.step == step and not s.stopping:
        return _moving(s, step)
    return _held_back(s) or _shutter_open(s) or _begin(s, step, operation)


def _not_ours(s: Situation) -> str | None:
    """Return why this process must leave the Observation; None if it may continue."""
    # Deleted and applied again, it is a new Observation, which begins at its first step.
    if s.observation is None or s.observation.metadata.uid != s.uid:
        return _DELETED
    if s.observation.metadata.deletion_timestamp is not None:
        return _BEING_DELETED
    claim = s.observation.status.claim if s.observation.status else None
    if claim is None or claim.session != s.session:
        return f"the claim is {'lost' if claim is None else f'with {claim.holder}, another process'}"
    return None


def _let_go(s: Situation, why: str) -> Action:
    """Abort and close the exposure of this process, then leave: an Observation that is lost gets no Exposure."""
    number = s.camera.exposure_id
    # An exposure of another process is aborted only if its Observation is deleted: else that process continues it.
    ours = (s.began, s.attempt.exposure_id) if why in (_DELETED, _BEING_DELETED) else (s.began,)
    if number is not None and s.camera.phase == "exposing" and number in ours:
        return Abort(number, why)
    attempt = s.attempt
    unfinished = attempt.opened and attempt.closing is None and not attempt.recorded
    if s.step is not None and s.began is not None and attempt.exposure_id == s.began and unfinished:
        # The next process to claim it must not read this abort as a failure of the camera, which ends the recipe.
        return Close(s.step, s.began, Closing("lost", "Interrupted", why))
    return Leave(why)


def _held_back(s: Situation, lasts_s: float = 0.0) -> Finish | None:
    """Return the action that ends the work if no further step may begin, for example because the window has ended."""
    assert s.observation is not None
    if s.stopping:
        return Finish(
            "Unknown", "Interrupted", "the observer was stopped; another observer, or its next process, continues"
        )
    if not is_accepted(s.observation):
        return Finish(
            "False",
            "NotAccepted",
            "the operator does not accept this Observation any more; see its condition Accepted",
        )
    if s.observation.spec.suspend:
        return Finish("Unknown", "Suspended", f"{len(s.done)} of {len(s.recipe.planned)} exposures are made")
    window = s.observation.spec.time_window
    if window is not None and len(s.done) < len(s.recipe.planned) and s.now + timedelta(seconds=lasts_s) > window.end:
        left = len(s.recipe.planned) - len(s.done)
        end = written(window.end)
        return Finish("False", "WindowClosed", f"the time window ends at {end}; {left} exposures are not made")
    return None


def _shutter_open(s: Situation) -> Wait | None:
    """Return a pause while the camera runs another exposure, such as one of an earlier process."""
    if s.camera.phase != "exposing":
        return None
    message = f"waits, because the camera still exposes EXP_ID {s.camera.exposure_id or 0:08d}"
    return Wait(min(max(s.camera.remaining_s, POLL_S), s.limits.interval_s), message)


def _still_moving(s: Situation, step: int) -> Action | None:
    """Return a pause while a device moves before the shutter opens, such as a move that an earlier recipe began."""
    if not s.busy:
        return None
    if s.now - (s.busy_since or s.now) > timedelta(seconds=s.move_timeout_s):
        return _fail(
            s,
            step,
            f"telescope, dome or focuser still moves after {s.move_timeout_s:g} s (observatory.move_timeout_s)",
        )
    return Wait(min(POLL_S, s.limits.interval_s), "waits, because telescope, dome or focuser still moves")


def _begin(s: Situation, step: int, operation: Operation) -> Action:
    match operation:
        case Operation(set_focus=float() as position_mm):
            return SetFocus(step, position_mm)
        case Operation(mirror_cover=("open" | "close") as state):
            return MoveCover(step, state)
        case Operation(assert_=list() as words):
            missing = _missing(s, words)
            return _fail(s, step, missing) if missing else Passed(step)
        case Operation(wait=list() as words):
            return _wait(s, step, words)
    return Point(step, s.recipe.pointings[step])


def _missing(s: Situation, words: list[str]) -> str:
    """Return which conditions are false or unknown to the devices; empty when all are true."""
    unknown = [word for word in words if word not in s.conditions]
    if unknown:
        return (
            f"no device reports the condition {', '.join(unknown)}; the known conditions are "
            f"{', '.join(sorted(s.conditions))}"
        )
    absent = [word for word in words if not s.conditions[word]]
    return f"the condition {', '.join(absent)} is not fulfilled" if absent else ""


def _wait(s: Situation, step: int, words: list[str]) -> Action:
    missing = _missing(s, words)
    if not missing:
        return Passed(step)
    if any(word not in s.conditions for word in words):
        return _fail(s, step, missing)
    window = s.recipe.observation.spec.time_window
    if s.now >= s.night_ends and window is None:
        return Finish("False", "WindowClosed", f"{s.recipe.title(step)}: {missing} by the end of the night")
    return Wait(s.limits.interval_s, f"{s.recipe.title(step)}: waits, because {missing}")


def _moving(s: Situation, step: int) -> Action:
    since = (s.moving and s.moving.since) or s.now
    if not s.busy:
        return Passed(step)
    if s.now - since > timedelta(seconds=s.move_timeout_s):
        return _fail(s, step, f"still moving after {s.move_timeout_s:g} s (observatory.move_timeout_s)")
    return Wait(min(POLL_S, s.limits.interval_s))


def _exposure(s: Situation, step: int) -> Action:
    attempt = s.attempt
    closing, number = attempt.closing, attempt.exposure_id
    if closing is not None and number is not None:
        if closing.result == "taken":
            return Create(step, number, attempt.night, closing.sensors)
        return _fail(s, step, f"{closing.message} (EXP_ID {number:08d}, attempt {attempt.number})")
    if number is not None and attempt.opened:
        return _opened(s, step, number)
    held = _held_back(s, s.recipe.planned[step].exposure.spec.nframe * s.recipe.planned[step].tinteg_sec)
    blocked = held or _shutter_open(s) or _still_moving(s, step)
    if blocked is not None:
        return blocked
    if number is None:
        return Reserve(step, attempt.number)
    # Reserved before a crash, used a day later: the data would be stored under the night of the reservation.
    if attempt.night != s.night:
        message = f"reserved for the night {attempt.night}, which is over"
        return Close(step, number, Closing("lost", "OtherNight", message))
    return Expose(step, number, attempt.night)


def _opened(s: Situation, step: int, number: int) -> Action:
    """Return the action for an exposure whose shutter was opened, by this process or an earlier one."""
    camera, wanted = s.camera, s.recipe.sensors_of(step)
    ours = camera.exposure_id == number
    if ours and camera.phase == "exposing":
        if s.stopping and camera.remaining_s > s.limits.grace_s:
            return Abort(number, f"the observer was stopped {camera.remaining_s:.0f} s before the end of the exposure")
        return Wait(min(max(camera.remaining_s, POLL_S), s.limits.interval_s))
    written = tuple(sensor for sensor in wanted if sensor in (s.attempt.recorded or ()))
    # A complete record counts whatever the camera says: after a restart it may have forgotten the exposure.
    if written and ((ours and camera.phase == "done") or len(written) == len(wanted)):
        return Close(step, number, Closing("taken", "Taken", "", written))
    # A process that was overtaken, or that is stopping, has aborted it perhaps: that is no failure of the camera.
    by_us = s.attempt.opened_by in ("", s.session)
    if ours and by_us and camera.phase in ("done", "failed") and not s.stopping:
        message = camera.message or "the camera is done, but no file of this exposure is recorded"
        return Close(step, number, Closing("lost", "DeviceFailed", message))
    message = f"interrupted: the camera does not expose, and {len(written)} of {len(wanted)} sensors are recorded"
    return Close(step, number, Closing("lost", "Interrupted", message))


def _fail(s: Situation, step: int, message: str) -> Action:
    """Close the exposure, then cancel the complete recipe; data that were taken are kept."""
    attempt = s.attempt
    number = attempt.exposure_id
    if number is not None and attempt.opened and attempt.closing is None:
        written = attempt.recorded or frozenset()
        if written.issuperset(s.recipe.sensors_of(step)):
            return Close(step, number, Closing("taken", "Taken", "", s.recipe.sensors_of(step)))
        if s.camera.phase == "exposing" and s.camera.exposure_id == number:
            return Abort(number, message)
        return Close(step, number, Closing("lost", "DeviceFailed", message))
    return Finish("False", "StepFailed", f"{s.recipe.title(step)}: {message}")
