"""The operator's decisions in histories with faults: the final state is the same, and nothing is created twice.

Covered: events that are dropped, duplicated and out of order; the operator killed between any two actions; late raw
data; sensors that are rejected or fail; more Exposures than Jobs may run; an exposure that is in the archive already;
two writers of one table; resources that users delete and create again while the old objects still work; suspended
calibration of this night and of others; a Lease that another operator takes if it is not renewed. Each of ten seeded
bugs must be found in a third of the histories, for five seeds. The number of histories is in tests/effort.py;
``GOZEN_SEED`` chooses others. Not covered: the API server (tests/cluster).
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from tests.effort import MARGIN, REPEATS, SEED, SEEDS, rounds

from gozen.errors import GozenError
from gozen_operator.api_server.lease import Tenure
from gozen_operator.index.index_entries import ExposureEntry
from gozen_operator.index.object_index import Index
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile import reconcile_exposure as exposure_room
from gozen_operator.reconcile.facts import Commit, JobSeen
from gozen_operator.reconcile.object_fields import Key, Owner
from gozen_operator.reconcile.reconcile_lightcurvejob import reconcile_lightcurvejob

from .operator_lease import Rivals
from .operator_world import CAMERA, HELD_LONG, NAMESPACE, SETTINGS, Operator, Rules, World

KIND = "operator histories"
BATCHES = 2
LEAST_ACTIONS = 20
MOST_WORK = 300
NIGHT = "20260115"
SENSORS = [sensor.id for sensor in CAMERA.sensors]


def a_night(rng: random.Random) -> World:
    """Make a world of two to four Exposures, up to two LightCurveJobs, and darks of this night or of another one."""
    world = World(rng, rng.choice([SETTINGS, HELD_LONG]))
    add_darks(world, rng)
    for number in range(rng.randint(2, 4)):
        name = f"field-{number:03d}"
        express = rng.random() < 0.3
        spec = {"object": "field", "night": NIGHT, "exposureId": number + 10, "nframe": 18}
        spec |= {"pipelines": ["wcs", "stack"], "sensors": [], "sensorsPerPod": 2, "instrument": "tomoe"}
        spec |= {"priorityClass": "express" if express else "default", "dataType": "OBJECT", "run": "r1"}
        world.add("Exposure", name, spec)
        world.fates[name] = {s: rng.choices(["reduced", "rejected", "fails"], [8, 2, 1])[0] for s in SENSORS}
        if rng.random() < 0.15:  # reduced before, on a laptop or in an earlier life of the cluster
            world.raw[name] = set(SENSORS)
            world.fates[name] = dict.fromkeys(SENSORS, "reduced")
            world.commits[name] = {sensor: Commit(sensor, reduced=True) for sensor in SENSORS}
    for number in range(rng.randint(0, 2)):
        spec = {"selection": {"night": NIGHT, "exposures": [], "run": "r1"}, "targetCatalog": "lightcurves"}
        world.add("LightCurveJob", f"append-{number}", {**spec, "aperture": 21, "cadence": "frame"})
    return world


def add_darks(world: World, rng: random.Random) -> None:
    """Add a dark of this night, or one of another night that is suspended for good, or of this one, or none."""
    which = rng.choice([*["none"] * 5, "tonight", "suspended", "of another night", "of another night"])
    if which == "none":
        return
    spec = {"object": "DARK", "night": NIGHT, "exposureId": 1, "nframe": 18, "sensors": ["111"], "instrument": "tomoe"}
    spec |= {"dataType": "DARK", "pipelines": [], "run": "r1", "sensorsPerPod": 2, "priorityClass": "default"}
    if which != "tonight":
        steps = [{"setParameter": {"nframe": 18, "tintegSec": 0.5, "dataType": "DARK"}}, {"exposure": "DARK"}]
        world.add("Observation", "held", {"observer": "A", "project": "B", "operations": steps, "suspend": True})
        world.never |= {"held", "dark"}
        spec["observationRef"] = {"name": "held"}
    if which == "of another night":
        spec["night"] = "20260109"
    world.add("Exposure", "dark", spec)
    world.fates["dark"] = {"111": "reduced"}


def lived(seed: int, rules: Rules | None = None) -> tuple[World, int]:
    """Live through a history of trouble, then to its quiet end; return the world and how many actions there were."""
    rng = random.Random(seed)
    world = a_night(rng)
    operator = Operator(world, rules)
    is_busy, is_shared = rng.random() < 0.3, rng.random() < 0.15
    rivals = Rivals(rng, world.now, world.wrong, (rules or {}).get("tenure", Tenure)) if is_shared else None
    actions = 0
    while actions < LEAST_ACTIONS + rng.randrange(40):
        actions += 1
        leads = time_passes(operator, rivals)
        if is_busy:
            people(world, rng)
        trouble(operator, rng)
        if leads and not operator.act(rng.choice([0, 1, 2, 9, 9, 9])):
            operator.restart()
            if rivals is not None:
                rivals.killed()
    world.apply_again()
    if rivals is not None:
        rivals.calm = True
    for _ in range(400):
        leads = time_passes(operator, rivals)
        trouble(operator, rng)
        if leads:
            operator.resync()
            work(operator)
        if world.wrong or (leads and is_quiet(world)):
            break
    while world.pending and not world.wrong:  # what comes long after all is over
        operator.take(world.pending.pop(rng.randrange(len(world.pending))))
        work(operator)
    operator.resync()
    work(operator)
    return world, actions


def time_passes(operator: Operator, rivals: Rivals | None) -> bool:
    """Let something happen; tell whether the operator acts."""
    operator.world.step()
    if rivals is None:
        return True
    if rivals.run_until(operator.world.now):
        operator.restart()
    return rivals.leads


def people(world: World, rng: random.Random) -> None:
    """Let people delete a resource, and apply it again now or later."""
    if rng.random() < 0.06:
        world.take_back()
    if rng.random() < 0.5:
        world.apply_again()


def work(operator: Operator) -> None:
    """Handle all that waits to be handled."""
    for _ in range(MOST_WORK):
        if operator.is_idle():
            return
        operator.act(9)
    operator.world.wrong.append("it never comes to rest")


def trouble(operator: Operator, rng: random.Random) -> None:
    """Deliver some events: in any order, twice, or never."""
    pending = operator.world.pending
    for _ in range(rng.randrange(4)):
        if pending:
            event = pending[rng.randrange(len(pending))]
            if rng.random() < 0.8:
                pending.remove(event)
            if rng.random() < 0.8:
                operator.take(event)
    if rng.random() < 0.05:
        operator.resync()


def conditions(manifest: dict[str, Any]) -> dict[str, tuple[str, str]]:
    found = manifest.get("status", {}).get("conditions", [])
    return {one["type"]: (one["status"], one["reason"]) for one in found}


def is_quiet(world: World) -> bool:
    waited_for = {key: one for key, one in world.objects.items() if key.name not in world.never}
    ours = [one for key, one in waited_for.items() if key.kind != "Job"]
    left = [key for key in waited_for if key.kind == "Job" or (key.kind == "Exposure" and goes(world))]
    return not left and all(conditions(one).get("Complete", ("", ""))[0] == "True" for one in ours)


def goes(world: World) -> bool:
    """Tell whether a finished Exposure leaves the API server in this world."""
    return world.settings is SETTINGS


def problems(world: World) -> list[str]:
    """Return what is not as it has to be at the end of a history."""
    found = list(world.wrong)
    tonight = any(one["spec"].get("dataType") == "DARK" and one["spec"]["night"] == NIGHT for one in all_of(world))
    for key, manifest in {**world.objects, **world.ended}.items():
        if key.name in world.never:
            continue
        if "CalibrationAvailable" in conditions(manifest) and not tonight:
            found.append(f"{key.name} waited for calibration of another night: {conditions(manifest)}")
        if key.kind == "Exposure" and goes(world) and key not in world.ended:
            found.append(f"{key.name} does not go")
        if key.kind == "Job":
            found.append(f"the Job {key.name} is still there")
            continue
        if conditions(manifest).get("Complete", ("", ""))[0] != "True":
            found.append(f"{key.name} never comes to its end: {conditions(manifest)}")
            continue
        status = manifest["status"]
        if key.kind == "Exposure":
            fates = list(world.fates[key.name].values())
            right = tuple(fates.count(fate) for fate in ("reduced", "rejected", "fails"))
            if (status["reduced"], status["rejected"], status["failed"]) != right:
                found.append(f"{key.name} counts {status}, not {right}")
            if (conditions(manifest)["Succeeded"][0] == "False") != ("fails" in fates):
                found.append(f"{key.name} is {conditions(manifest)}, its sensors {fates}")
        elif conditions(manifest)["Succeeded"] != ("True", "Appended"):
            found.append(f"{key.name} is {conditions(manifest)}")
    return found


def all_of(world: World) -> list[dict[str, Any]]:
    return [*world.objects.values(), *world.ended.values()]


def first(seed: int) -> int:
    """Return the number of the first history of a seed."""
    return seed * 1_000_000


@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_history_ends_in_the_same_state_with_nothing_made_twice(batch: int) -> None:
    for number in rounds(KIND, batch, BATCHES):
        world, actions = lived(first(SEED) + number)
        assert actions >= LEAST_ACTIONS
        assert problems(world) == [], f"history {first(SEED) + number}"


def without_archive(exposure: Any, facts: Any, *rest: Any) -> Any:
    """A mutant that launches without asking the archive what it has."""
    fresh = exposure.status is None or exposure.status.job is None
    return exposure_room.reconcile_exposure(
        exposure, replace(facts, commits={}) if fresh and facts.job is None else facts, *rest
    )


def with_hasty_ttl(exposure: Any, facts: Any, *rest: Any) -> Any:
    """A mutant that lets a Job go as soon as it is done, before its outcome is recorded."""
    plan = exposure_room.reconcile_exposure(exposure, facts, *rest)
    if plan.create is not None:
        spec = {**plan.create["spec"], "ttlSecondsAfterFinished": 0}
        plan = replace(plan, create={**plan.create, "spec": spec})
    return plan


class Forgetful(Index):
    """A mutant that lets an older version replace a newer one, and the dead come back."""

    def _is_news(self, key: Key, uid: str, version: int) -> bool:
        return True


def with_lost_job_as_new(exposure: Any, facts: Any, *rest: Any) -> Any:
    """A mutant that takes a Job that is gone for one that was never made."""
    if exposure.status is not None and facts.job is None:
        status = exposure.status.model_copy(update={"job": None, "conditions": []})
        exposure = exposure.model_copy(update={"status": status})
    return exposure_room.reconcile_exposure(exposure, facts, *rest)


def without_turns(exposure: Any, facts: Any, *rest: Any) -> Any:
    """A mutant that does not wait for its turn."""
    return exposure_room.reconcile_exposure(exposure, replace(facts, may_launch=True), *rest)


def with_two_writers(job: Any, facts: Any, *rest: Any) -> Any:
    """A mutant that does not ask who else writes to the table."""
    return reconcile_lightcurvejob(job, replace(facts, writer=None), *rest)


class Adopting(Index):
    """A mutant that takes a Job of a resource's name for its own."""

    def job_of(self, owner: Owner, name: str) -> JobSeen | None:
        card = self.job_named(owner.key.namespace, name)
        return None if card is None else card.seen


