"""One turn of the observer: claim an Observation, take the situation, decide on an action, carry it out.

`take_situation` reads devices and archive, `next_action` decides, `carry_out_actions` acts.
"""

from __future__ import annotations

import logging
from datetime import datetime

from gozen.errors import BadRequest, ClusterUnavailable, StorageUnavailable, as_gozen_error
from gozen.resources import nights
from gozen_operator.observer.carry_out_actions import ActionExecutor
from gozen_operator.observer.claims import Claims
from gozen_operator.observer.cluster_requests import say
from gozen_operator.observer.execution_memory import Work
from gozen_operator.observer.next_action import next_action
from gozen_operator.observer.observation_steps import read_recipe
from gozen_operator.observer.observing_site import ObservingSite
from gozen_operator.observer.take_situation import take_situation
from gozen_operator.reconcile.conditions import Known

log = logging.getLogger(__name__)


class Observer:
    """Executes the Observations of one namespace with one telescope."""

    def __init__(self, site: ObservingSite) -> None:
        self._site, self._executor = site, ActionExecutor(site)
        self._claims = Claims(site.cluster, site.settings.observer, site.session)
        self._work: Work | None = None
        self._trouble = False

    @property
    def idle(self) -> bool:
        """Whether the observer executes no Observation."""
        return self._work is None

    def turn(self, now: datetime, *, stopping: bool = False) -> float:
        """Check the situation once, carry out one action, and return the seconds until the next check.

        Raises
        ------
        ClusterUnavailable, StorageUnavailable
            Nothing is lost; try again later.
        """
        try:
            pause_s = self._turn(now, stopping=stopping)
        except StorageUnavailable as error:
            self._trouble = True
            if self._work is not None:
                self._executor.tell(self._work, str(error), now, reason=error.name)
            raise
        except ClusterUnavailable:
            raise
        except Exception as error:
            known = as_gozen_error(error)
            if self._work is None:
                raise known from error
            # One Observation that cannot be executed must not stop those after it.
            self._executor.give_up(self._work, known, now)
            self._forget_what_is_over()
            return 0.0
        if self._trouble and self._work is not None:
            self._executor.tell(self._work, "the archive answers again", now)
        self._trouble = False
        return pause_s

    def _turn(self, now: datetime, *, stopping: bool) -> float:
        if self._work is None:
            claimed = not stopping and self._claim(now)
            return 0.0 if claimed else self._site.settings.observer.interval_s
        work = self._work
        observation = self._claims.renewed(work, now)
        work.observation = observation or work.observation
        action = next_action(take_situation(self._site, work, observation, now, stopping=stopping))
        log.debug("%s: %s", work.name, action)
        pause_s = self._executor.carry_out(work, action, now)
        self._forget_what_is_over()
        return pause_s

    def _forget_what_is_over(self) -> None:
        if self._work is not None and self._work.is_over:
            self._work = None

    def _claim(self, now: datetime) -> bool:
        claimed = self._claims.take(now)
        if claimed is None:
            return False
        name, uid = claimed.metadata.name, str(claimed.metadata.uid)
        try:
            recipe = read_recipe(claimed, self._site.profile, self._site.settings.run)
        except Exception as error:  # any error: each later process would meet it again
            known = as_gozen_error(error)
            reason = "RecipeMakesNoSense" if isinstance(known, BadRequest) else known.name
            said = say(self._site.cluster, claimed, Known("Executed", "False", reason, str(known)), now)
            if said is not None:  # else it was changed since; the next turn reads it again
                self._site.cluster.retire(said)
            return True
        _, night_ends = nights.bounds(nights.night_of(now, self._site.zone), self._site.zone)
        self._work = Work(recipe, claimed, uid, night_ends, now, sorted(recipe.planned))
        log.info("%s: claimed, %d steps, %d exposures", name, recipe.steps, len(recipe.planned))
        self._executor.tell(self._work, "claimed", now)
        return True
