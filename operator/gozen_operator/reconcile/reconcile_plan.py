"""The plan that a reconcile returns; `process.controller` carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gozen_operator.reconcile.facts import JobSeen

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """What people read under a resource.

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
    """What is to be done about one resource, in this order.

    Parameters
    ----------
    create
        A Job, created unless one of its name exists.
    status
        The whole status that the operator owns; None leaves it as it is.
    expire
        A Job whose outcome is recorded, which may go from now on.
    delete
        Whether the resource itself goes; what it owns goes with it.
    events
        Told after the status is written.
    requeue_after_s
        When to look again though nothing happens.
    """

    create: Manifest | None = None
    status: Mapping[str, Any] | None = None
    expire: JobSeen | None = None
    delete: bool = False
    events: tuple[Event, ...] = ()
    requeue_after_s: float | None = None
