"""Claims: which observer process executes an Observation, renewal of its claim, and marks of Observations that ended.

The race: two processes choose the same Observation, or one that was stalled for longer than ``claim_s`` resumes. Each
request names the version that was read, so the API server rejects the later request.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from gozen.resources.observation import Claim, Observation
from gozen.settings import ObserverSettings
from gozen_operator.observer.cluster_requests import Cluster
from gozen_operator.observer.execution_memory import Work
from gozen_operator.observer.schedule import choose, over

_RETIRED_AT_ONCE = 100
"""Most Observations that are marked as over between two actions; after an update a whole season's may be due."""


class Claims:
    """The claims of one process.

    Parameters
    ----------
    session
        Unique name of this process; the names of later processes sort after it.
    """

    def __init__(self, cluster: Cluster, limits: ObserverSettings, session: str) -> None:
        self._cluster, self._limits, self._session = cluster, limits, session

    def take(self, now: datetime) -> Observation | None:
        """Claim the first Observation of the queue; None if the queue is empty or another process was faster."""
        me, claim_s = self._sign(now), self._limits.claim_s
        known = self._cluster.observations()
        chosen = choose(known, me, claim_s)
        if chosen is not None:
            return self._cluster.claim(chosen, me)
        self._retire(over(known, me, claim_s)[:_RETIRED_AT_ONCE])
        return None

    def renewed(self, work: Work, now: datetime) -> Observation | None:
        """Return the present Observation, None if it was deleted; renew its claim after a third of ``claim_s``."""
        observation = self._cluster.observation(work.recipe.observation.metadata.name)
        # Two renewals may fail before another process may take over.
        old = now - work.renewed > timedelta(seconds=self._limits.claim_s / 3)
        claim = observation.status.claim if observation is not None and observation.status else None
        # A claim that another process has taken is not renewed: it would be stolen back, and both would move devices.
        if observation is None or not old or claim is None or claim.session != self._session:
            return observation
        fresh = self._cluster.claim(observation, self._sign(now))
        if fresh is not None:
            work.renewed = now
        return fresh or observation

    def _sign(self, now: datetime) -> Claim:
        return Claim(holder=self._limits.name, session=self._session, renewed=now)

    def _retire(self, observations: Iterable[Observation]) -> None:
        """Mark Observations as over, so that later lists omit them."""
        for one in observations:
            kept = self._cluster.retire(one)
            if kept is not None and (kept.status is None or not kept.status.over):
                return  # the cluster has a schema of a time without the mark
