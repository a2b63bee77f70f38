"""Decide what to do about an Observation: validate, follow its Exposures, summarise, delete. No I/O.

The observer executes it and writes the progress into the condition ``Executed``, which the operator only reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gozen.errors import BadRequest
from gozen.observing.observation_plan import PlannedExposure, exposures_of
from gozen.resources.metadata import written
from gozen.resources.observation import Observation
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.conditions import Known, conditions, reason_of, status_of, stored_conditions
from gozen_operator.reconcile.facts import ChildExposure, ObservationFacts, RequestProblem
from gozen_operator.reconcile.reconcile_plan import Event, Plan

OWN = ("Accepted", "Complete", "Succeeded")


def reconcile_observation(
    observation: Observation, facts: ObservationFacts, settings: OperatorSettings, now: float
) -> Plan:
    """Return the plan for an Observation; `now` is in seconds since 1970."""
    found = stored_conditions(observation)
    if observation.metadata.deletion_timestamp is not None:
        return Plan()
    if status_of(found, "Complete") == "True":
        return _after_completion(observation, facts, settings.observation_ttl_s, now)
    refusal, planned = _checked(observation, facts)
    window = observation.spec.time_window
    executed = status_of(found, "Executed")
    if refusal is None and executed is None and window is not None and now >= window.end.timestamp():
        refusal = _too_late(observation, status_of(found, "Accepted") == "True")
    if refusal is not None:
        return _refused(observation, planned, refusal, now)
    known = _progress(observation, planned, facts.children, now)
    status = _status(observation, known, planned, facts.children, now)
    event = _event(observation, known) if status is not None else None
    wake = window.end.timestamp() - now if window is not None and executed is None else None
    return Plan(status=status, events=(event,) if event else (), requeue_after_s=wake)


def _after_completion(observation: Observation, facts: ObservationFacts, ttl_s: float | None, now: float) -> Plan:
    """Return the plan that deletes an Observation after its TTL, but not while an Exposure of it is being reduced."""
    said = observation.status.conditions if observation.status else []
    complete = next(one for one in said if one.type == "Complete")
    if ttl_s is None or not all(child.complete for child in facts.children.values()):
        return Plan()
    left_s = complete.last_transition_time.timestamp() + ttl_s - now
    return Plan(requeue_after_s=left_s) if left_s > 0 else Plan(delete=True)


def _checked(
    observation: Observation, facts: ObservationFacts
) -> tuple[RequestProblem | None, Sequence[PlannedExposure]]:
    """Return why the request is invalid, if it is, and its planned exposures."""
    if facts.problem is not None:
        return facts.problem, ()
    try:
        planned = exposures_of(
            observation,
            instrument=facts.instrument,
            run=facts.run,
            default_pipelines=facts.default_pipelines,
            default_gain=facts.default_gain,
        )
    except BadRequest as error:
        return RequestProblem("RecipeMakesNoSense", f"spec.operations: {error}"), ()
    asked = {sensor for one in planned for sensor in one.exposure.spec.sensors}
    unknown = sorted(asked - set(facts.known_sensors))
    if unknown:
        have = ", ".join(facts.known_sensors[:8])
        said = f"{facts.instrument} has no sensor {', '.join(unknown)}; it has {have} ..."
        return RequestProblem("UnknownSensor", f"spec.operations: {said}"), ()
    return None, planned


def _too_late(observation: Observation, was_accepted: bool) -> RequestProblem:
    assert observation.spec.time_window is not None
    end = written(observation.spec.time_window.end)
    if was_accepted:
        return RequestProblem(
            "WindowClosed",
            f"spec.timeWindow.end {end} passed before the first step was started; apply it again with a later window",
        )
    message = f"spec.timeWindow.end {end} is in the past; apply it again with a window in the future"
    return RequestProblem("WindowInThePast", message)


def _progress(
    observation: Observation,
    planned: Sequence[PlannedExposure],
    children: Mapping[str, ChildExposure],
    now: float,
) -> list[Known]:
    accepted = Known("Accepted", "True", "Valid", f"{len(planned)} exposures")
    found = stored_conditions(observation)
    executed, why = status_of(found, "Executed"), reason_of(found, "Executed") or ""
    waiting = [one for one in children.values() if not one.complete]
    if executed in ("True", "False") and not waiting:
        return [accepted, *_summed_up(executed == "True", why, planned, children)]
    if executed in ("True", "False"):
        return [accepted, *_open("Reducing", f"{len(waiting)} exposures are not reduced yet")]
    if observation.spec.suspend:
        return [accepted, *_open("Suspended", "spec.suspend is true, so no further step is started")]
    if executed is None:
        window = observation.spec.time_window
        early = window is not None and now < window.start.timestamp()
        return [accepted, *_open("WindowNotOpen" if early else "WaitingForObserver", "")]
    return [accepted, *_open("Observing", f"{len(children)} of {len(planned)} exposures are made")]


def _open(reason: str, message: str) -> list[Known]:
    return [Known("Complete", "False", reason), Known("Succeeded", "Unknown", reason, message)]


def _summed_up(
    executed: bool, why: str, planned: Sequence[PlannedExposure], children: Mapping[str, ChildExposure]
) -> list[Known]:
    failed = [one for one in children.values() if not one.succeeded]
    if not executed:
        message = f"{len(children)} of {len(planned)} exposures were made"
        return [Known("Complete", "True", why), Known("Succeeded", "False", why, message)]
    if failed:
        reason = failed[0].reason or "ExposureFailed"
        names = ", ".join(one.name for one in failed[:4]) + (" ..." if len(failed) > 4 else "")
        return [
            Known("Complete", "True", reason),
            Known("Succeeded", "False", reason, f"{len(failed)} failed: {names}"),
        ]
    return [Known("Complete", "True", "Reduced"), Known("Succeeded", "True", "Reduced", f"{len(children)} exposures")]


def _refused(observation: Observation, planned: Sequence[PlannedExposure], problem: RequestProblem, now: float) -> Plan:
    reason, message = problem.reason, problem.message
    known = [
        Known("Accepted", "False", reason, message),
        Known("Complete", "True", reason, "Gozen does not process it"),
        Known("Succeeded", "False", reason, message),
    ]
    status = _status(observation, known, planned, {}, now)
    return Plan(status=status, events=(Event(reason, message, "Warning"),))


def _event(observation: Observation, known: Sequence[Known]) -> Event | None:
    """Return the Event of a transition: the Observation was accepted, or has ended."""
    last = known[-1]
    if last.status != "Unknown":
        return Event(last.reason, last.message, "Normal" if last.status == "True" else "Warning")
    first = status_of(stored_conditions(observation), "Accepted") is None
    return Event("Accepted", known[0].message) if first else None


def _status(
    observation: Observation,
    known: Sequence[Known],
    planned: Sequence[PlannedExposure],
    children: Mapping[str, ChildExposure],
    now: float,
) -> dict[str, Any] | None:
    """Return the operator's part of the status, or None if nothing has changed."""
    seen = observation.status
    # Fields of the observer: with them each reconcile would find the status changed, and write it again.
    old = seen.model_dump(mode="json", exclude_none=True, exclude={"claim", "over"}) if seen else {}
    before = [one for one in old.get("conditions", []) if one["type"] in OWN]
    generation = observation.metadata.generation or 0
    fresh: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": conditions(known, before, generation, now),
        "exposures": [
            {"name": one.exposure.metadata.name, "step": one.step, "object": one.exposure.spec.object}
            for one in planned
        ],
        "completed": sum(one.complete for one in children.values()),
        "succeeded": sum(one.succeeded for one in children.values()),
    }
    return None if fresh == {**old, "conditions": before} else fresh
