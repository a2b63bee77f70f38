"""Decide what to do about an Exposure, from its spec and status, the facts and the time. No I/O.

The archive shows which sensors are reduced, and the Exposure's status records its only Job; the decision does not use
any memory of the operator. The deletion of complete Exposures and Jobs is decided here too (`exposure_ttl_s`,
`job_ttl_s`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gozen.resources.exposure import Exposure
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.conditions import Known, reason_of, status_of, stored_conditions
from gozen_operator.reconcile.exposure_status import ExposureReport, whole_status
from gozen_operator.reconcile.facts import ExposureFacts, JobSeen, RequestProblem
from gozen_operator.reconcile.job_manifests import ENDS_ALL, ENDS_ITS_GROUP, exposure_job
from gozen_operator.reconcile.reconcile_plan import Event, Plan
from gozen_operator.reconcile.sensor_outcome import ExposureOutcome, counted, end_of, outcome_of

ACCEPTED = Known("Accepted", "True", "Valid", "it can be carried out")


def reconcile_exposure(exposure: Exposure, facts: ExposureFacts, settings: OperatorSettings, now: float) -> Plan:
    """Return the plan for an Exposure.

    Parameters
    ----------
    facts
        They may be older or newer than the Exposure: the next reconcile corrects a plan from outdated facts.
    now
        Seconds since 1970.
    """
    if exposure.metadata.deletion_timestamp is not None:
        return Plan()
    if status_of(stored_conditions(exposure), "Complete") == "True":
        return _after_completion(exposure, facts, settings, now)
    refusal = _refusal(exposure, facts)
    if refusal is not None and not _runs(facts):
        return _refused(exposure, refusal, now)
    # A Job that the status names and that is gone may have done its work: it is not created again.
    if facts.job is not None or _launched(exposure):
        return _while_launched(exposure, facts, settings, now)
    return _before_launch(exposure, facts, settings, now)


def wanted_sensors(exposure: Exposure, known: Sequence[str]) -> list[str]:
    """Return the sensors to reduce, in the order of the profile."""
    asked = exposure.spec.sensors
    return [sensor for sensor in known if not asked or sensor in asked]


def _runs(facts: ExposureFacts) -> bool:
    """Tell whether the Job of the Exposure runs; a change of profile or settings does not stop a Job."""
    return facts.job is not None and facts.job.finished is None


def _launched(exposure: Exposure) -> bool:
    return exposure.status is not None and exposure.status.job is not None


def _refusal(exposure: Exposure, facts: ExposureFacts) -> RequestProblem | None:
    """Return why the request is invalid; None if it is valid."""
    spec = exposure.spec
    if facts.problem is not None:
        return facts.problem
    unknown = [sensor for sensor in spec.sensors if sensor not in facts.known_sensors]
    if unknown:
        have = f"it has {_some(facts.known_sensors)}"
        message = f"spec.sensors: {spec.instrument} has no sensor {', '.join(unknown)}; {have}"
        return RequestProblem("UnknownSensor", message)
    if spec.exposure_id is None or spec.night is None:
        word = "exposureId" if spec.exposure_id is None else "night"
        message = f"spec.{word} is missing; give that of an exposure whose raw data are in the archive"
        return RequestProblem("NotReserved", message)
    if facts.duplicate_of is not None and facts.duplicate_stays:
        message = f"{_taken(exposure, facts)}; set spec.run to another name to reduce it again"
        return RequestProblem("ExposureIdTaken", message)
    return None


def _taken(exposure: Exposure, facts: ExposureFacts) -> str:
    spec = exposure.spec
    return f"spec.exposureId {spec.exposure_id} of {spec.night} in run {spec.run} belongs to {facts.duplicate_of}"


def _refused(exposure: Exposure, problem: RequestProblem, now: float) -> Plan:
    reason, message = problem.reason, problem.message
    known = [
        Known("Accepted", "False", reason, message),
        Known("Complete", "True", reason, "Gozen does not process it"),
        Known("Succeeded", "False", reason, message),
    ]
    status = whole_status(exposure, ExposureReport(known, ExposureOutcome(0), completed=True), now)
    return Plan(status=status, events=(Event(reason, message, "Warning"),))


def _before_launch(exposure: Exposure, facts: ExposureFacts, settings: OperatorSettings, now: float) -> Plan:
    wanted = wanted_sensors(exposure, facts.known_sensors)
    if _keeps_its_turn(exposure, facts):
        return Plan(requeue_after_s=0.0 if facts.may_launch else None)
    wait = _wait(exposure, facts, wanted, settings, now)
    if wait is not None:
        again_s = _again_s(exposure, facts, wait.reason, settings, now)
        if wait.reason == "WaitingForCalibration" and again_s == 0.0:
            return _without_calibration(exposure, facts, len(wanted), settings, now)
        return Plan(status=_waiting(exposure, wait, len(wanted), now), requeue_after_s=again_s)
    assert facts.raw is not None
    assert facts.commits is not None
    if exposure.spec.data_type == "OBJECT" and not exposure.spec.pipelines:
        known = [
            ACCEPTED,
            _raw(facts, wanted),
            *_done("True", "RawOnly", "the raw data are kept; the Exposure requests no pipeline"),
        ]
        report = ExposureReport(known, ExposureOutcome(len(wanted)), completed=True)
        return Plan(status=whole_status(exposure, report, now))
    if set(wanted) <= {*facts.commits, *(set(wanted) - facts.raw)}:
        return _finished(exposure, facts, wanted, now)
    return Plan(create=exposure_job(exposure, wanted, settings), requeue_after_s=settings.look_s)


def _keeps_its_turn(exposure: Exposure, facts: ExposureFacts) -> bool:
    """Tell whether the Exposure remains in the queue. For such an Exposure, the archive was not read again."""
    asked = facts.raw is not None or facts.trouble is not None
    return reason_of(stored_conditions(exposure), "Succeeded") == "Queued" and not asked and not facts.suspended


def _wait(
    exposure: Exposure, facts: ExposureFacts, wanted: Sequence[str], settings: OperatorSettings, now: float
) -> Known | None:
    """Return what an Exposure waits for before its Job may begin; None if it does not wait."""
    if facts.duplicate_of is not None:
        going = f"{_taken(exposure, facts)}, which is being deleted; this Exposure starts after that"
        return Known("Succeeded", "Unknown", "ExposureIdTaken", going)
    if facts.suspended:
        return Known("Succeeded", "Unknown", "Suspended", "its Observation is suspended")
    if facts.trouble is not None:
        return Known("Succeeded", "Unknown", "StorageUnavailable", facts.trouble)
    if facts.raw is None or facts.commits is None:
        return Known("Succeeded", "Unknown", "WaitingForRaw", "the archive has not been checked yet")
    missing = [sensor for sensor in wanted if sensor not in facts.raw and sensor not in facts.commits]
    if missing and not _patience_is_over(exposure, settings, now):
        there = len(wanted) - len(missing)
        return Known(
            "Succeeded",
            "Unknown",
            "WaitingForRaw",
            f"raw data of {there} of {len(wanted)} sensors have arrived; missing: {_some(missing)}",
        )
    if facts.calibration and _is_calibrated(exposure) and not _went_on(exposure):
        return Known(
            "Succeeded", "Unknown", "WaitingForCalibration", f"waits until {_some(facts.calibration)} is reduced"
        )
    if facts.job_of_another:
        return Known("Succeeded", "Unknown", "JobNameTaken", facts.job_of_another)
    if not facts.may_launch:
        limit = settings.max_active_jobs
        return Known(
            "Succeeded",
            "Unknown",
            "Queued",
            f"{facts.ahead} Exposures are ahead of it in the queue; at most {limit} Jobs run at the same time",
        )
    return None


def _waiting(exposure: Exposure, wait: Known, sensors: int, now: float) -> Mapping[str, Any] | None:
    has_raw = wait.reason in ("WaitingForCalibration", "JobNameTaken", "Queued")
    raw = (
        Known("RawAvailable", "True", "Arrived")
        if has_raw
        else Known("RawAvailable", "False", wait.reason, wait.message)
    )
    known = [ACCEPTED, raw, Known("Complete", "False", wait.reason), wait]
    return whole_status(exposure, ExposureReport(known, ExposureOutcome(sensors)), now, keep_same_reason=True)


def _again_s(
    exposure: Exposure, facts: ExposureFacts, reason: str, settings: OperatorSettings, now: float
) -> float | None:
    """Return the seconds until the next reconcile; None if the change of another resource triggers it."""
    if reason in ("WaitingForRaw", "StorageUnavailable", "JobNameTaken", "ExposureIdTaken"):
        return settings.look_s
    if reason != "WaitingForCalibration":
        return None
    found = exposure.status.conditions if exposure.status else []
    arrived = [one.last_transition_time for one in found if one.type == "RawAvailable" and one.status == "True"]
    # Not from before this operator acted: after an outage the calibration has had no chance to be reduced.
    begin = max(arrived[0].timestamp(), facts.watched_since) if arrived else now
    return max(settings.calibration_patience_s - (now - begin), 0.0)


def _is_calibrated(exposure: Exposure) -> bool:
    return exposure.spec.data_type != "OBJECT" or bool(exposure.spec.pipelines)


def _went_on(exposure: Exposure) -> bool:
    """Tell whether the status records that the Exposure no longer waits for calibration."""
    return status_of(stored_conditions(exposure), "CalibrationAvailable") == "False"


def _without_calibration(
    exposure: Exposure, facts: ExposureFacts, sensors: int, settings: OperatorSettings, now: float
) -> Plan:
    """Return the plan that records the end of the wait for calibration; the next reconcile continues."""
    reason = "CalibrationIncomplete"
    waited_s = settings.calibration_patience_s
    message = (
        f"it is reduced with the masters that are in the archive, because it has waited {waited_s:g} s for the "
        f"calibration {_some(facts.calibration)}"
    )
    known = _working(reason, message)
    known.append(Known("CalibrationAvailable", "False", reason, message))
    # Recorded before the Job exists: after a crash in between, the status still says what the result lacks.
    status = whole_status(exposure, ExposureReport(known, ExposureOutcome(sensors)), now)
    return Plan(status=status, events=(Event(reason, message, "Warning"),), requeue_after_s=0.0)


def _while_launched(exposure: Exposure, facts: ExposureFacts, settings: OperatorSettings, now: float) -> Plan:
    wanted = wanted_sensors(exposure, facts.known_sensors)
    job = facts.job
    if job is None or job.finished is not None:
        if facts.commits is not None and facts.raw is not None:
            return _finished(exposure, facts, wanted, now)
        trouble = facts.trouble or "the archive has not been read yet"
        known = _working("StorageUnavailable", f"the Job is finished, but its outcome cannot be read: {trouble}")
        report = ExposureReport(known, ExposureOutcome(len(wanted)), job)
        status = whole_status(exposure, report, now, keep_same_reason=True)
        return Plan(status=status if facts.trouble else None, requeue_after_s=settings.look_s)
    known = _working(*_progress(job, settings.retries))
    report = ExposureReport(known, ExposureOutcome(len(wanted)), job)
    status = whole_status(exposure, report, now, keep_same_reason=True)
    event = Event("Launched", f"Job {job.name} reduces {len(wanted)} sensors")
    return Plan(status=status, events=() if _launched(exposure) else (event,))


def _working(reason: str, message: str) -> list[Known]:
    return [
        ACCEPTED,
        Known("RawAvailable", "True", "Arrived"),
        Known("Complete", "False", reason),
        Known("Succeeded", "Unknown", reason, message),
    ]


def _progress(job: JobSeen, retries: int) -> tuple[str, str]:
    """Return reason and message of a Job that is not finished."""
    if job.queued:
        return "WaitingForQuota", "its Job waits for capacity of the cluster"
    again = [end for end in job.ends if end.code not in (*ENDS_ALL, *ENDS_ITS_GROUP)]
    if not again:
        return "Running", f"Job {job.name}"
    reason, message = end_of(again[-1])
    return "Retrying", (
        f"{counted(again)}, the last by {reason}: {message}; Kubernetes starts at most {retries} more pods for the "
        "same sensors"
    )


def _finished(exposure: Exposure, facts: ExposureFacts, wanted: Sequence[str], now: float) -> Plan:
    """Return the plan that records the outcome; the Job is kept, and is deleted with the Exposure."""
    found = outcome_of(exposure.spec.sensors_per_pod, wanted, facts)
    known = [ACCEPTED, _raw(facts, wanted), *_done(found.succeeded, found.reason, found.message)]
    status = whole_status(exposure, ExposureReport(known, found, facts.job, completed=True), now)
    event = Event(found.reason, found.message, "Normal" if found.succeeded == "True" else "Warning")
    return Plan(status=status, events=(event,))


def _after_completion(exposure: Exposure, facts: ExposureFacts, settings: OperatorSettings, now: float) -> Plan:
    """Return the plan that deletes a complete Exposure after its TTL, or expires its Job before that."""
    assert exposure.status is not None
    ended = exposure.status.completion_time
    if ended is None or status_of(stored_conditions(exposure), "Accepted") == "False":
        return Plan()  # a refusal stays until somebody has read it; it has no Job
    age_s = now - ended.timestamp()
    # Its Observation counts its Exposures by listing them: one that is deleted too early would be missing.
    if age_s >= settings.exposure_ttl_s and not facts.held:
        return Plan(delete=True)
    has_job = facts.job is not None and not facts.job.expires
    left_s = [settings.exposure_ttl_s - age_s, *([settings.job_ttl_s - age_s] if has_job else [])]
    expire = facts.job if has_job and age_s >= settings.job_ttl_s else None
    return Plan(expire=expire, requeue_after_s=min((one for one in left_s if one > 0), default=None))


def _raw(facts: ExposureFacts, wanted: Sequence[str]) -> Known:
    missing = [sensor for sensor in wanted if sensor not in (facts.raw or ())]
    if missing:
        return Known("RawAvailable", "False", "RawMissing", f"no raw data of {_some(missing)}")
    return Known("RawAvailable", "True", "Arrived")


def _done(succeeded: Any, reason: str, message: str) -> list[Known]:
    return [Known("Complete", "True", reason), Known("Succeeded", succeeded, reason, message)]


def _patience_is_over(exposure: Exposure, settings: OperatorSettings, now: float) -> bool:
    made = exposure.metadata.creation_timestamp
    return made is not None and now - made.timestamp() > settings.raw_patience_s


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
