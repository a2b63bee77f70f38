"""The controller: take a key from the work queue, reconcile it, and carry out the plan. No other module does this.

Only one thread at a time reconciles a key. Decisions that depend on other resources (the number of active Jobs, the
writer of a table) are made under one lock, and a new Job is counted at once: two reconciles cannot use the same free
place. Requests of a plan are sent without the lock. A failure is raised; the work queue retries.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gozen.archive.stores.open_store import Store
from gozen.errors import BadRequest, ClusterUnavailable
from gozen.resources.metadata import Resource
from gozen.settings import Settings
from gozen_operator.api_server.client import KubeApi
from gozen_operator.api_server.responses import RefusedError
from gozen_operator.index.indexed_object import SeenResource
from gozen_operator.index.object_index import Index, ObjectChange
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.process.kind_table import Answers, ReconcileSources, gather, plan_for
from gozen_operator.process.read_sources import ReopenedArchive
from gozen_operator.reconcile.conditions import moment
from gozen_operator.reconcile.job_manifests import job_key
from gozen_operator.reconcile.object_fields import Key, key_of, owner_of
from gozen_operator.reconcile.publish_manifests import job_names
from gozen_operator.reconcile.reconcile_plan import FINALIZER, Event, Plan
from gozen_operator.reconcile.refused import job_name_taken, job_refused, reconcile_unreadable, taken_by

log = logging.getLogger(__name__)
_SOON_S = 1.0
_OF_THE_SERVER = HTTPStatus.INTERNAL_SERVER_ERROR
"""From this HTTP status on, an answer does not say whether the request was carried out."""


@dataclass
class Controller:
    """The controller of all resources.

    Parameters
    ----------
    open_archive
        Opens the archive; called again after each failure.
    site
        Settings of the data plane: instrument, run.
    changed
        Called with each change of the index that follows from a write.
    """

    api: KubeApi
    index: Index
    open_archive: Callable[[], Store]
    site: Settings
    settings: OperatorSettings
    changed: Callable[[ObjectChange], None]

    def __post_init__(self) -> None:
        self._deciding = threading.Lock()
        archive = ReopenedArchive(self.open_archive, self.site)
        self._sources = ReconcileSources(self.api, self.index, archive, self.site, self.settings, self._wrote)

    def handle(self, key: Key) -> float | None:
        """Reconcile a resource; return the seconds until the next reconcile, or None to wait for a change.

        Raises
        ------
        ClusterUnavailable
            The API server cannot be reached, or refuses a request.
        """
        self._sources.watched_since = self._sources.watched_since or time.time()
        before = self.index.seen(key)
        answers = self._gathered(before)
        with self._deciding:
            # Expected by a reconcile whose create got no answer.
            freed = [self.index.give_up(job, key) for job in self._jobs_of(key, before)]
            seen = self.index.seen(key)  # it may have changed while the archive was asked
            plan = self._decided(before, seen, answers)
            if plan.create is not None:
                self.index.expect(plan.create)
        for change in freed:
            if change is not None and plan.create is None:
                self.changed(change)
        if seen is None:
            return None
        if plan.create is not None:
            plan = self._created(seen.manifest, plan, plan.create)
        return plan.requeue_after_s if self._carry_out(key, seen, plan) else self.settings.look_s

    def _jobs_of(self, key: Key, seen: SeenResource | None) -> list[Key]:
        if seen is None or not isinstance(seen.resource, Resource):
            return [job_key(key)]
        return [Key("Job", key.namespace, name) for name in job_names(seen.resource)]

    def _gathered(self, seen: SeenResource | None) -> Answers:
        resource = seen.resource if seen is not None else None
        return gather(self._sources, resource) if isinstance(resource, Resource) else Answers()

    def _decided(self, before: SeenResource | None, seen: SeenResource | None, answers: Answers) -> Plan:
        """Return the plan for the present state of a resource; the answers may be about an earlier state."""
        if seen is None:
            return Plan()
        if _asks_otherwise(before, seen):
            return Plan(requeue_after_s=0.0)
        if not isinstance(seen.resource, Resource):
            return reconcile_unreadable(seen.manifest, seen.resource, time.time())
        return plan_for(self._sources, seen.resource, answers, time.time())

    def _created(self, manifest: Mapping[str, Any], plan: Plan, job: dict[str, Any]) -> Plan:
        """Create a Job; return the rest of the plan, or a plan that reports why the API server refuses the Job."""
        mine, is_uncertain = owner_of(job), False
        try:
            made = self.api.create_job(job)
            self._wrote(made)
            if made is None or mine is None:
                return Plan(requeue_after_s=_SOON_S)  # what had its name went meanwhile
            # After a delete and apply, the predecessor's Job has the name until it is collected.
            if owner_of(made) != mine:
                message = taken_by(made["metadata"]["name"], owner_of(made), mine)
                return job_name_taken(manifest, job, message, time.time(), self.settings.look_s)
        except (BadRequest, RefusedError) as error:
            is_uncertain = isinstance(error, RefusedError) and error.code >= _OF_THE_SERVER
            if isinstance(error, RefusedError) and error.code != HTTPStatus.FORBIDDEN:
                raise
            return job_refused(manifest, job, str(error), time.time())
        except ClusterUnavailable:
            is_uncertain = True
            raise
        finally:
            # It may have been made all the same: until its owner is reconciled again it keeps its place, or table.
            free = None if is_uncertain else self.index.give_up(key_of(job), mine.key if mine else None)
            if free is not None:
                self.changed(free)
        return plan

    def _carry_out(self, key: Key, seen: SeenResource, plan: Plan) -> bool:
        """Carry out the rest of a plan in its order, and put each answer into the index.

        Return False when the resource was changed, deleted or created again, so that the plan no longer applies.
        """
        uid = seen.uid
        if plan.status is not None:
            written = self.api.write_status(key, seen.version, plan.status)
            if written is None:
                return False
            self._wrote(written)
        # After the status: a crash in between must not leave a Job that expires before its outcome is recorded.
        if plan.expire is not None:
            self._wrote(self.api.expire_job(key.namespace, plan.expire, self.settings.job_ttl_s))
        if plan.finalizer is not None and not self._set_finalizer(key, seen, add=plan.finalizer == "add"):
            return False
        if plan.delete:
            self.api.delete(key, uid)
            gone = self.index.remove(
                {"kind": key.kind, "metadata": {"namespace": key.namespace, "name": key.name, "uid": uid}}
            )
            if gone is not None:
                self.changed(gone)
        if plan.status is not None or plan.finalizer == "remove":
            for event in plan.events:
                self._tell(key, uid, event)
        return True

    def _set_finalizer(self, key: Key, seen: SeenResource, *, add: bool) -> bool:
        """Add or remove the finalizer; return False if the resource has changed since it was read."""
        before = seen.manifest["metadata"].get("finalizers") or []
        wanted = [*(one for one in before if one != FINALIZER), *([FINALIZER] if add else [])]
        written = self.api.set_finalizers(key, seen.uid, seen.version, wanted)
        # Without its last finalizer the resource is gone, and the answer is its last state.
        if written is not None and (add or not written["metadata"].get("deletionTimestamp")):
            self._wrote(written)
        return written is not None

    def _wrote(self, manifest: Mapping[str, Any] | None) -> None:
        change = self.index.put(manifest) if manifest is not None else None
        if change is not None:
            self.changed(change)

    def _tell(self, key: Key, uid: str, event: Event) -> None:
        log.info("%s %s: %s: %s", key.kind, key.name, event.reason, event.message)
        # The same event of the same resource has the same name, so that telling it again does not double it.
        digest = hashlib.sha256(f"{uid} {event.reason}".encode()).hexdigest()[:16]
        self.api.tell(key, uid, event, moment(time.time()), f"{key.name}.{digest}")


def _asks_otherwise(before: SeenResource | None, now: SeenResource) -> bool:
    """Tell whether answers are outdated: the resource was created again, or its spec or its Job has changed."""
    # The archive was read before the Job ended, so the commits of its last pods may be missing from the answers.
    if (before.jobs if before is not None else ()) != now.jobs:
        return True
    if not isinstance(now.resource, Resource):
        return False
    if before is None or not isinstance(before.resource, Resource):
        return True
    old, new = before.resource.metadata, now.resource.metadata
    return (old.uid, old.generation) != (new.uid, new.generation)
