"""Test resources that are deleted and created again with the same name: nothing of the old one belongs to the new one.

The requests are tested here, with an API server in memory; the decisions in random histories are in tests/property.
"""

from __future__ import annotations

import pytest

from gozen.archive.raw.exposure_record import RawExposure, record_exposure
from gozen.archive.stores.open_store import open_store
from gozen.settings import load_settings
from gozen_operator.index import index_entries
from gozen_operator.index.dependents import affected
from gozen_operator.index.gather_facts import observation_facts
from gozen_operator.index.object_index import Index
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.process import read_sources
from gozen_operator.process.controller import Controller
from gozen_operator.process.read_sources import profile_of
from gozen_operator.reconcile.facts import RequestProblem
from gozen_operator.reconcile.object_fields import Key, key_of

NAMESPACE, NIGHT = "night", "20300101"
SETTINGS = OperatorSettings(namespaces=(NAMESPACE,), identity="test", job_ttl_s=0, exposure_ttl_s=1e9)
EXPOSURE, JOB = Key("Exposure", NAMESPACE, "field"), Key("Job", NAMESPACE, "field")
SPEC = {"object": "field", "exposureId": 7, "night": NIGHT, "nframe": 6, "pipelines": ["wcs"], "sensors": ["111"]}


class Server:
    """An API server in memory; a request about an object that is gone, or another by now, changes nothing."""

    def __init__(self):
        self.objects, self.version, self.asked_pods = {}, 0, []

    def put(self, manifest, **meta):
        self.version += 1
        made = {**manifest, "metadata": {**manifest["metadata"], **meta, "resourceVersion": str(self.version)}}
        self.objects[key_of(made)] = made
        return made

    def apply(self, kind, name, spec, uid, **meta):
        meta = {"name": name, "namespace": NAMESPACE, "uid": uid, "generation": 1, **meta}
        return self.put({"apiVersion": "gozen.astro/v1alpha1", "kind": kind, "metadata": meta, "spec": spec})

    def create_job(self, manifest):
        return self.objects.get(key_of(manifest)) or self.put({**manifest, "status": {}}, uid=f"job-{self.version}")

    def write_status(self, key, version, status):
        old = self.objects.get(key)
        return self.put({**old, "status": status}) if old and old["metadata"]["resourceVersion"] == version else None

    def expire_job(self, namespace, job, ttl_s):
        old = self.objects.get(Key("Job", namespace, job.name))
        return (
            self.put(old, annotations={"gozen.astro/recorded": "true"}) if old["metadata"]["uid"] == job.uid else None
        )

    def pods_of(self, namespace, uid):
        self.asked_pods.append(uid)
        return []

    def get(self, key):
        return self.objects.get(key)

    def tell(self, *_):
        pass


@pytest.fixture
def desk(tmp_path):
    """Return a server, an operator's index, and what looks at the Exposure."""
    server, index, store = Server(), Index(), open_store(tmp_path)
    files = {"111": (f"raw/{NIGHT}/00000007/111.fits",)}
    record_exposure(store, RawExposure(NIGHT, "00000007", "field", "OBJECT", 61000.0, files))
    controller = Controller(server, index, lambda: store, load_settings(), SETTINGS, lambda _change: None)
    return server, index, controller


def succeeded(server):
    found = server.objects[EXPOSURE].get("status", {}).get("conditions", [])
    return next(((one["reason"], one["message"]) for one in found if one["type"] == "Succeeded"), None)


@pytest.mark.parametrize("ends", [[], [{"type": "Failed", "status": "True", "reason": "PodFailed"}]])
@pytest.mark.parametrize("is_known", [True, False], ids=["told of the old Job", "not told"])
def test_an_exposure_waits_until_its_predecessors_job_is_gone_and_then_has_its_own(desk, ends, is_known):
    server, index, controller = desk
    index.put(server.apply("Exposure", "field", SPEC, "first"))
    controller.handle(EXPOSURE)
    old = server.put({**server.objects[JOB], "status": {"conditions": ends}})
    (index.put if is_known else index.remove)(old)
    index.put(server.apply("Exposure", "field", SPEC, "second"))
    for _ in range(3):
        assert controller.handle(EXPOSURE) is not None, "it is looked at again"
    assert succeeded(server) == (
        "JobNameTaken",
        "Job field belongs to the deleted Exposure field; this one starts when the cluster has removed that Job",
    )
    assert "job" not in server.objects[EXPOSURE]["status"]
    index.remove(server.objects.pop(JOB))
    controller.handle(EXPOSURE)
    controller.handle(EXPOSURE)
    assert server.objects[JOB]["metadata"]["ownerReferences"][0]["uid"] == "second"
    assert succeeded(server)[0] == "Running"
    assert "first" not in str(server.objects[EXPOSURE]["status"])


