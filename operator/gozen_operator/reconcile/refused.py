"""Plans for invalid resources and for rejected Jobs. No I/O.

No such plan is final: the reconcile is retried, and succeeds when the cause has ended. Until then the status keeps its
content, above all the name of the Job, so that no second Job is created.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from gozen.errors import problem_of
from gozen.resources.validation import label
from gozen_operator.reconcile.conditions import Known, conditions, reason_of, status_of
from gozen_operator.reconcile.object_fields import Manifest, Owner
from gozen_operator.reconcile.publish_manifests import is_publishing
from gozen_operator.reconcile.reconcile_plan import Event, Plan
from gozen_operator.reconcile.reconcile_publication import PUBLISHED

OWN = ("Accepted", "RawAvailable", "CalibrationAvailable", "Complete", "Succeeded", PUBLISHED)
_OBSERVERS = ("claim", "over")
AGAIN_S = 60.0
_MOST_PROBLEMS = 4


def reconcile_unreadable(manifest: Manifest, error: ValidationError, now: float) -> Plan:
    """Return the plan for a resource that the API server has admitted and that is invalid for this version.

    Parameters
    ----------
    manifest
        The resource as the API server gave it.
    now
        Seconds since 1970.
    """
    deleted = manifest["metadata"].get("deletionTimestamp") is not None
    if deleted or status_of(_before(manifest), "Complete") == "True":
        return Plan()
    message = problems(error)
    accepted = Known("Accepted", "False", "InvalidSpec", message)
    return _said(manifest, "InvalidSpec", message, now, accepted, *_incomplete("InvalidSpec", message))


def job_refused(manifest: Manifest, job: Manifest, message: str, now: float) -> Plan:
    """Return the plan for a resource whose Job the API server refuses: a quota, or settings of the pods."""
    # The message of a quota has counts that change: written each time, its own event would cause the next attempt.
    return _not_created(manifest, job, "JobRefused", message, now, AGAIN_S)


def job_name_taken(manifest: Manifest, job: Manifest, message: str, now: float, again_s: float) -> Plan:
    """Return the plan for a resource whose Job cannot be created because another Job has its name."""
    return _not_created(manifest, job, "JobNameTaken", message, now, again_s)


def _not_created(manifest: Manifest, job: Manifest, reason: str, message: str, now: float, again_s: float) -> Plan:
    publishes = is_publishing(job)
    if reason_of(_before(manifest), PUBLISHED if publishes else "Succeeded") == reason:
        return Plan(requeue_after_s=again_s)
    # A Job that publishes concerns its own condition only: the rows are in the table.
    known = [Known(PUBLISHED, "False", reason, message)] if publishes else _incomplete(reason, message)
    return replace(_said(manifest, reason, message, now, *known), requeue_after_s=again_s)


def taken_by(name: str, other: Owner | None, mine: Owner) -> str:
    """Return a message: who owns the Job that has the name of a resource's own Job, and when the name is free."""
    if other is None:
        return f"the name {name} is taken by a Job that no resource of Gozen owns; delete that Job"
    whose = f"{other.key.kind} {other.key.name}"
    if other.key != mine.key:
        return (
            f"the name {name} is taken by a Job that belongs to {whose}; delete that resource, or give this one "
            "another name"
        )
    return f"Job {name} belongs to the deleted {whose}; this one starts when the cluster has removed that Job"


def problems(error: ValidationError) -> str:
    """Return a sentence that names each field, such as ``spec.nframe: ...``."""
    found = error.errors(include_url=False, include_input=False)
    said = [f"{label(one['loc'])}: {problem_of(one['msg'])}" for one in found[:_MOST_PROBLEMS]]
    more = f"; and {len(found) - len(said)} more" if len(found) > len(said) else ""
    return "; ".join(said) + more


def _before(manifest: Manifest) -> Sequence[Mapping[str, Any]]:
    found = (manifest.get("status") or {}).get("conditions", [])
    return [one for one in found if one["type"] in OWN]


def _incomplete(reason: str, message: str) -> list[Known]:
    return [Known("Complete", "False", reason), Known("Succeeded", "Unknown", reason, message)]


def _said(manifest: Manifest, reason: str, message: str, now: float, *known: Known) -> Plan:
    """Return the plan that changes some conditions and leaves the rest of the operator's part of a status."""
    before = _before(manifest)
    fresh = conditions(known, before, manifest["metadata"].get("generation") or 0, now)
    kept = [one for one in before if one["type"] not in {one.type for one in known}]
    if _by_type([*fresh, *kept]) == _by_type(before):
        return Plan()
    # By a forced apply the operator would become an owner of the observer's fields.
    old = {word: value for word, value in (manifest.get("status") or {}).items() if word not in _OBSERVERS}
    event = Event(reason, message, "Warning")
    return Plan(status={**old, "conditions": [*fresh, *kept]}, events=(event,))


def _by_type(found: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {one["type"]: one for one in found}