def with_all_nights(index: Index, exposure: Any, facts: Any) -> Any:
    """A mutant that waits for calibration of every night."""
    darks = [
        entry
        for _, entry in index.entries("Exposure")
        if isinstance(entry, ExposureEntry) and entry.data_type == "DARK"
    ]
    before = [one for one in darks if not one.complete and (one.exposure_id or 0) < exposure.spec.exposure_id]
    return replace(facts, calibration=[one.name for one in before])


class Blind(Tenure):
    """A mutant whose renewing dies of an answer that is not an error of ours."""

    def hold(self, now: float, wall: float) -> bool:
        try:
            holds = self.try_to_hold(now, wall)
        except GozenError:
            return False
        self._held_at = now if holds else self._held_at
        return holds


MUTANTS: dict[str, Rules] = {
    "skips the archive": {"exposure": without_archive},
    "forgets the race with the TTL": {"exposure": with_hasty_ttl},
    "believes a stale cache": {"index": Forgetful},
    "does not remember its own writes": {"forgets": lambda: None},
    "takes a Job that is gone for a new one": {"exposure": with_lost_job_as_new},
    "does not wait for its turn": {"exposure": without_turns},
    "lets two write to a table": {"lightcurvejob": with_two_writers},
    "adopts a Job of its name": {"index": Adopting},
    "waits for calibration of another night": {"facts": with_all_nights},
    "does not see that its Lease is lost": {"tenure": Blind},
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_seeded_bug_is_found_in_a_third_of_the_histories(name: str) -> None:
    enough = REPEATS[KIND].small // MARGIN
    for seed in SEEDS:
        found = any(problems(lived(first(seed) + number, MUTANTS[name])[0]) for number in range(enough))
        assert found, f"no history of the first {enough} of seed {seed} shows that it {name}"


def quiet(settings: OperatorSettings) -> World:
    """Let one Exposure come whose raw data are there, and let everything go well."""
    world = World(random.Random(3), settings)
    spec = {"object": "field", "night": NIGHT, "exposureId": 1, "nframe": 18, "pipelines": ["wcs"], "sensors": []}
    world.add("Exposure", "quiet", {**spec, "sensorsPerPod": 2})
    world.raw["quiet"], world.fates = set(SENSORS), {"quiet": dict.fromkeys(SENSORS, "reduced")}
    operator = Operator(world)
    for _ in range(400):
        world.step()
        while world.pending:
            operator.take(world.pending.pop(0))
        work(operator)
    return world


def test_a_quiet_exposure_costs_four_writes() -> None:
    world = quiet(SETTINGS.model_copy(update={"job_ttl_s": 5400}))
    assert (list(world.made.values()), world.writes, world.expired) == ([1], {"quiet": 2}, 0)
    assert list(world.ended) == [Key("Exposure", NAMESPACE, "quiet")]
    assert not world.objects


def test_the_job_of_an_exposure_that_stays_goes_before_it() -> None:
    world = quiet(HELD_LONG)
    assert (list(world.made.values()), world.writes, world.expired) == ([1], {"quiet": 2}, 1)
    assert list(world.objects) == [Key("Exposure", NAMESPACE, "quiet")]
