"""Random histories of a LightCurveJob that is published: pods end, people change and delete it, the account goes away.

In each history there is one Job at a time, a deletion comes to its end in time, what was published is removed before
its finalizer goes, and what is left alone with a healthy Nextcloud is published and comes to rest. Not covered: index
and API server (cluster/test_publish.py).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.effort import SEED

from gozen.resources.lightcurvejob import LightCurveJob
from gozen_operator.index.index_entries import entry_of, is_over
from gozen_operator.operator_settings import OperatorSettings, PublishSettings
from gozen_operator.reconcile.conditions import moment
from gozen_operator.reconcile.facts import JobSeen, LightCurveFacts, PodEnd, PublishFacts, PublishResult
from gozen_operator.reconcile.publish_manifests import is_publishing, publisher_name, remover_name
from gozen_operator.reconcile.reconcile_lightcurvejob import reconcile_lightcurvejob
from gozen_operator.reconcile.reconcile_plan import FINALIZER

HISTORIES, STEPS = 150, 40
PATIENCE_S = 3600.0
SETTINGS = OperatorSettings(publish=PublishSettings(url="https://cloud", user="o", secret="s"))
CODES = (0, 0, 0, 64, 65, 70, 75, 75, 137, None)
DONE = [
    {"type": kind, "status": "True", "reason": "Appended", "lastTransitionTime": "2026-01-16T00:00:00Z"}
    for kind in ("Complete", "Succeeded")
]


@dataclass
class World:
    """A LightCurveJob, its Jobs, and the files in Nextcloud.

    Parameters
    ----------
    files
        Whether there are files of it in Nextcloud.
    sent
        Generation of the spec whose files they are.
    gone
        Whether it is deleted.
    configured
        Whether the operator has an account at the Nextcloud.
    """

    publish: dict[str, Any]
    now: float = 1.8e9
    generation: int = 1
    deleted: float | None = None
    finalizers: list[str] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=lambda: {"conditions": DONE})
    jobs: dict[str, JobSeen] = field(default_factory=dict)
    files: bool = False
    sent: int = 0
    gone: bool = False
    configured: bool = True

    @property
    def resource(self) -> LightCurveJob:
        meta = {"name": "l", "namespace": "kiso", "uid": "u", "generation": self.generation}
        meta["finalizers"] = self.finalizers
        meta |= {} if self.deleted is None else {"deletionTimestamp": moment(self.deleted)}
        spec = {"selection": {"night": "20260115"}, "publish": self.publish}
        whole = {"apiVersion": "gozen.astro/v1alpha1", "metadata": meta, "spec": spec, "status": self.status}
        return LightCurveJob.model_validate(whole)

    @property
    def _settings(self) -> OperatorSettings:
        return SETTINGS if self.configured else OperatorSettings()

    @property
    def published(self) -> dict[str, Any]:
        """The condition Published."""
        return next(one for one in self.status["conditions"] if one["type"] == "Published")

    def running(self) -> list[str]:
        return [name for name, one in self.jobs.items() if one.finished is None]

    def reconcile(self) -> float | None:
        """Reconcile until there is nothing to do; return the seconds until the next time."""
        for _ in range(12):
            if self.gone:
                return None
            one = self.resource
            facts = PublishFacts(
                self.jobs.get(publisher_name(one)), self.jobs.get(remover_name(one)), PublishResult("M31", "", 5)
            )
            plan = reconcile_lightcurvejob(one, LightCurveFacts((7,), publish=facts), self._settings, self.now)
            if plan.create is not None:
                assert is_publishing(plan.create)
                assert self.running() == [], "a second Job"
                name = plan.create["metadata"]["name"]
                generation = int(plan.create["metadata"]["labels"]["gozen.astro/generation"])
                self.jobs[name] = JobSeen(name, f"j{name}", generation=generation)
                continue
            self.status = dict(plan.status) if plan.status is not None else self.status
            if plan.status is not None and self.published["status"] == "True":
                assert self.published["observedGeneration"] == self.sent, "another spec was published"
            if plan.finalizer == "add":
                assert self.deleted is None
                self.finalizers = [FINALIZER]
            if plan.finalizer == "remove":
                self._let_go()
            if plan.status is None and plan.finalizer is None:
                return plan.requeue_after_s
        raise AssertionError("it never comes to rest")

    def _let_go(self) -> None:
        self.finalizers = []
        if self.deleted is not None:
            self.gone = True
            is_late = self.now >= self.deleted + PATIENCE_S
            assert is_late or not self.files or not self.configured, "the finalizer went before the files"

    def end(self, name: str, code: int | None) -> None:
        """Let the pod of a Job end; it may have sent files whatever its code."""
        ends = [PodEnd(0, code, "Error", "")] if code else []
        self.jobs[name] = replace(self.jobs[name], finished="Failed" if ends or code is None else "Complete", ends=ends)
        self.files = "-pub-" in name or (self.files and code != 0)
        if code == 0:
            self.sent = self.jobs[name].generation

    def step(self, dice: random.Random) -> None:
        """Let something happen."""
        running = self.running()
        match dice.randrange(8):
            case 0 | 1 if running:
                self.end(running[0], dice.choice(CODES))
            case 2 if running and self.deleted is None:
                del self.jobs[running[0]]
                self.files = True
            case 3 if self.deleted is None:
                self.publish = {**self.publish, "again": self.publish.get("again", 0) + 1}
                self.generation += 1
            case 4 if self.deleted is None and dice.random() < 0.1:
                self.deleted = self.now
                self.generation += 1
                self.gone = not self.finalizers
            case 5:
                self.configured = not self.configured
            case _:
                self.now += dice.choice([1, 60, 600, 4000])


@pytest.mark.parametrize("on_delete", ["Keep", "Remove"])
def test_in_every_history_it_is_published_or_removed_in_the_end(on_delete: str) -> None:
    published = removed = 0
    for number in range(HISTORIES):
        dice = random.Random(f"{SEED} {on_delete} {number}")
        world = World({"folder": "M31", "onDelete": on_delete})
        for _ in range(STEPS):
            world.step(dice)
            world.reconcile()
        world.configured = True
        for _ in range(20):  # from now on Nextcloud is healthy, and somebody publishes once more
            for name in world.running():
                world.end(name, 0)
            world.now += world.reconcile() or 0.0
        if world.deleted is not None:
            assert world.gone
            removed += not world.files
            continue
        assert world.published["reason"] != "NextcloudNotConfigured"
        world.publish = {**world.publish, "again": 99}
        world.generation += 1
        for _ in range(4):
            world.reconcile()
            for name in world.running():
                world.end(name, 0)
        assert world.published["reason"] == "Published"
        assert is_over(entry_of(world.resource))
        assert (FINALIZER in world.finalizers) == (on_delete == "Remove")
        published += 1
    assert published > HISTORIES // 10
    if on_delete == "Remove":
        assert removed > HISTORIES // 10
