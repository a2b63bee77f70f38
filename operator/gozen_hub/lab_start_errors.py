"""Why a lab did not start, as an error that the hub's pages show. No I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from jupyterhub.spawner import SpawnException

from gozen_hub.pod_waits import FETCHED, quota_of

_LONGEST = 600


class LabNotStarted(SpawnException):  # type: ignore[misc]  # jupyterhub has no type hints
    """A lab did not start.

    Parameters
    ----------
    message
        A sentence for the user: what happened, and what to do.
    reason
        A word for the metrics of the hub.
    """

    is_of_a_lab = True
    """Lets the error page say that a lab did not start, instead of that a page does not answer."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason=reason, status_code=HTTPStatus.SERVICE_UNAVAILABLE.value)
        # A page of the hub that shows an earlier error shows only this attribute.
        self.jupyterhub_message = message


def too_late(seconds: float, awaited: str, events: Sequence[dict[str, Any]], error: str) -> LabNotStarted:
    """Return the error of a lab that did not start in time.

    Parameters
    ----------
    awaited
        What its pod waits for; empty if Kubernetes did not make one.
    events
        The events of its pod, in the order of time.
    error
        Message of the error that ended the wait; it may be empty.
    """
    if not awaited:
        what = error or "the cluster does not answer"
        return LabNotStarted(f"the lab did not start: {what}; try again in a minute", "cluster")
    warnings = [str(one["message"]) for one in events if one.get("type") == "Warning"]
    if awaited == FETCHED and warnings:
        # Volumes have no other word for what is wrong, such as one that a lost node has not given back.
        awaited = f"{awaited}, but: {warnings[-1][:_LONGEST]}; try again in some minutes, or ask your administrator"
    return LabNotStarted(f"the lab did not start within {seconds:g} s: {awaited}", "waited")


def refused(error: Exception) -> LabNotStarted:
    """Return the error of a lab whose pod the API server refused, or about which it did not answer."""
    status, message = int(getattr(error, "status", 0) or 0), _message(error)
    if quota := quota_of(message):
        return LabNotStarted(
            f"your quota is used up (needed: {quota['needed']}; used: {quota['used']}; at most: {quota['most']}): wait "
            "a minute until your workers have ended, choose a smaller size, or ask your administrator",
            "quota",
        )
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return LabNotStarted(f"Kubernetes refuses the lab: {message}; show this to your administrator", "refused")
    return LabNotStarted(f"the cluster does not answer ({message}); try again in a minute", "cluster")


def _message(error: Exception) -> str:
    """Return what the API server said, from its JSON if there is any."""
    try:
        return str(json.loads(getattr(error, "body", None) or "")["message"])
    except (ValueError, KeyError, TypeError):
        return str(getattr(error, "reason", None) or error)[:_LONGEST]
