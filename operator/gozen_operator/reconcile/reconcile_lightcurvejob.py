"""Decide what to do about a LightCurveJob: one writer per table, one Job per resource. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gozen.instrument.profile import Apertures
from gozen.resources.lightcurvejob import LightCurveJob
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.conditions import Known, conditions, moment, status_of, stored_conditions
from gozen_operator.reconcile.facts import LightCurveFacts, RequestProblem
from gozen_operator.reconcile.job_manifests import lightcurve_job
from gozen_operator.reconcile.reconcile_plan import Event, Plan
from gozen_operator.reconcile.reconcile_publication import deletion_plan, publication_plan
from gozen_operator.reconcile.sensor_outcome import job_failure

ACCEPTED = Known("Accepted", "True", "Valid", "it can be carried out")


def reconcile_lightcurvejob(job: LightCurveJob, facts: LightCurveFacts, settings: OperatorSettings, now: float) -> Plan:
    """Return the plan for a LightCurveJob; `now` is in seconds since 1970."""
    if job.metadata.deletion_timestamp is not None:
        return deletion_plan(job, facts.publish, settings, now)
    seen = facts.job
    if status_of(stored_conditions(job), "Complete") == "True":
        if seen is not None and not seen.expires:  # after a crash between the status and the TTL
            return Plan(expire=seen)
        return publication_plan(job, facts.publish, settings, now)
    # A Job that the status names and that is gone may have appended: it is not created again.
    begun = seen is not None or _launched(job)
    refusal = None if begun else _refusal(job, facts)
    if refusal is not None:
        reason, message = refusal.reason, refusal.message
        known = [
            Known("Accepted", "False", reason, message),
            Known("Complete", "True", reason, "Gozen does not process it"),
            Known("Succeeded", "False", reason, message),
        ]
        return Plan(status=_status(job, known, facts, now, done=True), events=(Event(reason, message, "Warning"),))
    if begun:
        return _while_launched(job, facts, now)
    wait = _wait(facts)
    if wait is not None:
        known = [ACCEPTED, Known("Complete", "False", wait.reason), wait]
        return Plan(status=_status(job, known, facts, now), requeue_after_s=settings.look_s)
    return Plan(create=lightcurve_job(job, settings), requeue_after_s=settings.look_s)


def _refusal(job: LightCurveJob, facts: LightCurveFacts) -> RequestProblem | None:
    problem = _aperture_problem(job.spec.aperture, facts.apertures)
    if problem is not None:
        return RequestProblem("ApertureNotMeasured", f"spec.aperture {job.spec.aperture}: {problem}")
    if job.spec.cadence != "frame":
        message = f"spec.cadence {job.spec.cadence}: tables contain a row for every frame; write `frame`"
        return RequestProblem("CadenceNotOffered", message)
    return None


def _aperture_problem(aperture: int | None, measured: Apertures | None) -> str | None:
    if aperture is None:  # the calibrated one, which every row has
        return None
    if measured is None:
        return "the site's instrument profile, which lists the apertures, cannot be read"
    if measured == "auto":
        return (
            "only one aperture is measured, chosen by the seeing of each exposure (auto in the profile); leave "
            "spec.aperture out"
        )
    if aperture not in measured:
        return f"the measured apertures are {', '.join(map(str, measured))} pixel"
    return None


def _wait(facts: LightCurveFacts) -> Known | None:
    if facts.waiting_for:
        names = ", ".join(facts.waiting_for[:6]) + (" ..." if len(facts.waiting_for) > 6 else "")
        return Known("Succeeded", "Unknown", "WaitingForExposures", f"not reduced yet: {names}")
    if facts.job_of_another:
        return Known("Succeeded", "Unknown", "JobNameTaken", facts.job_of_another)
    if facts.writer is not None:
        return Known("Succeeded", "Unknown", "WaitingForTable", f"{facts.writer} writes to the table")
    return None


def _while_launched(job: LightCurveJob, facts: LightCurveFacts, now: float) -> Plan:
    seen = facts.job
    if seen is not None and seen.finished is None:
        known = [
            ACCEPTED,
            Known("Complete", "False", "Running"),
            Known("Succeeded", "Unknown", "Running", f"Job {seen.name}"),
        ]
        event = Event("Launched", f"Job {seen.name} appends to {job.spec.target_catalog}")
        return Plan(status=_status(job, known, facts, now), events=() if _launched(job) else (event,))
    if seen is not None and seen.finished == "Complete":
        rows = (facts.result or {}).get("rows", 0)
        known = [ACCEPTED, *_done("True", "Appended", f"{rows:,} rows")]
    else:
        reason, message = job_failure(seen)
        known = [ACCEPTED, *_done("False", reason, message)]
    last = known[-1]
    return Plan(
        status=_status(job, known, facts, now, done=True),
        expire=seen,
        events=(Event(last.reason, last.message, "Normal" if last.status == "True" else "Warning"),),
    )


def _done(succeeded: Any, reason: str, message: str) -> list[Known]:
    return [Known("Complete", "True", reason), Known("Succeeded", succeeded, reason, message)]


def _launched(job: LightCurveJob) -> bool:
    return job.status is not None and job.status.job is not None


def _status(
    job: LightCurveJob, known: Sequence[Known], facts: LightCurveFacts, now: float, *, done: bool = False
) -> dict[str, Any] | None:
    """Return the complete status, or None if nothing has changed."""
    old = job.status.model_dump(mode="json", exclude_none=True) if job.status else {}
    generation = job.metadata.generation or 0
    result = (facts.result or {}) if done else {}
    fresh: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": conditions(known, old.get("conditions", []), generation, now),
        "exposures": result.get("exposures", 0),
        "rows": result.get("rows", 0),
    }
    if "manifest" in result:
        fresh["manifest"] = result["manifest"]
    launched = {"name": facts.job.name, "uid": facts.job.uid} if facts.job else old.get("job")
    if launched:
        fresh["job"] = launched
    if done:
        fresh["completionTime"] = old.get("completionTime") or moment(now)
    return None if fresh == old else fresh
