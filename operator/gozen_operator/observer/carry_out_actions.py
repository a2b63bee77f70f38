"""Carry out the action that `next_action` chose, on devices, archive and cluster.

A later process can find out which actions were done, so a kill between two of them loses nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import assert_never

from gozen.archive import exp_ids
from gozen.archive.exp_ids import Opening
from gozen.errors import BadRequest, GozenError
from gozen.resources import nights
from gozen.resources.metadata import written
from gozen_operator.observer import situation as act
from gozen_operator.observer.cluster_requests import say
from gozen_operator.observer.execution_memory import Work
from gozen_operator.observer.exposure_records import exposure_of, order_of, purpose_of, start_of
from gozen_operator.observer.observing_site import ObservingSite
from gozen_operator.observer.situation import Failure, Moving
from gozen_operator.reconcile.conditions import Known

log = logging.getLogger(__name__)


class ActionExecutor:
    """Carries actions out, one at a time."""

    def __init__(self, site: ObservingSite) -> None:
        self._site = site

    def carry_out(self, work: Work, action: act.Action, now: datetime) -> float:
        """Carry out one action and return the seconds until the observer's next check."""
        name, observatory = work.name, self._site.observatory
        match action:
            case act.SetFocus(step, position_mm):
                self._begin(work, step, lambda: observatory.focuser.move(position_mm))
            case act.Point(step, pointing):
                self._begin(work, step, lambda: observatory.telescope.point(pointing))
            case act.MoveCover(step, state):
                self._begin(work, step, lambda: observatory.telescope.mirror_cover(state))
            case act.Passed(step):
                log.info("%s: %s done", name, work.recipe.title(step))
                work.executed.add(step)
                work.moving = None
            case act.Wait(pause_s, message):
                self.tell(work, message, now)
                return pause_s
            case act.Reserve(step, attempt):
                night = f"{nights.night_of(now, self._site.zone):%Y%m%d}"
                first = self._site.settings.observatory.first_exposure_id
                number = exp_ids.reserve(self._site.store, first, purpose_of(work.recipe, step, attempt, night))
                log.info("%s: %s gets EXP_ID %08d", name, work.recipe.title(step), number)
            case act.Expose():
                self._expose(work, action, now)
            case act.Abort(exposure_id, why):
                log.warning("%s: EXP_ID %08d is aborted: %s", name, exposure_id, why)
                self._abort(exposure_id)
            case act.Close(_, exposure_id, closing):
                stands = exp_ids.close(self._site.store, exposure_id, closing)
                why = f": {stands.message}" if stands.message else ""
                log.info("%s: EXP_ID %08d is %s%s", name, exposure_id, stands.result, why)
                if stands.result == "lost" and work.began == exposure_id:
                    self._abort(exposure_id)  # a camera that does not tell its state may still have its shutter open
            case act.Create():
                return self._create(work, action, now)
            case act.Finish():
                self._finish(work, action, now)
            case act.Leave(why):
                log.warning("%s: this process stops its work on the Observation: %s", name, why)
                work.is_over = True
            case _:
                assert_never(action)
        return 0.0

    def _begin(self, work: Work, step: int, verb: Callable[[], None]) -> None:
        log.info("%s: %s", work.name, work.recipe.title(step))
        with work.device(step):
            verb()
            work.moving = Moving(step)

    def _expose(self, work: Work, action: act.Expose, now: datetime) -> None:
        step, exposure_id, night = action.step, action.exposure_id, action.night
        start = start_of(self._site.store, exposure_id, now, self._site.zone)
        order = order_of(work.recipe, step, exposure_id, night, start)
        with work.device(step):
            self._site.observatory.camera.configure(order)
        if work.failure is not None:
            return
        self.tell(work, f"{work.recipe.title(step)}: exposing, EXP_ID {exposure_id:08d}", now)
        ends = order.start + timedelta(seconds=order.duration_s)
        opening = Opening(written(order.start), self._site.session, written(ends))
        if not exp_ids.open_shutter(self._site.store, exposure_id, opening):
            return  # opened before, perhaps by a request whose answer was lost; the next turn finds out
        # Before the command: if it fails, the shutter may be open all the same, and must be closed.
        work.began = exposure_id
        with work.device(step):
            self._site.observatory.camera.expose(order)

    def _create(self, work: Work, action: act.Create, now: datetime) -> float:
        title = work.recipe.title(action.step)
        try:
            made = self._site.cluster.create(exposure_of(work.recipe, action))
        except BadRequest as error:
            work.failure = Failure(action.step, str(error), blocked=True)
            return 0.0
        owners = {owner.get("uid"): owner.get("name") for owner in made.metadata.owner_references}
        # Also if a request whose answer was lost has created it, or a process that was killed before it noted that.
        if work.uid in owners:
            log.info("%s: Exposure %s exists", work.name, made.metadata.name)
            work.done.add(action.step)
            work.unsettled = [step for step in work.unsettled if step != action.step]
            return 0.0
        if work.name in owners.values():
            # It belongs to a deleted Observation of this name, and the garbage collector is about to remove it.
            self.tell(work, f"{title}: waits until the old Exposure {made.metadata.name} is deleted", now)
            return self._site.settings.observer.interval_s
        message = (
            f"an Exposure {made.metadata.name} exists that this Observation does not own; delete it and apply this "
            "again"
        )
        work.failure = Failure(action.step, message, blocked=True)
        return 0.0

    def _abort(self, exposure_id: int) -> None:
        camera, exposes = self._site.observatory.camera, None
        with suppress(Exception):  # without a state it may be exposing: abort
            exposes = camera.state().exposure_id
        if exposes in (None, exposure_id):  # while this process looked, another may have begun its own exposure
            with suppress(Exception):  # what a camera says that cannot even abort changes nothing: its state counts
                camera.abort()

    def give_up(self, work: Work, error: GozenError, now: datetime) -> None:
        """End an Observation that cannot be executed, so that the next one can be."""
        log.error("%s: %s: %s", work.name, error.name, error, exc_info=error)
        if work.began is not None:
            self._abort(work.began)
        self._finish(work, act.Finish("False", error.name, str(error)), now)

    def _finish(self, work: Work, action: act.Finish, now: datetime) -> None:
        name = work.name
        executed = Known("Executed", action.status, action.reason, action.message)
        said = say(self._site.cluster, work.observation, executed, now)
        if said is None:
            return  # changed since it was read: another process may have claimed it, so read it again
        level = logging.WARNING if action.status == "False" else logging.INFO
        log.log(level, "%s: %s: %s", name, action.reason, action.message)
        # Condition first, claim second: a process that claims it in between reads what became of it.
        if action.status == "Unknown":
            self._site.cluster.claim(said, None)
        else:
            self._site.cluster.retire(said)
        work.is_over = True

    def tell(self, work: Work, message: str, now: datetime, reason: str = "Executing") -> None:
        """Write the progress into the condition ``Executed``, unless the last message was the same."""
        if message and message != work.said:
            said = say(self._site.cluster, work.observation, Known("Executed", "Unknown", reason, message), now)
            work.said = message if said else work.said
            # A second write in this turn needs the new version: with the old one it is a 409.
            work.observation = said or work.observation
