"""From a key to what is done about it: gather facts, reconcile, carry out the plan. One place applies plans.

It belongs to one thread at a time for each key. What counts other resources (turns, writers) is decided under one lock,
and a Job that takes a turn counts from then on; carrying a plan out, with requests that take their time, is not.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest, ClusterUnavailable
from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.metadata import Resource
from gozen.resources.observation import Observation
from gozen.settings import Settings
from gozen_operator.api_server.client import FORBIDDEN, KubeApi
from gozen_operator.api_server.responses import RefusedError
from gozen_operator.index.gather_facts import (
    ArchiveAnswer,
    exposure_facts,
    lightcurve_facts,
    observation_facts,
    waits_for_its_turn,
)
from gozen_operator.index.object_index import Index, ObjectChange
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.process import confirm_live, read_sources
from gozen_operator.reconcile.conditions import moment, status_of
from gozen_operator.reconcile.job_manifests import job_key, job_name
from gozen_operator.reconcile.object_fields import Key, as_owner, key_of, owner_of
from gozen_operator.reconcile.reconcile_exposure import reconcile_exposure
from gozen_operator.reconcile.reconcile_lightcurvejob import reconcile_lightcurvejob
from gozen_operator.reconcile.reconcile_observation import reconcile_observation
from gozen_operator.reconcile.reconcile_plan import Event, Plan
from gozen_operator.reconcile.refused import job_name_taken, job_refused, reconcile_unreadable, taken_by

log = logging.getLogger(__name__)
_SOON_S = 1.0
_OF_THE_SERVER = 500
"""HTTP statuses from here on do not say whether a request was carried out."""


@dataclass
class Controller:
    """What looks after all resources.

    Parameters
    ----------
    open_archive
        Opens the archive; called again after each failure.
    site
        What the site decides about data: instrument, run.
    changed
        Told of what was written here.
    """

    api: KubeApi
    index: Index
    open_archive: Callable[[], Store]
    site: Settings
    settings: OperatorSettings
    changed: Callable[[ObjectChange], None]

    def __post_init__(self) -> None:
        self._deciding = threading.Lock()
        self._store: Store | None = None
        self._began: float | None = None

    def handle(self, key: Key) -> float | None:
        """Do what is to be done about a resource; return after how many seconds to look again.

        Raises
        ------
        ClusterUnavailable
            The API server cannot be reached, or refuses us.
        """
        self._began = self._began or time.time()
        asked, ended = self._known(key), self._job_end(key)
        stays = self._confirmed(asked)
        gathered = self._gathered(asked)
        with self._deciding:
            freed = self.index.give_up(job_key(key), key)  # of a look at it that did not hear what came of its Job
            resource = self._known(key)  # it may have changed while the archive was asked
            manifest = self.index.manifest(key)
            if resource is None or manifest is None:
                plan = Plan()
            elif _asks_otherwise(asked, resource) or self._job_end(key) != ended:
                plan = Plan(requeue_after_s=0.0)
            elif isinstance(resource, ValidationError):
                plan = reconcile_unreadable(manifest, resource, time.time())
            else:
                plan = self._plan(resource, stays, *gathered)
            if plan.create is not None:
                self.index.expect(plan.create)
        if freed is not None and plan.create is None:
            self.changed(freed)
        if resource is None or manifest is None:
            return None
        if plan.create is not None:
            plan = self._created(manifest, plan, plan.create)
        # The model and the manifest are of one version, or what was decided is not written.
        meta = manifest["metadata"]
        version = resource.metadata.resource_version if isinstance(resource, Resource) else meta["resourceVersion"]
        return plan.requeue_after_s if self._carry_out(key, meta["uid"], str(version), plan) else self.settings.look_s

    def _created(self, manifest: Mapping[str, Any], plan: Plan, job: dict[str, Any]) -> Plan:
        """Make a Job; return what is left of the plan, or what is to be said where the API server refuses it."""
        mine, is_uncertain = owner_of(job), False
        try:
            made = self.api.create_job(job)
            self._wrote(made)
            if made is None or mine is None:
                return Plan(requeue_after_s=_SOON_S)  # what had its name went meanwhile
            if owner_of(made) != mine:
                message = taken_by(made["metadata"]["name"], owner_of(made), mine)
                return job_name_taken(manifest, message, time.time(), self.settings.look_s)
        except (BadRequest, RefusedError) as error:
            is_uncertain = isinstance(error, RefusedError) and error.code >= _OF_THE_SERVER
            if isinstance(error, RefusedError) and error.code != FORBIDDEN:
                raise
            return job_refused(manifest, str(error), time.time())
        except ClusterUnavailable:
            is_uncertain = True
            raise
        finally:
            # It may have been made all the same: until the next look at its owner it keeps its turn, or its table.
            free = None if is_uncertain else self.index.give_up(key_of(job), mine.key if mine else None)
            if free is not None:
                self.changed(free)
        return plan

    def _known(self, key: Key) -> Resource | ValidationError | None:
        """Return a resource, or why it is not understood."""
        try:
            return self.index.resource(key)
        except ValidationError as error:
            return error

    def _gathered(self, resource: Resource | ValidationError | None) -> tuple[ArchiveAnswer, list[Mapping[str, Any]]]:
        """Ask the archive and the pods what has to be known, and no more."""
        if not isinstance(resource, Exposure | LightCurveJob) or _is_complete(resource):
            return ArchiveAnswer(), []
        if isinstance(resource, Exposure) and waits_for_its_turn(self.index, resource, self.settings):
            return ArchiveAnswer(), []
        job = self.index.job_of(as_owner(resource), job_name(resource))
        if job is not None and job.finished is None and not job.failed:
            return ArchiveAnswer(), []
        pods = self.api.pods_of(str(resource.metadata.namespace), job.uid) if job is not None else []
        if not isinstance(resource, Exposure) or (job is not None and job.finished is None):
            return ArchiveAnswer(), list(pods)
        try:
            self._store = self._store or self.open_archive()
            return read_sources.ask_archive(self._store, resource, self.site), list(pods)
        except Exception as error:
            self._store = None
            log.warning("the archive cannot be asked: %s", error)
            return ArchiveAnswer(trouble=f"{type(error).__name__}: {error}"), list(pods)

    def _confirmed(self, resource: Resource | ValidationError | None) -> str:
        """Ask the API server for what a last word on a resource would rest on; return as `confirm_live.confirmed`."""
        if isinstance(resource, Observation):
            for manifest in confirm_live.unheard_of(self.api, self.index, resource):
                self._wrote(manifest)
        return confirm_live.confirmed(self.api, self.index, resource) if isinstance(resource, Exposure) else ""

    def _job_end(self, key: Key) -> tuple[str, str | None] | None:
        """Return which Job a resource has, and how that ended: the archive is to be asked after it, not before."""
        card = self.index.job_named(key.namespace, job_key(key).name)
        mine = card is not None and card.seen.uid and card.owner is not None and card.owner.key == key
        return (card.seen.uid, card.seen.finished) if card is not None and mine else None

    def _plan(self, resource: Resource, stays: str, archive: ArchiveAnswer, pods: list[Mapping[str, Any]]) -> Plan:
        now, ends = time.time(), read_sources.pod_ends(pods)
        if isinstance(resource, Observation):
            profile = read_sources.profile_of(self.site.instrument)
            children = observation_facts(self.index, resource, profile, self.site.run)
            return reconcile_observation(resource, children, now, self.settings.observation_ttl_s)
        if isinstance(resource, LightCurveJob):
            profile = read_sources.profile_of(self.site.instrument)
            apertures = None if isinstance(profile, tuple) else profile.aperture_diameters_px
            facts = lightcurve_facts(self.index, resource, apertures, ends, read_sources.result_of(pods))
            return reconcile_lightcurvejob(resource, facts, self.settings, now)
        assert isinstance(resource, Exposure)
        camera = read_sources.problem_of(resource, self.site) or read_sources.profile_of(resource.spec.instrument)
        begin = self._began or now
        seen = exposure_facts(self.index, resource, camera, archive, ends, self.settings, begin, stays)
        return reconcile_exposure(resource, seen, self.settings, now)

    def _carry_out(self, key: Key, uid: str, version: str, plan: Plan) -> bool:
        """Carry out the rest of a plan in its order, what was written being known from then on.

        False when the resource is another one by now, whatever its name, so that the plan is not for it.
        """
        if plan.status is not None:
            written = self.api.write_status(key, version, plan.status)
            if written is None:
                return False
            self._wrote(written)
        if plan.expire is not None:
            self._wrote(self.api.expire_job(key.namespace, plan.expire, self.settings.job_ttl_s))
        if plan.delete:
            self.api.delete(key, uid)
            gone = self.index.remove(
                {"kind": key.kind, "metadata": {"namespace": key.namespace, "name": key.name, "uid": uid}}
            )
            if gone is not None:
                self.changed(gone)
        if plan.status is not None:
            for event in plan.events:
                self._tell(key, uid, event)
        return True

    def _wrote(self, manifest: Mapping[str, Any] | None) -> None:
        change = self.index.put(manifest) if manifest is not None else None
        if change is not None:
            self.changed(change)

    def _tell(self, key: Key, uid: str, event: Event) -> None:
        log.info("%s %s: %s: %s", key.kind, key.name, event.reason, event.message)
        # The same event of the same resource has the same name, so that telling it again does not double it.
        digest = hashlib.sha256(f"{uid} {event.reason}".encode()).hexdigest()[:16]
        self.api.tell(key, uid, event, moment(time.time()), f"{key.name}.{digest}")


def _asks_otherwise(before: Resource | ValidationError | None, now: Resource | ValidationError) -> bool:
    """Tell whether what was gathered is for another resource of this name, or for another spec."""
    if not isinstance(now, Resource):
        return False
    if not isinstance(before, Resource):
        return True
    return (before.metadata.uid, before.metadata.generation) != (now.metadata.uid, now.metadata.generation)


def _is_complete(resource: Exposure | LightCurveJob) -> bool:
    found = resource.status.conditions if resource.status else []
    return status_of([one.model_dump() for one in found], "Complete") == "True"
