"""Choose the Observation to claim next: by claim, target of opportunity, priority and age. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from gozen.resources.metadata import Condition
from gozen.resources.observation import Claim, Observation

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


def choose(observations: Iterable[Observation], me: Claim, claim_s: float) -> Observation | None:
    """Return the Observation to execute next, or None if none may be executed.

    First comes an Observation that this observer has begun, then a target of opportunity, then the order is by priority
    and by age.

    Parameters
    ----------
    me
        The claim that this process would write now; claims of earlier processes with its name count as its own. If an
        Observation has a time window, the window must have begun by the time of this claim.
    claim_s
        Seconds of silence after which another observer's claim is void.
    """
    open_ = [one for one in observations if _is_open(one, me.renewed) and _is_free(one, me, claim_s)]
    return min(open_, key=lambda one: _order(one, me.holder), default=None)


def over(observations: Iterable[Observation], me: Claim, claim_s: float) -> list[Observation]:
    """Return Observations that have ended but are not marked as ended; parameters as in `choose`.

    Possible causes: the observer died after it had set the last condition and before it set the mark; the operator
    refused the Observation; or an older version, which sets no mark, executed it.
    """
    return [one for one in observations if _is_over(one) and not _is_marked(one) and _is_free(one, me, claim_s)]


def condition_of(observation: Observation, type_: str) -> Condition | None:
    """Return a condition of an Observation, or None if its status lacks the condition."""
    found = observation.status.conditions if observation.status else []
    return next((one for one in found if one.type == type_), None)


def is_accepted(observation: Observation) -> bool:
    """Tell whether the operator has accepted an Observation, by its condition Accepted."""
    accepted = condition_of(observation, "Accepted")
    return accepted is not None and accepted.status == "True"


def _is_open(observation: Observation, now: datetime) -> bool:
    if observation.metadata.deletion_timestamp is not None or observation.spec.suspend:
        return False
    window = observation.spec.time_window
    in_time = window is None or window.start <= now
    return is_accepted(observation) and not _is_over(observation) and in_time


def _is_over(observation: Observation) -> bool:
    executed, complete = condition_of(observation, "Executed"), condition_of(observation, "Complete")
    return (executed is not None and executed.status != "Unknown") or (
        complete is not None and complete.status == "True"
    )


def _is_marked(observation: Observation) -> bool:
    return observation.status is not None and observation.status.over is True


def _is_free(observation: Observation, me: Claim, claim_s: float) -> bool:
    claim = observation.status.claim if observation.status else None
    if claim is None or me.renewed - claim.renewed > timedelta(seconds=claim_s):
        return True
    # Sessions sort by start. If the name were enough, two live processes would take it from each other for ever.
    return claim.holder == me.holder and claim.session <= me.session


def _order(observation: Observation, holder: str) -> tuple[bool, bool, float, datetime, str]:
    claim = observation.status.claim if observation.status else None
    begun = claim is not None and claim.holder == holder
    spec, meta = observation.spec, observation.metadata
    age = meta.creation_timestamp or _BEGINNING
    return not begun, not spec.target_of_opportunity, -spec.priority, age, meta.name
