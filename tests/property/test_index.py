"""The operator's index contains what a search of all objects finds, for events in any order.

Covered: objects that are added, changed, deleted, forgotten and listed again, with late and duplicate events; the facts
of Exposures, LightCurveJobs and Observations; the objects to reconcile after a change: all objects whose facts change,
but of a long queue only the first.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from gozen.instrument.profile import Profile
from gozen.resources.exposure import Exposure
from gozen.resources.lightcurvejob import LightCurveJob
from gozen.resources.metadata import Resource
from gozen_operator.index import index_entries
from gozen_operator.index.dependents import affected
from gozen_operator.index.gather_facts import ExposureAnswers, exposure_facts, lightcurve_facts, observation_facts
from gozen_operator.index.index_entries import ExposureEntry, LightCurveEntry, filed_under
from gozen_operator.index.object_index import Index, ObjectChange
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.conditions import moment
from gozen_operator.reconcile.facts import RequestProblem
from gozen_operator.reconcile.object_fields import Key, Owner, key_of, owner_of
from gozen_operator.reconcile.publish_manifests import job_names

from .operator_world import CAMERA, NAMESPACE

SETTINGS = OperatorSettings(max_active_jobs=3)
NAMES = {"Observation": "o", "Exposure": "e", "LightCurveJob": "l"}
REASONS = ["Queued", "WaitingForCalibration", "WaitingForRaw", "Running", "Reduced", "ExposureIdTaken"]
PROFILE: Profile = CAMERA  # type: ignore[assignment]  # it has what the facts ask for


def said(reason: str) -> list[dict[str, Any]]:
    """Return the conditions that go with a reason."""
    ended = reason in ("Reduced", "ExposureIdTaken")
    refused = reason == "ExposureIdTaken"
    words = {"Accepted": not refused, "RawAvailable": True, "Complete": ended, "Succeeded": reason == "Reduced"}
    made = {"reason": reason, "lastTransitionTime": moment(1.8e9)}
    return [{**made, "type": word, "status": str(bool(holds))} for word, holds in words.items()]


def an_object(rng: random.Random, version: int) -> dict[str, Any]:
    """Make some version of one of a few objects."""
    kind = rng.choice(["Observation", *["Exposure"] * 4, "LightCurveJob", "Job", "Job"])
    number = rng.randrange(6)
    if kind == "Job":
        owner = rng.choice(["Exposure", "Exposure", "LightCurveJob"])
        name = f"{NAMES[owner]}{number}"
        ended = [{"type": "Complete", "status": "True"}] if rng.random() < 0.5 else []
        meta = {"name": name if owner == "Exposure" else f"{name}-append", "uid": f"u-{name}-{rng.randrange(2)}"}
        meta["ownerReferences"] = [{"kind": owner, "name": name, "uid": f"u-{name}-{rng.randrange(2)}"}]
        meta["labels"] = {"gozen.astro/table": rng.choice(["a", "b"])} if owner == "LightCurveJob" else {}
        spec, status = {}, {"conditions": ended}
    else:
        name = f"{NAMES[kind]}{number}"
        meta = {"name": name, "uid": f"u-{name}-{rng.randrange(2)}", "creationTimestamp": moment(1.8e9 + number % 3)}
        spec = SPECS[kind](rng)
        if "observationRef" in spec and rng.random() < 0.7:
            parent = spec["observationRef"]["name"]
            owners = [{"kind": "Observation", "name": parent, "uid": f"u-{parent}-{rng.randrange(2)}"}]
            meta["ownerReferences"] = owners
        words = ["WaitingForTable", "WaitingForExposures", "Appended"] if kind == "LightCurveJob" else REASONS
        status = {"conditions": said(rng.choice(words))} if rng.random() < 0.8 else {}
        if kind == "LightCurveJob" and status:
            status["conditions"][2]["status"] = str(rng.random() < 0.3)
    if rng.random() < 0.15:
        meta |= {"deletionTimestamp": moment(1.8e9), "finalizers": ["backup.example.org/keep"]}
    meta |= {"namespace": NAMESPACE, "resourceVersion": str(version)}
    return {"apiVersion": "gozen.astro/v1alpha1", "kind": kind, "metadata": meta, "spec": spec, "status": status}


def exposure_spec(rng: random.Random) -> dict[str, Any]:
    spec = {
        "object": "field",
        "nframe": 18,
        "exposureId": rng.randrange(1, 5),
        "night": f"2026011{rng.randrange(5, 7)}",
    }
    spec |= {"dataType": rng.choice(["OBJECT", "OBJECT", "DARK", "FLAT"]), "run": rng.choice(["r1", "r2"])}
    spec |= {"priorityClass": rng.choice(["express", "default"]), "instrument": rng.choice(["tomoe", "other"])}
    if rng.random() < 0.7:
        spec["observationRef"] = {"name": f"o{rng.randrange(3)}"}
    return {word: value for word, value in spec.items() if word != "exposureId" or rng.random() < 0.9}


def observation_spec(rng: random.Random) -> dict[str, Any]:
    steps = [{"setParameter": {"nframe": 18, "tintegSec": 0.5}}, {"exposure": "field"}]
    return {"observer": "A", "project": "B", "operations": steps, "suspend": rng.random() < 0.3}


def lightcurve_spec(rng: random.Random) -> dict[str, Any]:
    region = {"ra": 1.0, "dec": 2.0, "radiusDeg": 1.0}
    choices: list[dict[str, Any]] = [{"night": "20260115"}, {"exposures": ["00000002"]}, {"region": region}]
    return {"selection": {**rng.choice(choices), "run": "r1"}, "targetCatalog": rng.choice(["a", "b"])}


SPECS = {"Exposure": exposure_spec, "Observation": observation_spec, "LightCurveJob": lightcurve_spec}


def walked(index: Index) -> dict[index_entries.IndexKey, list[index_entries.SortKey]]:
    """Return what should be in the drawers, from all objects one after the other."""
    found: dict[index_entries.IndexKey, list[index_entries.SortKey]] = {}
    for kind in (*SPECS, "Job"):
        for key, entry in index.entries(kind):
            for heading, place in filed_under(key, entry) if entry is not None else ():
                found.setdefault(heading, []).append(place)
    return {heading: sorted(several) for heading, several in found.items()}


def exposures(index: Index) -> dict[str, ExposureEntry]:
    return {key.name: entry for key, entry in index.entries("Exposure") if isinstance(entry, ExposureEntry)}


def facts_of(index: Index, key: Key) -> Any:
    """Return the facts of a resource by the index."""
    resource = index.resource(key)
    if isinstance(resource, Exposure):
        return exposure_facts(index, resource, ExposureAnswers(PROFILE), SETTINGS)
    if isinstance(resource, LightCurveJob):
        return lightcurve_facts(index, resource, (21,), (), None)
    assert resource is not None
    return observation_facts(index, resource, PROFILE, "r1").children


def check_seen(index: Index) -> None:
    """Compare what is seen of each resource at one moment with the answers one by one."""
    for key in [key for kind in SPECS for key in index.keys(kind)]:
        seen, manifest = index.seen(key), index.manifest(key)
        assert seen is not None
        assert manifest is not None
        assert (seen.resource, seen.manifest, seen.uid) == (index.resource(key), manifest, index.uids(key.kind)[key])
        assert seen.version == manifest["metadata"]["resourceVersion"]
        assert isinstance(seen.resource, Resource)
        jobs = [index.job_named(NAMESPACE, name) for name in job_names(seen.resource)]
        owned = [one for one in jobs if one is not None and one.owner is not None and one.owner.key == key]
        assert seen.jobs == tuple((one.seen.uid, one.seen.finished) for one in owned if one.seen.uid)
    assert index.seen(Key("Exposure", NAMESPACE, "absent")) is None


def check_exposure(index: Index, mine: ExposureEntry) -> None:
    """Compare the facts of an Exposure with a walk along all others."""
    facts = facts_of(index, Key("Exposure", NAMESPACE, mine.name))
    others = [one for one in exposures(index).values() if one.name != mine.name]
    jobs = {key.name: entry for key, entry in index.entries("Job") if isinstance(entry, index_entries.JobEntry)}
    runs = [n for n, job in jobs.items() if job.runs and job.reduces]
    uid = index.uids("Exposure")[Key("Exposure", NAMESPACE, mine.name)]
    own = jobs.get(mine.name)
    is_mine = own is not None and own.owner == Owner(Key("Exposure", NAMESPACE, mine.name), uid)
    is_own = is_mine and own is not None and bool(own.seen.uid)
    ahead = sum(one.reason == "Queued" and not one.going and one.rank < mine.rank for one in others)
    same = ("night", "exposure_id", "run", "instrument")
    first = [
        (not begun_by(index, one), one.made, one.name)
        for one in others
        if not one.refused and all(getattr(one, word) == getattr(mine, word) for word in same)
    ]
    waits = mine.exposure_id is not None and not begun_by(index, mine)
    older = sorted(one for one in first if one < (True, mine.made, mine.name) and waits)
    kinds = {"OBJECT": ("DARK", "FLAT"), "FLAT": ("DARK",), "DARK": ()}[mine.data_type]
    before = {
        one.name
        for one in others
        if one.data_type in kinds and not one.complete and not one.going and one.instrument == mine.instrument
        and one.exposure_id is not None and mine.exposure_id is not None and one.exposure_id < mine.exposure_id
        and one.night == mine.night
    }  # fmt: skip
    parent = parent_of(index, mine)
    assert facts.ahead == ahead
    runs_of_others = set(runs) - ({mine.name} if is_own else set())
    assert facts.may_launch == (len(runs_of_others) + ahead < SETTINGS.max_active_jobs)
    assert (facts.job is not None) == is_own
    assert bool(facts.job_of_another) == (own is not None and not is_mine)
    assert facts.duplicate_of == (older[0][2] if older else None)
    assert set(facts.calibration) == before
    assert facts.suspended == (parent is not None and parent.suspended)
    assert facts.held == (parent is not None and not parent.complete)


def begun_by(index: Index, entry: ExposureEntry) -> bool:
    """Tell whether an Exposure is complete or has a Job."""
    own = index.job_named(NAMESPACE, entry.name)
    uid = index.uids("Exposure").get(Key("Exposure", NAMESPACE, entry.name))
    return entry.complete or (own is not None and own.owner == Owner(Key("Exposure", NAMESPACE, entry.name), uid or ""))


def parent_of(index: Index, entry: ExposureEntry) -> index_entries.ObservationEntry | None:
    """Return the Observation that owns an Exposure, or that one made by hand names."""
    key = Key("Observation", NAMESPACE, entry.observation or "")
    parent, uids = index.entry(key), {"", index.uids("Observation").get(key)}
    return parent if isinstance(parent, index_entries.ObservationEntry) and entry.observation_uid in uids else None


def check_lightcurves(index: Index, job: LightCurveJob) -> None:
    """Compare the facts of a LightCurveJob with a walk along all others."""
    facts = lightcurve_facts(index, job, (21,), (), None)
    choice = job.spec.selection
    awaited = {
        one.name
        for one in exposures(index).values()
        if one.data_type == "OBJECT" and one.run == choice.run and one.exposure_id is not None and not one.complete
        and not one.going and choice.night in (None, one.night)
        and (not choice.exposures or f"{one.exposure_id:08d}" in choice.exposures)
    }  # fmt: skip
    assert set(facts.waiting_for) == awaited
    mine = index.entry(Key("LightCurveJob", NAMESPACE, job.metadata.name))
    assert isinstance(mine, LightCurveEntry)
    jobs = [
        entry
        for _, entry in index.entries("Job")
        if isinstance(entry, index_entries.JobEntry) and entry.owner is not None
    ]
    owner = Owner(Key("LightCurveJob", NAMESPACE, mine.name), mine.uid)
    append = [one for one in jobs if one.owner != owner and one.runs and one.table == mine.table]
    rivals = {one.owner.key.name for one in append if one.owner} or {
        one.name
        for _, one in index.entries("LightCurveJob")
        if isinstance(one, LightCurveEntry) and one.name != mine.name and one.table == mine.table and not one.complete
        and not one.going and (
            index.job_of(Owner(Key("LightCurveJob", NAMESPACE, one.name), one.uid), one.job)
            or (one.reason == "WaitingForTable" and (one.made, one.name) < (mine.made, mine.name))
        )
    }  # fmt: skip
    assert facts.writer in (rivals or {None})


def happen(index: Index, rng: random.Random, version: int) -> ObjectChange | None:
    """Let one thing happen to an index."""
    if rng.random() < 0.1:
        made = an_object(rng, version)
        owner = owner_of(made)
        if made["kind"] == "Job":
            index.expect({**made, "status": {}})
        return None if rng.random() < 0.7 else index.give_up(key_of(made), owner.key if owner is not None else None)
    if rng.random() < 0.75:
        return index.put(an_object(rng, version - rng.choice([0, 0, 0, 20])))
    known = [key for kind in (*SPECS, "Job") for key in index.keys(kind)]
    if not known:
        return None
    key = rng.choice(known)
    return (
        index.forget(key, index.uids(key.kind)[key])
        if rng.random() < 0.5
        else index.remove({**an_object(rng, version), **named(key, rng)})
    )


def named(key: Key, rng: random.Random) -> dict[str, Any]:
    return {
        "kind": key.kind,
        "metadata": {"namespace": key.namespace, "name": key.name, "uid": f"u-{key.name}-{rng.randrange(2)}"},
    }


@pytest.mark.parametrize("seed", range(40))
def test_the_index_knows_what_a_walk_finds_and_marks_whom_it_concerns(seed: int) -> None:
    rng = random.Random(seed)
    index = Index()
    for step in range(120):
        before = {key: facts_of(index, key) for kind in SPECS for key in index.keys(kind)}
        change = happen(index, rng, 100 + step)
        assert index._listings == walked(index)
        check_seen(index)
        for entry in exposures(index).values():
            check_exposure(index, entry)
        for key in index.keys("LightCurveJob"):
            job = index.resource(key)
            assert isinstance(job, LightCurveJob)
            check_lightcurves(index, job)
        marked = set(affected(index, change, SETTINGS.max_active_jobs)) if change else set()
        for key in {key for kind in SPECS for key in index.keys(kind)} & set(before):
            if is_concerned(index, key, before[key]):
                assert key in marked, f"{change} concerns {key}"


def is_concerned(index: Index, key: Key, before: Any) -> bool:
    """Tell whether what a resource waits for, or counts, is otherwise than before."""
    now, entry = facts_of(index, key), index.entry(key)
    if isinstance(entry, ExposureEntry | LightCurveEntry) and entry.going:
        return False
    if isinstance(entry, ExposureEntry):
        turn = entry.reason == "Queued" and now.may_launch and not before.may_launch
        free = entry.reason == "WaitingForCalibration" and not now.calibration and bool(before.calibration)
        job = (now.job and now.job.finished) != (before.job and before.job.finished)
        return turn or free or job or (now.suspended, now.held) != (before.suspended, before.held)
    if isinstance(entry, LightCurveEntry):
        free = entry.reason == "WaitingForExposures" and not now.waiting_for and bool(before.waiting_for)
        return not entry.complete and (free or (now.writer is None and before.writer is not None))
    counted = [{name: (one.complete, one.succeeded) for name, one in several.items()} for several in (now, before)]
    return counted[0] != counted[1]


def test_an_event_marks_the_head_of_a_long_queue_only() -> None:
    index, rng = Index(), random.Random(1)
    for number in range(2000):
        spec = {"object": "field", "nframe": 18, "exposureId": number + 1, "night": "20260115"}
        meta = {"name": f"e{number}", "namespace": NAMESPACE, "uid": f"u{number}", "resourceVersion": "1"}
        found = {"kind": "Exposure", "apiVersion": "gozen.astro/v1alpha1", "metadata": meta, "spec": spec}
        index.put({**found, "status": {"conditions": said("Queued")}})
    meta = {**meta, "name": "job", "uid": "job", "ownerReferences": [{"kind": "Exposure", "name": "e0"}]}
    job = {"kind": "Job", "metadata": meta, "spec": {}, "status": {}}
    index.put(job)
    ended = {"conditions": [{"type": "Complete", "status": "True"}]}
    change = index.put({**job, "metadata": {**meta, "resourceVersion": "2"}, "status": ended})
    assert change is not None
    assert {key.name for key in affected(index, change, 3)} == {"e0", "e1", "e2"}
    observed = index.resource(Key("Exposure", NAMESPACE, f"e{rng.randrange(2000)}"))
    assert isinstance(observed, Exposure)


def test_an_observation_counts_its_own_exposures() -> None:
    index, rng = Index(), random.Random(5)
    for version in range(400):
        index.put(an_object(rng, version + 1))
    problem = RequestProblem("none", "")
    for key in index.keys("Observation"):
        resource = index.resource(key)
        facts = observation_facts(index, resource, problem, "r1")  # type: ignore[arg-type]
        assert facts.problem is problem
        assert key_of(index.manifest(key) or {}) == key


def a_job(uid: str, version: int) -> dict[str, Any]:
    owners = [{"kind": "Exposure", "name": "e1", "uid": "u"}]
    meta = {
        "name": "e1",
        "namespace": NAMESPACE,
        "uid": uid,
        "resourceVersion": str(version),
        "ownerReferences": owners,
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {}, "status": {}}


def test_late_news_of_what_had_the_name_before_never_replaces_what_has_it_now() -> None:
    index = Index()
    index.put(a_job("first", 1))
    index.put(a_job("second", 5))
    assert index.put(a_job("first", 3)) is None
    index.remove(a_job("second", 5))
    assert index.put(a_job("first", 4)) is None, "nor when that is gone too"


def test_a_listing_from_before_does_not_take_away_what_was_made_meanwhile() -> None:
    index, key = Index(), Key("Job", NAMESPACE, "e1")
    for uid in ("", "first"):
        index.expect(a_job("", 0)) if not uid else index.put(a_job(uid, 1))
        before = index.uids("Job")[key]
        index.put(a_job("second", 5 + len(uid)))
        assert index.forget(key, before) is None
        assert index.job_of(Owner(Key("Exposure", NAMESPACE, "e1"), "u"), "e1") is not None
        index = Index()
