"""Leader election by a Lease: one operator acts at a time. Decisions are pure functions; requests are sent by `Leases`.

The race: two processes try to acquire a free Lease, or a leader that was stalled resumes. Each write names the version
that was read, so the API server rejects the second write. A Lease expires by the clock of the process that waits, and
its holder stops one renewal before another process may begin.
"""

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
    """The part of the API that a Lease needs."""

    def lease(self, namespace: str, name: str) -> Manifest | None:
        """Return a Lease, or None."""

    def write_lease(self, namespace: str, manifest: Manifest) -> bool:
        """Create or replace a Lease; False when another process was faster."""


@dataclass
class SeenLease:
    """A Lease as last read, and when this process first saw that version: other machines' clocks are not trusted.

    Parameters
    ----------
    is_held
        Whether another process held it at the last read.
    """

    version: str = ""
    since: float = 0.0
    is_held: bool = False


def is_free(lease: Mapping[str, Any] | None, identity: str, seen: SeenLease, now: float) -> bool:
    """Tell whether this process can acquire a Lease: it has it already, or the Lease was released or has expired."""
    if lease is None:
        seen.is_held = False
        return True
    holder = (lease.get("spec") or {}).get("holderIdentity")
    seen.is_held = bool(holder) and holder != identity
    if not seen.is_held:
        return True
    version = lease["metadata"]["resourceVersion"]
    # A process that has just started waits a whole duration, however old renewTime is: that clock may be wrong.
    if version != seen.version:
        seen.version, seen.since = version, now
    return now - seen.since > DURATION_S


def held(lease: Mapping[str, Any] | None, namespace: str, identity: str, wall: float) -> Manifest:
    """Return the Lease that a process writes to acquire or renew it."""
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


class Tenure:
    """The time in which one process holds the Lease; it begins only when the API server has confirmed it.

    Parameters
    ----------
    identity
        Name of the process in the Lease.
    """

    def __init__(self, api: Leases, namespace: str, identity: str) -> None:
        self.api, self.namespace, self.identity = api, namespace, identity
        self._seen = SeenLease()
        self._held_at = float("-inf")
        self._is_over = False
        # A renewal that timed out still runs in its thread; it must not write between the requests of the next call.
        self._asking = threading.Lock()

    def hold(self, now: float, wall: float) -> bool:
        """Acquire or renew the Lease; return False if another process has it, or if no valid answer arrives.

        Parameters
        ----------
        now
            Monotonic time, s.
        wall
            Seconds since 1970.
        """
        try:
            with self._asking:
                if self._is_over:
                    return False
                holds = self.try_to_hold(now, wall)
                if not holds and self._seen.is_held:
                    self._held_at = float("-inf")  # a machine that slept may learn here that another one acts
        except Exception as error:  # whatever an answer may hold: a task that dies of it would act on without its Lease
            known = as_gozen_error(error)
            log.warning("the Lease was not acquired or renewed: %s: %s; tried again", known.name, known)
            return False
        if holds:
            self._held_at = now  # others count from the request, not from its answer
        return holds

    def try_to_hold(self, now: float, wall: float) -> bool:
        """Acquire or renew the Lease by two requests; return False if another process has it. Times as in `hold`."""
        lease = self.api.lease(self.namespace, NAME)
        if not is_free(lease, self.identity, self._seen, now):
            return False
        return self.api.write_lease(self.namespace, held(lease, self.namespace, self.identity, wall))

    def left_s(self, now: float) -> float:
        """Return for how many seconds this process may still act without a renewal.

        This time ends one renewal interval before another process may take the Lease.
        """
        return self._held_at + DURATION_S - RENEW_S - now

    def give_back(self, wall: float) -> None:
        """Release the Lease, so that another operator begins at once; a late renewal does not acquire it again."""
        with self._asking:
            self._is_over = True
            lease = self.api.lease(self.namespace, NAME)
            # If another process has taken it meanwhile, clearing its name would let a third one act beside it.
            if lease is not None and (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                manifest = held(lease, self.namespace, self.identity, wall)
                manifest["spec"]["holderIdentity"] = ""
                self.api.write_lease(self.namespace, manifest)
