"""The Lease in the operator's simulated world: an active process, another one that waits, and a faulty connection.

A renewing task that raises an exception ends unnoticed: this is the worst case.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gozen.errors import ClusterUnavailable
from gozen_operator.api_server.lease import RENEW_S, Tenure

OUTAGES: tuple[Callable[[], Exception], ...] = (
    lambda: ClusterUnavailable("the API server says 503"),
    lambda: ValueError("Expecting value: line 1 column 1 (char 0)"),
    lambda: KeyError("metadata"),
)


@dataclass
class Line:
    """One process's line to the API server, which keeps one Lease for all."""

    shared: dict[str, Any]
    trouble: Exception | None = None

    def lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the Lease."""
        if self.trouble is not None:
            raise self.trouble
        return self.shared.get("lease")

    def write_lease(self, namespace: str, manifest: dict[str, Any]) -> bool:
        """Replace the Lease if nobody has changed it since it was read."""
        if self.trouble is not None:
            raise self.trouble
        old = self.shared.get("lease")
        version = old["metadata"]["resourceVersion"] if old else None
        if manifest["metadata"].get("resourceVersion") != version:
            return False
        fresh = {**manifest["metadata"], "resourceVersion": str(int(version or 0) + 1)}
        self.shared["lease"] = {**manifest, "metadata": fresh}
        return True


@dataclass
class Rivals:
    """Two operators that share a Lease.

    Parameters
    ----------
    wrong
        Where it is noted that both act.
    leads
        Whether the first of them acts.
    calm
        Whether nothing is disturbed any more.
    """

    rng: random.Random
    now: float
    wrong: list[str]
    tenure: type[Tenure] = Tenure
    leads: bool = False
    calm: bool = False
    shared: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._made = 0
        self._disturbed_until = 0.0
        self._renews = True
        self._acting, self._waiting = self._process(), self._process()

    def run_until(self, now: float) -> bool:
        """Let time pass; tell whether a process has begun to act, which knows nothing yet."""
        began = False
        while self.now + RENEW_S <= now:
            self.now += RENEW_S
            began |= self._renew() if self.leads else self._begin()
        return began

    def killed(self) -> None:
        """Kill the process that acts; another one comes in its place, under a name of its own."""
        self._acting, self.leads = self._process(), False

    def _begin(self) -> bool:
        self.leads = self._renews = self._acting.hold(self.now, self.now)
        return self.leads

    def _renew(self) -> bool:
        line = self._acting.api
        assert isinstance(line, Line)
        if line.trouble is None and not self.calm and self.rng.random() < 0.04:
            line.trouble, self._disturbed_until = self.rng.choice(OUTAGES)(), self.now + self.rng.uniform(2, 60)
        if self.calm or self.now > self._disturbed_until:
            line.trouble = None
        if self._renews:
            try:
                self._acting.hold(self.now, self.now)
            except Exception:
                self._renews = False
        if self._renews and self._acting.left_s(self.now) <= 0:
            self._acting, self._waiting, self.leads = self._waiting, self._process(), False
        elif self._waiting.hold(self.now, self.now):
            self.wrong.append("two operators act at once")
        return False

    def _process(self) -> Tenure:
        self._made += 1
        return self.tenure(Line(self.shared), "night", f"process-{self._made}")
