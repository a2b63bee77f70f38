"""The Lease that makes one operator at a time act: taken, renewed, lost. Decisions are pure, requests go by `Api`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from gozen.errors import as_gozen_error

log = logging.getLogger(__name__)
NAME = "gozen-operator"
DURATION_S = 15.0
RENEW_S = 5.0
Manifest = dict[str, Any]


class Leases(Protocol):
    """As much of the API as a lease needs."""

    def lease(self, namespace: str, name: str) -> Manifest | None:
        """Return a Lease, or None."""

    def write_lease(self, namespace: str, manifest: Manifest) -> bool:
        """Create or replace a Lease; False when somebody else was faster."""


@dataclass
class SeenLease:
    """Another's Lease, and when its present version was first seen here: clocks of other machines are not trusted.

    Parameters
    ----------
    is_held
        Whether another one had it when it was read last.
    """

    version: str = ""
    since: float = 0.0
    is_held: bool = False


def is_free(lease: Mapping[str, Any] | None, identity: str, seen: SeenLease, now: float) -> bool:
    """Tell whether a Lease may be taken: it is ours, given back, or silent for longer than it lasts."""
    if lease is None:
        seen.is_held = False
        return True
    holder = (lease.get("spec") or {}).get("holderIdentity")
    seen.is_held = bool(holder) and holder != identity
    if not seen.is_held:
        return True
    version = lease["metadata"]["resourceVersion"]
    if version != seen.version:
        seen.version, seen.since = version, now
    return now - seen.since > DURATION_S


def renewed_lease(lease: Mapping[str, Any] | None, namespace: str, identity: str, wall: float) -> Manifest:
    """Return the Lease as this holder writes it."""
    moment = datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    old = dict((lease or {}).get("spec") or {})
    is_new = old.get("holderIdentity") != identity
    spec = {
        "holderIdentity": identity,
        "leaseDurationSeconds": int(DURATION_S),
        "renewTime": moment,
        "acquireTime": moment if is_new else old.get("acquireTime", moment),
        "leaseTransitions": int(old.get("leaseTransitions") or 0) + (is_new and bool(old)),
    }
    meta = {"name": NAME, "namespace": namespace}
    if lease is not None:
        meta["resourceVersion"] = lease["metadata"]["resourceVersion"]
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}


def try_to_hold(api: Leases, namespace: str, identity: str, seen: SeenLease, now: float, wall: float) -> bool:
    """Take or renew the Lease; False when another holds it.

    Parameters
    ----------
    now
        Seconds that only grow.
    wall
        Seconds since 1970.
    """
    lease = api.lease(namespace, NAME)
    if not is_free(lease, identity, seen, now):
        return False
    return api.write_lease(namespace, renewed_lease(lease, namespace, identity, wall))


def give_back(api: Leases, namespace: str, identity: str, wall: float) -> None:
    """Let another operator begin at once."""
    lease = api.lease(namespace, NAME)
    if lease is not None and (lease.get("spec") or {}).get("holderIdentity") == identity:
        manifest = renewed_lease(lease, namespace, identity, wall)
        manifest["spec"]["holderIdentity"] = ""
        api.write_lease(namespace, manifest)


class Tenure:
    """What one process knows of its share in the Lease; whoever cannot tell that it holds it does not hold it.

    Parameters
    ----------
    identity
        Under which it holds it.
    """

    def __init__(self, api: Leases, namespace: str, identity: str) -> None:
        self.api, self.namespace, self.identity = api, namespace, identity
        self._seen = SeenLease()
        self._held_at = float("-inf")
        self._is_over = False
        self._asking = threading.Lock()

    def hold(self, now: float, wall: float) -> bool:
        """Take or renew it; False when another one has it, or nobody can tell. Times are those of `try_to_hold`."""
        try:
            with self._asking:
                if self._is_over:
                    return False
                holds = try_to_hold(self.api, self.namespace, self.identity, self._seen, now, wall)
                if not holds and self._seen.is_held:
                    self._held_at = float("-inf")  # a machine that slept may learn here that another one acts
        except Exception as error:  # whatever an answer may hold: a task that dies of it would act on without its Lease
            known = as_gozen_error(error)
            log.warning("lease: %s: %s", known.name, known)
            return False
        if holds:
            self._held_at = now  # others count from the request, not from its answer
        return holds

    def left_s(self, now: float) -> float:
        """Return how long this process may act on without renewing: it ends one renewal before others may begin."""
        return self._held_at + DURATION_S - RENEW_S - now

    def give_back(self, wall: float) -> None:
        """Let another operator begin at once; a renewal that is late does not take it again."""
        with self._asking:
            self._is_over = True
            give_back(self.api, self.namespace, self.identity, wall)