def test_a_job_of_nobody_is_named_with_what_to_do(desk):
    server, index, controller = desk
    meta = {"name": "field", "namespace": NAMESPACE}
    server.put({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {}, "status": {}}, uid="foreign")
    index.put(server.apply("Exposure", "field", SPEC, "first"))
    controller.handle(EXPOSURE)
    controller.handle(EXPOSURE)
    reason, message = succeeded(server)
    assert (reason, "delete that Job" in message) == ("JobNameTaken", True)


def test_only_its_own_jobs_pods_say_how_it_ended(desk):
    server, index, controller = desk
    index.put(server.apply("Exposure", "field", SPEC, "first"))
    controller.handle(EXPOSURE)
    ended = [{"type": "Failed", "status": "True", "reason": "PodFailed"}]
    job = server.put({**server.objects[JOB], "status": {"conditions": ended, "failed": 1}})
    index.put(job)
    controller.handle(EXPOSURE)
    assert server.asked_pods == [job["metadata"]["uid"]]
    assert succeeded(server)[0] == "PodFailed"


def test_what_the_archive_said_of_an_earlier_exposure_of_the_name_is_not_this_ones(desk):
    server, index, controller = desk
    index.put(server.apply("Exposure", "field", {**SPEC, "exposureId": 8}, "first"))
    gathered = controller._gathered

    def replaced_meanwhile(resource):
        found = gathered(resource)
        controller._gathered = gathered
        index.put(server.apply("Exposure", "field", SPEC, "second"))
        return found

    controller._gathered = replaced_meanwhile
    assert controller.handle(EXPOSURE) == 0.0, "it is looked at anew"
    assert succeeded(server) is None
    controller.handle(EXPOSURE)
    assert JOB in server.objects, "its own raw data are there"


def test_an_observation_counts_only_exposures_that_are_its_own(desk):
    server, index, controller = desk
    steps = [{"setParameter": {"nframe": 6, "tintegSec": 0.5, "dataType": "DARK"}}, {"exposure": "DARK"}]
    observation = {"observer": "A", "project": "B", "operations": steps, "suspend": True}
    spec = {**SPEC, "observationRef": {"name": "tonight"}}
    index.put(server.apply("Observation", "tonight", observation, "new"))
    for name, uid in (("of-old", "old"), ("of-new", "new")):
        owners = [{"kind": "Observation", "name": "tonight", "uid": uid}]
        index.put(server.apply("Exposure", name, spec | {"run": name}, name, ownerReferences=owners))
    index.put(server.apply("Exposure", "by-hand", spec | {"run": "by-hand"}, "by-hand"))
    mine = index.resource(Key("Observation", NAMESPACE, "tonight"))
    assert set(observation_facts(index, mine, profile_of("tomoe"), "r1").children) == {"of-new", "by-hand"}
    for name in ("of-new", "of-old"):
        controller.handle(Key("Exposure", NAMESPACE, name))
    said = {name: server.objects[Key("Exposure", NAMESPACE, name)].get("status") for name in ("of-new", "of-old")}
    assert "Suspended" in str(said["of-new"])
    assert "Suspended" not in str(said["of-old"])


def twin(server, **meta):
    """Apply another Exposure of the same number and run."""
    meta = {"creationTimestamp": "2030-01-01T00:00:00Z", **meta}
    return server.apply("Exposure", "again", SPEC, "twin", **meta)


def accepted(server, name):
    found = server.objects[Key("Exposure", NAMESPACE, name)].get("status", {}).get("conditions", [])
    return {one["type"]: (one["status"], one["reason"]) for one in found}


def test_an_exposure_whose_number_was_that_of_one_that_is_gone_begins_when_that_has_been_told(desk):
    server, index, controller = desk
    old = server.apply("Exposure", "field", SPEC, "first", creationTimestamp="2029-01-01T00:00:00Z")
    index.put(old)
    del server.objects[EXPOSURE]
    index.put(twin(server))
    again = Key("Exposure", NAMESPACE, "again")
    assert controller.handle(again) == SETTINGS.look_s
    assert accepted(server, "again")["Succeeded"] == ("Unknown", "ExposureIdTaken")
    index.remove(old)
    controller.handle(again)
    assert Key("Job", NAMESPACE, "again") in server.objects


@pytest.mark.parametrize("is_told", [True, False])
def test_an_exposure_waits_for_one_of_its_number_that_is_being_deleted(desk, is_told):
    server, index, controller = desk
    meta = {"creationTimestamp": "2029-01-01T00:00:00Z"}
    index.put(server.apply("Exposure", "field", SPEC, "first", **meta))
    going = server.put(server.objects[EXPOSURE], deletionTimestamp="2030-01-01T00:00:00Z")
    if is_told:
        index.put(going)
    index.put(twin(server))
    assert controller.handle(Key("Exposure", NAMESPACE, "again")) == SETTINGS.look_s
    assert accepted(server, "again")["Complete"] == ("False", "ExposureIdTaken")


