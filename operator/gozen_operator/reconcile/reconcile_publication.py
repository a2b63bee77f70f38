"""Decide about the light curves of a LightCurveJob in Nextcloud: publish, try again, remove. No I/O.

Each attempt is a new Job. After a failure that needs a person (a wrong password, a policy of the server) there is no
further attempt until the spec changes. After all other failures there is one, with increasing pauses. A deletion waits
for the removal, but only for a limited time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gozen.errors import ExitCode
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.publish_request import PublishState
from gozen_operator.operator_settings import OperatorSettings, PublishSettings
from gozen_operator.reconcile.conditions import Known, conditions, moment, reason_of, status_of, stored_conditions
from gozen_operator.reconcile.facts import JobSeen, PublishFacts, PublishResult
from gozen_operator.reconcile.publish_manifests import publish_job, publisher_name, remover_name, unpublish_job
from gozen_operator.reconcile.publish_reports import (
    nevertheless,
    published_fields,
    published_message,
    removed_event,
    with_end,
)
from gozen_operator.reconcile.reconcile_plan import FINALIZER, Event, Plan
from gozen_operator.reconcile.sensor_outcome import job_failure

PUBLISHED = "Published"
_NEEDS_A_PERSON = frozenset({ExitCode.BAD_REQUEST, ExitCode.UNREADABLE_INPUT, ExitCode.NOT_ASKED_FOR, ExitCode.BUG})
_GOING_ON = ("Publishing", "Removing", "JobRefused", "JobNameTaken")
_LOST_REPORT = "the report of the pod is lost; to see the number of files and the link, increase publish.again"
_AGAIN = "when the cause is removed, increase publish.again"
_MEMORY = "nextcloud.resources.limits.memory"
_NO_ACCOUNT = "NextcloudNotConfigured"
_NOT_CONFIGURED = "this Gozen has no account at a Nextcloud; ask the administrator to set nextcloud.url in the chart"


def has_work(job: LightCurveJob) -> bool:
    """Tell whether the operator still has to publish or remove files, although the rows may be appended already."""
    if job.metadata.deletion_timestamp is not None:
        return FINALIZER in job.metadata.finalizers
    if job.spec.publish is None:
        return False
    state = _state(job)
    said = next((one for one in job.status.conditions if one.type == PUBLISHED), None) if job.status else None
    settled = said is not None and said.observed_generation == job.metadata.generation and said.reason not in _GOING_ON
    return not settled or state.retry_time is not None


def publication_plan(job: LightCurveJob, facts: PublishFacts, settings: OperatorSettings, now: float) -> Plan:
    """Return the plan for a LightCurveJob that is complete and not being deleted."""
    request, state, seen = job.spec.publish, _state(job), facts.publisher
    has_finalizer = FINALIZER in job.metadata.finalizers
    if request is None:
        return Plan(finalizer="remove" if has_finalizer else None)
    if status_of(stored_conditions(job), "Succeeded") != "True":
        return _said(job, state, Known(PUBLISHED, "False", "NotAppended", "no rows were appended"), now)
    wants_finalizer = request.on_delete == "Remove"
    if wants_finalizer != has_finalizer and (has_finalizer or settings.publish.is_configured):
        return Plan(finalizer="remove" if has_finalizer else "add", requeue_after_s=0.0)
    if seen is None and state.job is None:
        return _next_attempt(job, state, settings, now)
    if seen is None or seen.finished == "Failed":
        return _failed(job, state, seen, settings.publish, now, facts.result, always_again=False)
    if seen.finished is None:
        return _going_on(job, state, seen, Known(PUBLISHED, "Unknown", "Publishing", f"Job {seen.name}"), now)
    return _succeeded(job, state, seen, facts.result, now)


def deletion_plan(job: LightCurveJob, facts: PublishFacts, settings: OperatorSettings, now: float) -> Plan:
    """Return the plan for a LightCurveJob that is being deleted."""
    request, state, seen = job.spec.publish, _state(job), facts.remover
    if FINALIZER not in job.metadata.finalizers:
        return Plan()
    begun = state.attempts or state.job is not None or facts.publisher is not None
    if request is None or request.on_delete != "Remove" or not begun:
        return Plan(finalizer="remove")
    asked = job.metadata.deletion_timestamp
    assert asked is not None
    if seen is not None and seen.finished == "Complete":  # also if the operator sees this late
        event = removed_event(job.metadata.name, request.folder, state, facts.removal)
        return Plan(finalizer="remove", events=(event,))
    left_s = asked.timestamp() + settings.publish.remove_patience_s - now
    if left_s <= 0 or not settings.publish.is_configured:
        message = f"the files of {job.metadata.name} stay in the folder {request.folder} of Nextcloud: {_why(job)}"
        return Plan(finalizer="remove", events=(Event("NotRemoved", message, "Warning"),))
    plan = _removal(job, facts, state, settings, now)
    return replace(plan, requeue_after_s=min(left_s, plan.requeue_after_s or settings.look_s))


def _removal(
    job: LightCurveJob, facts: PublishFacts, state: PublishState, settings: OperatorSettings, now: float
) -> Plan:
    seen = facts.remover
    if facts.publisher is not None and facts.publisher.finished is None:
        return Plan()  # what it still sends would stay
    if seen is not None and seen.finished is None:
        return _going_on(job, state, seen, Known(PUBLISHED, "Unknown", "Removing", f"Job {seen.name}"), now)
    is_lost = seen is None and state.job is not None and state.job.name == remover_name(job)
    if is_lost or seen is not None:
        return _failed(job, state, seen, settings.publish, now, None, always_again=True)
    # A deletion raises the generation, so the first attempt does not wait for the next one to publish.
    wait_s = _wait_s(job, state, now)
    return Plan(requeue_after_s=wait_s) if wait_s else _create(unpublish_job(job, settings), settings)


def _next_attempt(job: LightCurveJob, state: PublishState, settings: OperatorSettings, now: float) -> Plan:
    wait_s = _wait_s(job, state, now)
    if wait_s is None:
        return Plan()
    if wait_s:
        return Plan(requeue_after_s=wait_s)
    if not settings.publish.is_configured:
        return _said(job, state, Known(PUBLISHED, "False", _NO_ACCOUNT, _NOT_CONFIGURED), now)
    if job.status is not None and job.status.published is None:
        # Noted before the Job exists: from now on the API server refuses that `publish` is removed from the spec.
        known = Known(PUBLISHED, "Unknown", "Publishing", f"Job {publisher_name(job)}")
        return replace(_said(job, state, known, now, {}), events=(), requeue_after_s=0.0)
    return _create(publish_job(job, settings), settings)


def _wait_s(job: LightCurveJob, state: PublishState, now: float) -> float | None:
    """Return the seconds until the next attempt; None if there is none."""
    # Earlier operators also gave this reason to what was published, so it says nothing about the last attempt.
    if state.generation != job.metadata.generation or reason_of(stored_conditions(job), PUBLISHED) == _NO_ACCOUNT:
        return 0.0
    return None if state.retry_time is None else max(0.0, state.retry_time.timestamp() - now)


def _create(manifest: dict[str, Any], settings: OperatorSettings) -> Plan:
    return Plan(create=manifest, requeue_after_s=settings.look_s)


def _going_on(job: LightCurveJob, state: PublishState, seen: JobSeen, known: Known, now: float) -> Plan:
    launched = {"name": seen.name, "uid": seen.uid}
    return _said(job, state, known, now, {"job": launched, "retryTime": None}, seen)


def _succeeded(
    job: LightCurveJob, state: PublishState, seen: JobSeen, result: PublishResult | None, now: float
) -> Plan:
    request = job.spec.publish
    assert request is not None
    found = None if result is None else replace(result, settled=True)
    message = f"published in the folder {request.folder}; {_LOST_REPORT}" if found is None else published_message(found)
    known = Known(PUBLISHED, "True", "Published", message)
    # Without a report, what was known remains: a link that exists still opens the folder.
    unknown = {"folder": request.folder} | ({} if request.link else {"link": ""})
    ended = {**(unknown if found is None else published_fields(found)), "failures": 0, "retryTime": None}
    return _said(job, state, known, now, {**ended, **_ended(state), "generation": seen.generation}, seen)


def _failed(
    job: LightCurveJob,
    state: PublishState,
    seen: JobSeen | None,
    settings: PublishSettings,
    now: float,
    result: PublishResult | None,
    *,
    always_again: bool,
) -> Plan:
    """Return the plan after an attempt that failed; the next one has a time unless the failure needs a person."""
    lost = ("JobLost", "its Job was removed before it was done")
    reason, message = job_failure(seen, _MEMORY) if seen is not None else lost
    generation = seen.generation if seen is not None else job.metadata.generation or 0
    code = seen.ends[-1].code if seen is not None and seen.ends else None
    is_new = generation != state.generation
    failures = 1 if is_new else state.failures + 1
    changes = {**_ended(state), "failures": failures, "generation": generation, "retryTime": None}
    changes |= published_fields(result)
    message += nevertheless(result, reason)
    if code in _NEEDS_A_PERSON and not always_again:
        known = Known(PUBLISHED, "False", reason, with_end(message, f"; {_AGAIN}"))
        return _said(job, state, known, now, changes, seen)
    usual_s = min(settings.retry_s * 2.0 ** min(failures - 1, 20), settings.longest_retry_s)
    pause_s = float(math.ceil(_spread(job) * usual_s))  # as exact as `retryTime`
    at = moment(now + pause_s)
    known = Known(PUBLISHED, "False", reason, with_end(message, f"; next attempt at {at}"))
    plan = _said(job, state, known, now, {**changes, "retryTime": at}, seen)
    return replace(plan, requeue_after_s=pause_s)


def _spread(job: LightCurveJob) -> float:
    """Return a factor from 0.75 to 1.25 for pauses, so that jobs that failed together do not all try again together."""
    digest = hashlib.sha256((job.metadata.uid or "").encode()).digest()
    return 0.75 + 0.5 * int.from_bytes(digest[:4]) / 2**32


def _ended(state: PublishState) -> dict[str, Any]:
    return {"attempts": state.attempts + 1, "job": None}


def _state(job: LightCurveJob) -> PublishState:
    return (job.status.published if job.status else None) or PublishState()


def _why(job: LightCurveJob) -> str:
    said = next((one for one in stored_conditions(job) if one["type"] == PUBLISHED), None)
    is_error = said is not None and said["status"] == "False"
    return str(said["message"]) if said and is_error and said.get("message") else "they were not removed in time"


def _said(
    job: LightCurveJob,
    state: PublishState,
    known: Known,
    now: float,
    changes: Mapping[str, Any] | None = None,
    seen: JobSeen | None = None,
) -> Plan:
    """Return the plan that writes the condition and the state; it is empty if nothing has changed.

    Parameters
    ----------
    changes
        Fields of the state that change; None removes one.
    seen
        The Job that they are about; the condition describes the spec that it carries out.
    """
    old = job.status.model_dump(mode="json", exclude_none=True) if job.status else {}
    before = old.get("conditions", [])
    generation = seen.generation if seen is not None else job.metadata.generation or 0
    ended = seen if seen is not None and seen.finished is not None else None
    # The other conditions stay as they are: they describe the rows, which a change of `publish` does not concern.
    kept = [one for one in before if one["type"] != PUBLISHED]
    fresh: dict[str, Any] = {**old, "conditions": [*kept, *conditions([known], before, generation, now)]}
    if changes is not None:
        whole = {**state.model_dump(mode="json", exclude_none=True), **changes}
        fresh["published"] = {word: value for word, value in whole.items() if value is not None}
    if fresh == old:
        return Plan(expire=ended)
    event = Event(known.reason, known.message, "Warning" if known.status == "False" else "Normal")
    return Plan(status=fresh, expire=ended, events=(event,))
