"""Resources that are deleted and applied again under their name: what was their predecessor's is not theirs.

The decisions under random histories are in tests/property; here the requests, on an API server in memory.
"""

from __future__ import annotations

import pytest

from gozen.archive.raw import RawExposure, record_exposure
from gozen.archive.store import open_store
from gozen.settings import load_settings
from gozen_operator.controller import Controller
from gozen_operator.facts import observation_facts
from gozen_operator.index import Index
from gozen_operator.looking import profile_of
from gozen_operator.manifests import Key, key_of
from gozen_operator.settings import OperatorSettings

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
        "Job field belongs to the Exposure field that was deleted; it begins when the cluster has removed that Job",
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