def test_a_number_that_is_taken_is_refused_and_what_runs_is_not_refused_for_an_earlier_name(desk):
    server, index, controller = desk
    same = {"creationTimestamp": "2030-01-01T00:00:00Z"}
    index.put(server.apply("Exposure", "field", SPEC, "first", **same))
    controller.handle(EXPOSURE)
    index.put(twin(server))  # in the same second, and its name comes first
    for _ in range(2):
        controller.handle(Key("Exposure", NAMESPACE, "again"))
        controller.handle(EXPOSURE)
    assert accepted(server, "again")["Accepted"] == ("False", "ExposureIdTaken")
    assert accepted(server, "field")["Succeeded"] == ("Unknown", "Running")
    assert [key.name for key in server.objects if key.kind == "Job"] == ["field"]


def test_what_the_archive_said_before_the_job_ended_is_not_its_outcome(desk):
    server, index, controller = desk
    index.put(server.apply("Exposure", "field", SPEC, "first"))
    gathered = controller._gathered

    def ended_meanwhile(resource):
        found = gathered(resource)
        controller._gathered = gathered
        owner = {"kind": "Exposure", "name": "field", "uid": "first", "apiVersion": "gozen.astro/v1alpha1"}
        meta = {"name": "field", "namespace": NAMESPACE, "ownerReferences": [owner]}
        ended = {"conditions": [{"type": "Complete", "status": "True"}]}
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {}, "status": ended}
        index.put(server.put(job, uid="of an operator before this one"))
        return found

    controller._gathered = ended_meanwhile
    assert controller.handle(EXPOSURE) == 0.0
    assert succeeded(server) is None


def test_an_exposure_that_is_reduced_is_not_refused_for_a_profile_that_is_gone(desk, monkeypatch):
    server, index, controller = desk
    index.put(server.apply("Exposure", "field", SPEC, "first"))
    for _ in range(2):
        controller.handle(EXPOSURE)
    monkeypatch.setattr(
        read_sources, "profile_of", lambda name: RequestProblem("UnknownInstrument", f"no profile {name}")
    )
    controller.handle(EXPOSURE)
    assert succeeded(server)[0] == "Running"


STEPS = [{"setParameter": {"nframe": 6, "tintegSec": 0.5, "dataType": "DARK"}}, *[{"exposure": "DARK"}] * 2]


def test_an_observation_is_not_summed_up_without_an_exposure_of_which_nobody_has_told(desk):
    server, index, controller = desk
    key = Key("Observation", NAMESPACE, "field")
    index.put(server.apply("Observation", "field", {"observer": "A", "project": "B", "operations": STEPS}, "parent"))
    controller.handle(key)
    status = server.objects[key]["status"]
    names = [one["name"] for one in status["exposures"]]
    owner = {"kind": "Observation", "name": "field", "uid": "parent", "apiVersion": "gozen.astro/v1alpha1"}
    for name in names:
        spec = {**SPEC, "observationRef": {"name": "field"}}
        made = server.apply("Exposure", name, spec, f"uid of {name}", ownerReferences=[owner])
        said = {"status": "True", "reason": "Reduced", "lastTransitionTime": "2030-01-01T00:00:00Z"}
        ends = [{**said, "type": "Complete"}, {**said, "type": "Succeeded"}] if name == names[0] else []
        made = server.put({**made, "status": {"conditions": ends}})
        if ends:
            index.put(made)
    executed = {**said, "type": "Executed", "reason": "Executed"}
    whole = {**status, "conditions": [*status["conditions"], executed]}
    index.put(server.put({**server.objects[key], "status": whole}))
    controller.handle(key)
    found = {one["type"]: (one["status"], one["reason"]) for one in server.objects[key]["status"]["conditions"]}
    assert found["Complete"] == ("False", "Reducing")


def test_who_is_being_deleted_keeps_nobody_waiting(desk):
    server, index, _ = desk
    for kind, name, spec in (
        ("Exposure", "field", SPEC),
        ("LightCurveJob", "append", {"selection": {"night": NIGHT}, "targetCatalog": "lightcurves"}),
    ):
        reason = "Queued" if kind == "Exposure" else "WaitingForTable"
        said = {
            "type": "Succeeded",
            "status": "Unknown",
            "reason": reason,
            "lastTransitionTime": "2030-01-01T00:00:00Z",
        }
        made = server.apply(kind, name, spec, f"uid of {name}")
        made = server.put({**made, "status": {"conditions": [said]}})
        index.put(made)
        drawers = (
            index_entries.queue(NAMESPACE),
            index_entries.not_reduced(NAMESPACE, "r1"),
            index_entries.writers(NAMESPACE, "lightcurves"),
        )
        assert sum(index.count(one) for one in drawers) > 0
        follower = index.put(server.apply(kind, f"{name}-2", spec, f"uid of {name}-2")).key
        index.put(server.put({**server.objects[follower], "status": {"conditions": [said]}}))
        gone = index.put(server.put(made, deletionTimestamp="2030-01-01T00:00:00Z", finalizers=["example.org/keep"]))
        assert follower in affected(index, gone, 1), "who waited is looked at"
        index.remove(server.objects[follower])
        assert sum(index.count(one) for one in drawers) == 0
