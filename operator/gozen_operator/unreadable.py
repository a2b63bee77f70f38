"""What is to be done about a resource that the API server let pass and this version does not understand. Pure.

That is no end: nothing is done about it until it is mended, or until a version that understands it takes over. Until
then all that its status holds stays, its Job's name before all, so that nothing is made twice.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from gozen.resources.validation import label
from gozen_operator.conditions import Known, conditions, status_of
from gozen_operator.manifests import Manifest
from gozen_operator.plan import Event, Plan

REASON = "InvalidSpec"
OWN = ("Accepted", "RawAvailable", "Complete", "Succeeded")
_MOST_PROBLEMS = 4


def reconcile_unreadable(manifest: Manifest, error: ValidationError, now: float) -> Plan:
    """Return the plan that says which fields are not understood.

    Parameters
    ----------
    manifest
        The resource as the API server gave it.
    now
        Seconds since 1970.
    """
    old = {word: value for word, value in (manifest.get("status") or {}).items() if word != "claim"}
    before = [one for one in old.get("conditions", []) if one["type"] in OWN]
    deleted = manifest["metadata"].get("deletionTimestamp") is not None
    if deleted or status_of(before, "Complete") == "True":
        return Plan()
    message = problems(error)
    known = (
        Known("Accepted", "False", REASON, message),
        Known("Complete", "False", REASON),
        Known("Succeeded", "Unknown", REASON, message),
    )
    generation = manifest["metadata"].get("generation") or 0
    fresh = conditions(known, before, generation, now)
    kept = [one for one in before if one["type"] not in {one.type for one in known}]
    status: dict[str, Any] = {**old, "conditions": [*fresh, *kept]}
    if {one["type"]: one for one in status["conditions"]} == {one["type"]: one for one in before}:
        return Plan()
    return Plan(status=status, events=(Event(REASON, message, "Warning"),))


def problems(error: ValidationError) -> str:
    """Return a sentence that names each field, such as ``spec.nframe: ...``."""
    found = error.errors(include_url=False, include_input=False)
    said = [f"{label(one['loc'])}: {one['msg'].removeprefix('Value error, ')}" for one in found[:_MOST_PROBLEMS]]
    more = f"; and {len(found) - len(said)} more" if len(found) > len(said) else ""
    return "; ".join(said) + more
