"""Build the status of an Exposure: conditions, counts, its Job. No I/O; `reconcile_exposure` decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gozen.resources.exposure import Exposure
from gozen_operator.reconcile.conditions import Known, conditions, moment
from gozen_operator.reconcile.facts import JobSeen
from gozen_operator.reconcile.sensor_outcome import ExposureOutcome

_REMEMBERED = "CalibrationAvailable"
"""A condition that describes how the result was obtained, and is kept."""


@dataclass(frozen=True)
class ExposureReport:
    """The content of an Exposure's status.

    Parameters
    ----------
    outcome
        Result of the sensors of the Exposure.
    job
        The Exposure's Job; None keeps the Job that the status names.
    completed
        Whether the Exposure is complete.
    """

    known: Sequence[Known]
    outcome: ExposureOutcome
    job: JobSeen | None = None
    completed: bool = False


def whole_status(
    exposure: Exposure, report: ExposureReport, now: float, *, keep_same_reason: bool = False
) -> Mapping[str, Any] | None:
    """Return the complete status, or None if nothing has changed.

    Parameters
    ----------
    keep_same_reason
        True: return None also if only messages have changed, because each write costs the API server time.
    """
    old = exposure.status.model_dump(mode="json", exclude_none=True) if exposure.status else {}
    generation = exposure.metadata.generation or 0
    before = old.get("conditions", [])
    known = report.known
    if all(one.type != _REMEMBERED for one in known):
        known = [*known, *_remembered(before)]
    fresh: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": conditions(known, before, generation, now),
        **report.outcome.counts(),
    }
    # A Job that is gone stays named: without its name it would be created a second time.
    launched = {"name": report.job.name, "uid": report.job.uid} if report.job else old.get("job")
    if launched:
        fresh["job"] = launched
    if report.completed:
        # Kept: a later write would restart the TTL.
        fresh["completionTime"] = old.get("completionTime") or moment(now)
    own = {one.type for one in known}
    kept = [one for one in before if one["type"] in own]
    if keep_same_reason and _reasons(kept) == _reasons(fresh["conditions"]):
        return None
    return None if fresh == {**old, "conditions": kept} else fresh


def _remembered(before: Sequence[Mapping[str, Any]]) -> list[Known]:
    found = [one for one in before if one["type"] == _REMEMBERED]
    return [Known(_REMEMBERED, one["status"], one["reason"], one.get("message", "")) for one in found]


def _reasons(found: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in found}
