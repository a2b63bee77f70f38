"""The plan that a reconcile returns; `process.controller` carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gozen_operator.reconcile.facts import JobSeen

FINALIZER = "gozen.astro/published"
"""Keeps a LightCurveJob from being deleted before its files in Nextcloud are removed."""
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """An Event of Kubernetes about a resource.

    Parameters
    ----------
    reason
        One word in CamelCase.
    """

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True)
class Plan:
    """The writes for one resource, in this order.

    Parameters
    ----------
    create
        The Job to create, unless a Job with its name exists.
    status
        The complete status that the operator owns; None changes nothing.
    expire
        A Job whose outcome is recorded; it gets a TTL.
    finalizer
        Whether the finalizer `FINALIZER` is added to the resource or removed from it.
    delete
        Whether the resource is deleted, with all objects that it owns.
    events
        Created after the status is written, or after the finalizer is removed.
    requeue_after_s
        Seconds until the next reconcile if nothing changes before.
    """

    create: Manifest | None = None
    status: Mapping[str, Any] | None = None
    expire: JobSeen | None = None
    finalizer: Literal["add", "remove"] | None = None
    delete: bool = False
    events: tuple[Event, ...] = ()
    requeue_after_s: float | None = None
