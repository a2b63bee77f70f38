"""The observer's edge: it looks at cluster, archive and devices, asks what to do, and does it, one action at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from gozen.archive import exp_ids
from gozen.archive.exp_ids import Opening
from gozen.archive.stores.open_store import Store
from gozen.errors import (
    BadRequest,
    ClusterUnavailable,
    DeviceFailed,
    GozenError,
    StorageUnavailable,
    as_gozen_error,
)
from gozen.instrument.profile import Profile
from gozen.observing.device_drivers import CameraState, Observatory
from gozen.resources import nights
from gozen.resources.metadata import written
from gozen.resources.observation import Observation
from gozen.settings import Settings
from gozen_operator.observer import situation as act
from gozen_operator.observer.claims import Claims
from gozen_operator.observer.cluster_requests import Cluster, say
from gozen_operator.observer.execution_memory import Work
from gozen_operator.observer.exposure_records import exposure_of, next_attempt, order_of, purpose_of, start_of
from gozen_operator.observer.next_action import next_action
from gozen_operator.observer.observation_steps import read_recipe
from gozen_operator.observer.situation import Failure, Moving, Situation
from gozen_operator.reconcile.conditions import Known

log = logging.getLogger(__name__)


class Observer:
    """Executes the Observations of one namespace with one telescope.

    Parameters
    ----------
    cluster, store, observatory
        The outside world.
    profile
        What the camera is.
    settings
        Groups ``observer`` and ``observatory``, and the name of the run.
    session
        Name of this process; no other has the same, and those of later processes sort after it.
    """

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        observatory: Observatory,
        profile: Profile,
        settings: Settings,
        session: str,
    ) -> None:
        self._cluster, self._store, self._observatory = cluster, store, observatory
        self._profile, self._settings, self._session = profile, settings, session
        self._claims = Claims(cluster, settings.observer, session)
        self._zone = ZoneInfo(profile.site.time_zone)
        self._work: Work | None = None
        self._trouble = False

    @property
    def idle(self) -> bool:
        """Whether it executes nothing."""
        return self._work is None

    def turn(self, now: datetime, *, stopping: bool = False) -> float:
        """Do one thing and return the seconds until there may be another.

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
                self._tell(self._work, str(error), now, reason=error.name)
            raise
        except ClusterUnavailable:
            raise
        except Exception as error:
            known = as_gozen_error(error)
            if self._work is None:
                raise known from error
            # One Observation that cannot be executed must not stop those after it.
            self._give_up(self._work, known, now)
            return 0.0
        if self._trouble and self._work is not None:
            self._tell(self._work, "the archive answers again", now)
        self._trouble = False
        return pause_s

    def _turn(self, now: datetime, *, stopping: bool) -> float:
        if self._work is None:
            claimed = not stopping and self._claim(now)
            return 0.0 if claimed else self._settings.observer.interval_s
        work = self._work
        observation = self._claims.renewed(work, now)
        work.observation = observation or work.observation
        seen = self._look(work, observation, now, stopping=stopping)
        action = next_action(seen)
        log.debug("%s: %s", work.recipe.observation.metadata.name, action)
        return self._do(work, action, now)

    def _claim(self, now: datetime) -> bool:
        claimed = self._claims.take(now)
        if claimed is None:
            return False
        name, uid = claimed.metadata.name, str(claimed.metadata.uid)
        try:
            recipe = read_recipe(claimed, self._profile, self._settings.run)
        except Exception as error:  # whatever it is, it would come again with each process
            known = as_gozen_error(error)
            reason = "RecipeMakesNoSense" if isinstance(known, BadRequest) else known.name
            said = say(self._cluster, claimed, Known("Executed", "False", reason, str(known)), now)
            if said is not None:  # else somebody has changed it since, and the next look tells what it is now
                self._cluster.retire(said)
            return True
        _, night_ends = nights.bounds(nights.night_of(now, self._zone), self._zone)
        self._work = Work(recipe, claimed, uid, night_ends, now, sorted(recipe.planned))
        log.info("%s: claimed, %d steps, %d exposures", name, recipe.steps, len(recipe.planned))
        self._tell(self._work, "claimed", now)
        return True

    def _look(self, work: Work, observation: Observation | None, now: datetime, *, stopping: bool) -> Situation:
        camera, busy, held = CameraState(), False, dict[str, bool]()
        with self._device(work, work.coming):
            # The camera before the archive: a record that it writes in between is then seen.
            camera = self._observatory.camera.state()
            busy = self._observatory.busy()
            held = self._observatory.conditions()
        work.busy_since = (work.busy_since or now) if busy else None
        step, attempt = next_attempt(self._store, work, self._settings.observer.attempts)
        if work.moving is not None and work.moving.since is None:
            work.moving = Moving(work.moving.step, now)
        return Situation(
            recipe=work.recipe,
            uid=work.uid,
            observation=observation,
            session=self._session,
            now=now,
            night=f"{nights.night_of(now, self._zone):%Y%m%d}",
            night_ends=work.night_ends,
            limits=self._settings.observer,
            move_timeout_s=self._settings.observatory.move_timeout_s,
            done=frozenset(work.done),
            moving=work.moving,
            busy=busy,
            busy_since=work.busy_since,
            conditions=held,
            camera=camera,
            step=step,
            attempt=attempt,
            failure=work.failure,
            began=work.began,
            stopping=stopping,
        )

    def _do(self, work: Work, action: act.Action, now: datetime) -> float:
        name, observatory = work.observation.metadata.name, self._observatory
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
                self._tell(work, message, now)
                return pause_s
            case act.Reserve(step, attempt):
                night = f"{nights.night_of(now, self._zone):%Y%m%d}"
                first = self._settings.observatory.first_exposure_id
                number = exp_ids.reserve(self._store, first, purpose_of(work.recipe, step, attempt, night))
                log.info("%s: %s gets EXP_ID %08d", name, work.recipe.title(step), number)
            case act.Expose():
                self._expose(work, action, now)
            case act.Abort(exposure_id, why):
                log.warning("%s: EXP_ID %08d is aborted: %s", name, exposure_id, why)
                self._abort(exposure_id)
            case act.Close(_, exposure_id, closing):
                stands = exp_ids.close(self._store, exposure_id, closing)
                log.info("%s: EXP_ID %08d is %s %s", name, exposure_id, stands.result, stands.message)
                if stands.result == "lost" and work.began == exposure_id:
                    self._abort(exposure_id)  # a camera that does not tell its state may still have its shutter open
            case act.Create():
                return self._create(work, action, now)
            case act.Finish():
                self._finish(work, action, now)
            case act.Leave(why):
                log.warning("%s: left, %s", name, why)
                self._work = None
            case _:
                assert_never(action)
        return 0.0

    def _begin(self, work: Work, step: int, verb: Callable[[], None]) -> None:
        log.info("%s: %s", work.recipe.observation.metadata.name, work.recipe.title(step))
        with self._device(work, step):
            verb()
            work.moving = Moving(step)

    def _expose(self, work: Work, action: act.Expose, now: datetime) -> None:
        step, exposure_id, night = action.step, action.exposure_id, action.night
        start = start_of(self._store, exposure_id, now, self._zone)
        order = order_of(work.recipe, step, exposure_id, night, start)
        with self._device(work, step):
            self._observatory.camera.configure(order)
        if work.failure is not None:
            return
        self._tell(work, f"{work.recipe.title(step)}: exposing, EXP_ID {exposure_id:08d}", now)
        ends = order.start + timedelta(seconds=order.duration_s)
        opening = Opening(written(order.start), self._session, written(ends))
        if not exp_ids.open_shutter(self._store, exposure_id, opening):
            return  # somebody opened it before; the next look tells what came of it
        work.began = exposure_id
        with self._device(work, step):
            self._observatory.camera.expose(order)

    def _create(self, work: Work, action: act.Create, now: datetime) -> float:
        title = work.recipe.title(action.step)
        try:
            made = self._cluster.create(exposure_of(work.recipe, action))
        except BadRequest as error:
            work.failure = Failure(action.step, str(error), blocked=True)
            return 0.0
        owners = {owner.get("uid"): owner.get("name") for owner in made.metadata.owner_references}
        if work.uid in owners:
            log.info("%s: Exposure %s stands", work.observation.metadata.name, made.metadata.name)
            work.done.add(action.step)
            work.unsettled = [step for step in work.unsettled if step != action.step]
            return 0.0
        if work.observation.metadata.name in owners.values():
            # The API server is about to remove it, with the Observation of this name that was deleted.
            self._tell(work, f"{title}: waits until the old Exposure {made.metadata.name} is gone", now)
            return self._settings.observer.interval_s
        message = f"an Exposure {made.metadata.name} of somebody else has its name; delete it and apply this again"
        work.failure = Failure(action.step, message, blocked=True)
        return 0.0

    def _abort(self, exposure_id: int) -> None:
        camera, exposes = self._observatory.camera, None
        with suppress(Exception):  # a camera that does not tell its state is told to abort
            exposes = camera.state().exposure_id
        if exposes in (None, exposure_id):  # while this process looked, another may have begun its own exposure
            with suppress(Exception):  # what a camera says that cannot even abort changes nothing: its state counts
                camera.abort()

    @contextmanager
    def _device(self, work: Work, step: int) -> Iterator[None]:
        """Remember what a device refused: it cancels the recipe."""
        try:
            yield
        except Exception as error:
            known = error if isinstance(error, GozenError) else DeviceFailed(f"{type(error).__name__}: {error}")
            log.warning("%s: %s: %s", work.recipe.observation.metadata.name, known.name, known)
            work.failure = work.failure or Failure(step, f"{known.name}: {known}")

    def _give_up(self, work: Work, error: GozenError, now: datetime) -> None:
        log.error("%s: %s: %s", work.observation.metadata.name, error.name, error, exc_info=error)
        if work.began is not None:
            self._abort(work.began)
        self._finish(work, act.Finish("False", error.name, str(error)), now)

    def _finish(self, work: Work, action: act.Finish, now: datetime) -> None:
        name = work.observation.metadata.name
        executed = Known("Executed", action.status, action.reason, action.message)
        said = say(self._cluster, work.observation, executed, now)
        if said is None:
            return  # somebody has changed it since: it may be another's by now, so look again
        level = logging.WARNING if action.status == "False" else logging.INFO
        log.log(level, "%s: %s: %s", name, action.reason, action.message)
        # Whoever overtakes it here finds that it is over.
        if action.status == "Unknown":
            self._cluster.claim(said, None)
        else:
            self._cluster.retire(said)
        self._work = None

    def _tell(self, work: Work, message: str, now: datetime, reason: str = "Executing") -> None:
        if message and message != work.said:
            said = say(self._cluster, work.observation, Known("Executed", "Unknown", reason, message), now)
            work.said = message if said else work.said
            work.observation = said or work.observation
