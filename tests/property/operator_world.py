"""A small simulated world for the operator: an API server, its controllers, users, the archive, and an operator.

A test controls the time. Events for the operator wait in a list, from which they may be dropped, duplicated or taken in
any order. The operator may be killed between any two actions, and then starts without memory. Users delete resources
and create them again with the same name; objects of a deleted owner are collected late, and work until then. The
surroundings are simulated here; the decisions are the operator's real code.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen_operator.index import gather_facts as facts_room
from gozen_operator.index.dependents import affected
from gozen_operator.index.gather_facts import ArchiveAnswer, ExposureAnswers
from gozen_operator.index.neighbours import neighbours_of
from gozen_operator.index.object_index import Index, ObjectChange
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile import reconcile_exposure as exposure_room
from gozen_operator.reconcile.conditions import moment
from gozen_operator.reconcile.facts import Commit, JobSeen
from gozen_operator.reconcile.job_manifests import TABLE
from gozen_operator.reconcile.object_fields import EXPIRES, Key, Owner, key_of, owner_of
from gozen_operator.reconcile.reconcile_lightcurvejob import reconcile_lightcurvejob
from gozen_operator.reconcile.reconcile_plan import Plan

NAMESPACE = "night"
COLLECTED = 0.2
"""How likely the garbage collector comes, each time that it is a Job's turn whose owner is gone."""
SETTINGS = OperatorSettings(
    max_active_jobs=2, exposure_ttl_s=200, look_s=5, job_ttl_s=40, calibration_patience_s=100, identity="world"
)
HELD_LONG = SETTINGS.model_copy(update={"exposure_ttl_s": 1e9})
START = 1_800_000_000.0


@dataclass
class Camera:
    """As much of an instrument profile as the operator asks for."""

    name: str = "tomoe"
    sensors: tuple[Any, ...] = ()
    masters: tuple[str, ...] = ("dark", "flat")
    dark_mismatch: str | None = None
    default_gain: str = "high"
    default_pipelines: tuple[str, ...] = ("wcs",)


@dataclass(frozen=True)
class Sensor:
    id: str


CAMERA = Camera(sensors=tuple(Sensor(name) for name in ("111", "112", "113", "114")))


