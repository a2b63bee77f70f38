"""Conditions of a status, with the time of their last change. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.observation import Observation

LONGEST_MESSAGE = 1024


@dataclass(frozen=True)
class Known:
    """Present knowledge of one condition."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""


def moment(now: float) -> str:
    """Return seconds since 1970 as RFC 3339 text, UTC, whole seconds."""
    return datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z")


def stored_conditions(resource: Observation | Exposure | LightCurveJob) -> list[dict[str, Any]]:
    """Return the conditions that a resource has, as plain data."""
    found = resource.status.conditions if resource.status else []
    return [one.model_dump(mode="json", exclude_none=True) for one in found]


def conditions(
    known: Iterable[Known], old: Iterable[Mapping[str, Any]], generation: int, now: float
) -> list[dict[str, Any]]:
    """Return conditions in the form of a status; their transition time changes only with their status.

    Parameters
    ----------
    old
        Conditions of the present status.
    generation
        Generation of the spec that they describe.
    now
        Seconds since 1970.
    """
    before = {one["type"]: one for one in old}
    found = []
    for one in known:
        last = before.get(one.type)
        # A new message must not restart a time limit that counts from a transition (`calibration_patience_s`).
        since = last["lastTransitionTime"] if last and last["status"] == one.status else moment(now)
        found.append(
            {
                "type": one.type,
                "status": one.status,
                "reason": one.reason,
                "message": shortened(one.message),
                "observedGeneration": generation,
                "lastTransitionTime": since,
            }
        )
    return found


def status_of(found: Iterable[Mapping[str, Any]], type_: str) -> str | None:
    """Return the status of a condition, or None if the resource does not have this condition."""
    return next((one["status"] for one in found if one["type"] == type_), None)


def reason_of(found: Iterable[Mapping[str, Any]], type_: str) -> str | None:
    """Return the reason of a condition, or None if the resource does not have this condition."""
    return next((one["reason"] for one in found if one["type"] == type_), None)


def shortened(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """Return a text that is short enough for a status; a text that is cut ends with an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