@dataclass
class World:
    """What is true, whatever the operator believes.

    Parameters
    ----------
    ended
        Resources that the operator deleted when their time was over.
    pods
        What becomes of the sensors of each Job, by its uid.
    never
        Resources that cannot come to their end: they are suspended.
    """

    rng: random.Random
    settings: OperatorSettings = SETTINGS
    ended: dict[Key, dict[str, Any]] = field(default_factory=dict)
    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    raw: dict[str, set[str]] = field(default_factory=dict)
    fates: dict[str, dict[str, str]] = field(default_factory=dict)
    pods: dict[str, dict[str, str]] = field(default_factory=dict)
    never: set[str] = field(default_factory=set)
    gone: list[dict[str, Any]] = field(default_factory=list)
    commits: dict[str, dict[str, Commit]] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    made: Counter[Owner] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    pending: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    now: float = START
    version: int = 0
    expired: int = 0
    wrong: list[str] = field(default_factory=list)

    def put(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Store an object under a new version and tell it; stored ones are replaced, never changed."""
        self.version += 1
        manifest = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(self.version)}}
        self.objects[key_of(manifest)] = manifest
        self.pending.append(("MODIFIED", manifest))
        return manifest

    def add(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        """A user, or the observer, applies a resource."""
        self.version += 1
        meta = {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{self.version}",
            "generation": 1,
            "creationTimestamp": moment(START + self.version),
        }
        self.put({"apiVersion": "gozen.astro/v1alpha1", "kind": kind, "metadata": meta, "spec": spec})
        self.ended.pop(Key(kind, NAMESPACE, name), None)

    def take_back(self) -> None:
        """Delete a resource for which a Job works or has failed, as people do who mend it and apply it again."""
        owners = [owner_of(one) for key, one in self.objects.items() if key.kind == "Job"]
        keys = [one.key for one in owners if one is not None and self.is_alive(one) and one.key.name not in self.never]
        if keys:
            self.gone.append(self.objects[key := self.rng.choice(sorted(keys))])
            self._remove(self.objects[key])
            fates = self.fates.get(key.name, {})
            self.fates |= {key.name: {s: "reduced" if fate == "fails" else fate for s, fate in fates.items()}}

    def apply_again(self) -> None:
        """Apply what was deleted under its old name."""
        while self.gone:
            old = self.gone.pop()
            self.add(old["kind"], old["metadata"]["name"], old["spec"])

    def is_alive(self, owner: Owner) -> bool:
        """Tell whether it is the very resource, and not another of its name."""
        found = self.objects.get(owner.key)
        return found is not None and found["metadata"]["uid"] == owner.uid

    def create_job(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create a Job unless there is one of that name."""
        key = key_of(manifest)
        if key in self.objects:
            return self.objects[key]
        owner = owner_of(manifest)
        assert owner is not None
        self.made[owner] += 1
        if self.made[owner] > 1 and self.is_alive(owner):  # who has not heard that it is gone makes one for nobody
            self.wrong.append(f"a second Job {key.name}")
        fates = self.fates.get(owner.key.name, {})
        if owner.key.kind == "Exposure" and set(fates) <= set(self.commits.get(owner.key.name, {})):
            self.wrong.append(f"a Job {key.name} for what the archive has already")
        meta = {**manifest["metadata"], "uid": f"job-{self.version + 1}"}
        self.pods[meta["uid"]] = dict(fates)
        made = self.put({**manifest, "metadata": meta, "status": {}})
        self.check_limits()
        return made

    def delete(self, owner: Owner) -> None:
        """Delete a resource whose time is over; what it owns is collected later."""
        if self.is_alive(owner):
            self.ended[owner.key] = self.objects[owner.key]
            self._remove(self.objects[owner.key])

    def check_limits(self) -> None:
        """Notice too many Jobs at once, and two writers to one table."""
        running = [
            one for key, one in self.objects.items() if key.kind == "Job" and not one["status"].get("conditions")
        ]
        tables = Counter(one["metadata"]["labels"].get(TABLE) for one in running)
        if tables.pop(None, 0) > self.settings.max_active_jobs:
            self.wrong.append("more Jobs at once than the settings allow")
        if any(count > 1 for count in tables.values()):
            self.wrong.append("two writers to one table")

    def step(self) -> None:
        """Let something happen that is not the operator's doing."""
        self.now += self.rng.choice([0.5, 3, 20])
        jobs = [one for key, one in self.objects.items() if key.kind == "Job"]
        if jobs and self.rng.random() < 0.8:
            self._work(self.rng.choice(jobs))
        coming = [(name, fates) for name, fates in self.fates.items() if set(fates) - self.raw.get(name, set())]
        if coming and self.rng.random() < 0.6:
            name, fates = self.rng.choice(coming)
            self.raw.setdefault(name, set()).add(self.rng.choice(sorted(set(fates) - self.raw.get(name, set()))))

    def _work(self, job: dict[str, Any]) -> None:
        """Let a Job do one thing: a sensor, an append, its end, or its removal."""
        owner = owner_of(job)
        assert owner is not None
        if not self.is_alive(owner) and self.rng.random() < COLLECTED:
            self._remove(job)
            return
        if job["status"].get("conditions"):
            finished_at = job["status"]["finished"]
            lasts = job["spec"].get("ttlSecondsAfterFinished")
            if lasts is not None and self.now > finished_at + lasts:
                self._remove(job)
            return
        if owner.key.kind == "LightCurveJob":
            self.rows[f"{job['metadata']['labels'][TABLE]}/{owner.key.name}"] = 1
            self._end(job, "Complete")
            return
        done = self.commits.setdefault(owner.key.name, {})
        fates = self.pods[job["metadata"]["uid"]]
        left = [s for s in fates if s not in done and fates[s] != "fails"]
        if left:
            sensor = self.rng.choice(left)
            fate = fates[sensor]
            done[sensor] = Commit(
                sensor, fate == "reduced", "" if fate == "reduced" else "SaturatedField", "too bright"
            )
        else:
            self._end(job, "Failed" if "fails" in fates.values() else "Complete")

    def _remove(self, manifest: dict[str, Any]) -> None:
        self.objects.pop(key_of(manifest))
        self.pending.append(("DELETED", manifest))

    def _end(self, job: dict[str, Any], how: str) -> None:
        ended = {"type": how, "status": "True", "reason": "PodFailed" if how == "Failed" else "Done"}
        self.put({**job, "status": {"conditions": [ended], "finished": self.now}})


LOOKED_AT = ("Exposure", "LightCurveJob")
Rules = dict[str, Callable[..., Any]]


class Operator:
    """The operator's decisions with a memory that can be lost; `rules` replaces parts of them by mutants."""

    def __init__(self, world: World, rules: Rules | None = None) -> None:
        self.world, self.rules = world, rules or {}
        self.restart()

    def restart(self) -> None:
        """Begin anew: list everything, remember nothing."""
        self.index: Any = self.rules.get("index", Index)()
        self.world.pending.clear()
        for manifest in self.world.objects.values():
            self.index.put(manifest)
        self.dirty = {key for kind in LOOKED_AT for key in self.index.keys(kind)}
        self.wakes: dict[Key, float] = {}

    def resync(self) -> None:
        """Look at everything again, as the resync loop does."""
        for manifest in list(self.world.objects.values()):
            self._mark(self.index.put(manifest))
        known = {key: uid for kind in (*LOOKED_AT, "Job") for key, uid in self.index.uids(kind).items()}
        for key in sorted(set(known) - set(self.world.objects)):
            self._mark(self.index.forget(key, known[key]))
        self.dirty |= {key for kind in LOOKED_AT for key in self.index.keys(kind)}

    def take(self, event: tuple[str, dict[str, Any]]) -> None:
        """Be told of a change."""
        how, manifest = event
        self._mark((self.index.remove if how == "DELETED" else self.index.put)(manifest))

    def _mark(self, change: ObjectChange | None) -> None:
        if change is not None:
            self.dirty.update(affected(self.index, change, self.world.settings.max_active_jobs))

    def is_idle(self) -> bool:
        """Take what is due, and tell whether there is nothing to look at."""
        for key in [key for key, when in self.wakes.items() if when <= self.world.now]:
            del self.wakes[key]
            self.dirty.add(key)
        return not self.dirty

    def act(self, survives: int) -> bool:
        """Handle one key; False when the operator is killed after so many actions."""
        if self.is_idle():
            return True
        key = self.world.rng.choice(sorted(self.dirty))
        self.dirty.discard(key)
        resource = self.index.resource(key)
        if resource is None or key.kind not in LOOKED_AT:
            return True
        plan = self._plan(key, resource)
        if plan.requeue_after_s is not None:
            self.wakes[key] = self.world.now + plan.requeue_after_s
        owner, version = Owner(key, str(resource.metadata.uid)), str(resource.metadata.resource_version)
        for action in self._actions(owner, version, plan):
            if survives == 0:
                return False
            survives -= 1
            action()
        return True

    def _plan(self, key: Key, resource: Any) -> Plan:
        world = self.world
        if isinstance(resource, LightCurveJob):
            reconcile = self.rules.get("lightcurvejob", reconcile_lightcurvejob)
            facts = facts_room.lightcurve_facts(self.index, resource, [21, 10], [], {"rows": 1, "exposures": 1})
            return reconcile(resource, facts, world.settings, world.now)
        assert isinstance(resource, Exposure)
        answer = ArchiveAnswer(frozenset(world.raw.get(key.name, ())), dict(world.commits.get(key.name, {})))
        if neighbours_of(self.index, resource).waits_for_its_turn(world.settings):
            answer = ArchiveAnswer()
        answers = ExposureAnswers(CAMERA, answer)  # type: ignore[arg-type]
        facts = facts_room.exposure_facts(self.index, resource, answers, world.settings)
        facts = self.rules.get("facts", lambda _index, _exposure, same: same)(self.index, resource, facts)
        reconcile = self.rules.get("exposure", exposure_room.reconcile_exposure)
        return reconcile(resource, facts, world.settings, world.now)

    def _actions(self, owner: Owner, version: str, plan: Plan) -> list[Callable[[], None]]:
        """Return a plan's actions in the order in which the applier carries them out."""
        actions: list[Callable[[], None]] = []
        if plan.create is not None:
            actions.append(lambda: self._wrote(self.world.create_job(plan.create)))
        if plan.status is not None:
            actions.append(lambda: self._status(owner, version, plan.status))
        if plan.expire is not None:
            actions.append(lambda: self._expire(plan.expire))
        if plan.delete:
            actions.append(lambda: self.world.delete(owner))
        return actions

    def _status(self, owner: Owner, version: str, status: Any) -> None:
        known = self.world.objects.get(owner.key)
        if known is None or known["metadata"]["resourceVersion"] != version:
            self.wakes[owner.key] = self.world.now + self.world.settings.look_s
        else:
            self.world.writes[owner.key.name] += 1
            self._wrote(self.world.put({**self.world.objects[owner.key], "status": dict(status)}))

    def _expire(self, seen: JobSeen) -> None:
        job = self.world.objects.get(Key("Job", NAMESPACE, seen.name))
        if job is not None and job["metadata"]["uid"] == seen.uid:
            meta = {**job["metadata"], "annotations": {EXPIRES: "true"}}
            spec = {**job["spec"], "ttlSecondsAfterFinished": self.world.settings.job_ttl_s}
            self.world.expired += 1
            self._wrote(self.world.put({**job, "metadata": meta, "spec": spec}))

    def _wrote(self, manifest: dict[str, Any]) -> None:
        if self.rules.get("forgets"):
            return
        self._mark(self.index.put(manifest))
