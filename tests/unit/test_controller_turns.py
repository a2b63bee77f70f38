"""Test concurrent reconciliations: never more Jobs than allowed, even if the API server is slow.

Covered: a place for a Job is taken when the decision is made; a second reconciliation waits and says so; a place is
free again if no Job was created, but not if one may have been; a deletion is not repeated before the server has
confirmed it. Sequential reconciliations: tests/property/test_reconcile.py.
"""

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from gozen.archive.raw.exposure_record import RawExposure, record_exposure
from gozen.archive.stores.open_store import open_store
from gozen.errors import ClusterUnavailable
from gozen.settings import load_settings
from gozen_operator.api_server.responses import RefusedError
from gozen_operator.index.object_index import Index
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.process.controller import Controller
from gozen_operator.reconcile.object_fields import Key

NIGHT, SETTINGS = "20300101", OperatorSettings(max_active_jobs=2)
NAMES = [f"field-{number}" for number in range(1, 7)]


class SlowServer:
    """It answers the creation of Jobs only when it is told to."""

    def __init__(self):
        self.go, self.asked, self.statuses, self.fails = threading.Event(), [], {}, None
        self.deleted, self.begun = [], threading.Semaphore(0)

    def create_job(self, manifest):
        self.asked.append(manifest["metadata"]["name"])
        self.begun.release()
        assert self.go.wait(60)
        if self.fails:
            raise self.fails
        return {**manifest, "metadata": {**manifest["metadata"], "uid": "made", "resourceVersion": "5"}, "status": {}}

    def write_status(self, key, uid, status):
        self.statuses[key.name] = status["conditions"][-1]["reason"]

    def delete(self, key, uid):
        self.deleted.append(key.name)

    def tell(self, *_):
        pass


@pytest.fixture
def controller(tmp_path):
    store, index = open_store(tmp_path), Index()
    for number, name in enumerate(NAMES, 1):
        exposure = f"{number:08d}"
        record_exposure(store, RawExposure(NIGHT, exposure, "field", "OBJECT", 1.0, {"111": ("a",)}))
        meta = {"name": name, "namespace": "night", "uid": name, "resourceVersion": "1"}
        spec = {"object": "f", "night": NIGHT, "exposureId": number, "nframe": 1, "pipelines": ["wcs"]}
        spec |= {"sensors": ["111"]}
        index.put({"apiVersion": "gozen.astro/v1alpha1", "kind": "Exposure", "metadata": meta, "spec": spec})
    return Controller(SlowServer(), index, lambda: store, load_settings(), SETTINGS, lambda _: None)


def test_no_more_jobs_are_asked_for_than_have_a_turn(controller):
    server = controller.api
    with ThreadPoolExecutor(len(NAMES)) as several:
        looks = [several.submit(controller.handle, Key("Exposure", "night", name)) for name in NAMES]
        ended = wait(looks, timeout=60, return_when="FIRST_COMPLETED").done
        while len(ended) < len(NAMES) - SETTINGS.max_active_jobs:
            left = set(looks) - ended
            fresh = wait(left, timeout=60, return_when="FIRST_COMPLETED").done
            assert fresh, "looks that only have to wait in words wait for the API server"
            ended |= fresh
        # Those with a turn may still be on their way to the API server.
        assert all(server.begun.acquire(timeout=60) for _ in range(SETTINGS.max_active_jobs))
        assert len(server.asked) == SETTINGS.max_active_jobs
        server.go.set()
        assert [look.result(60) for look in looks]
    assert sorted(server.asked) == sorted(set(NAMES) - set(server.statuses))
    assert set(server.statuses.values()) == {"Queued"}


def test_a_turn_that_came_to_nothing_is_free_again(controller):
    server = controller.api
    server.go.set()
    server.fails = RefusedError("too many requests", 429)
    for name in NAMES:
        with pytest.raises(RefusedError):
            controller.handle(Key("Exposure", "night", name))
    server.fails = None
    for name in NAMES:
        controller.handle(Key("Exposure", "night", name))
    assert server.asked == [*NAMES, *NAMES[:2]]


@pytest.mark.parametrize("silence", [ClusterUnavailable("no answer"), RefusedError("etcd: request timed out", 500)])
def test_a_job_that_may_have_been_made_keeps_its_turn_until_its_owner_is_looked_at_again(controller, silence):
    server = controller.api
    server.go.set()
    server.fails = silence
    for name in NAMES[:2]:
        with pytest.raises(ClusterUnavailable):
            controller.handle(Key("Exposure", "night", name))
    for name in NAMES[2:]:
        controller.handle(Key("Exposure", "night", name))
    assert server.asked == NAMES[:2]
    server.fails = None
    for name in NAMES:
        controller.handle(Key("Exposure", "night", name))
    assert server.asked == [*NAMES[:2], *NAMES[:2]]


def test_a_turn_for_a_job_that_may_have_been_made_is_free_when_its_owner_is_gone(controller):
    server = controller.api
    server.go.set()
    server.fails = ClusterUnavailable("no answer")
    for name in NAMES[:2]:
        with pytest.raises(ClusterUnavailable):
            controller.handle(Key("Exposure", "night", name))
        controller.index.remove({"kind": "Exposure", "metadata": {"name": name, "namespace": "night", "uid": name}})
        assert controller.handle(Key("Exposure", "night", name)) is None
    assert controller.index.keys("Job") == []


def test_what_is_deleted_is_not_deleted_again(controller):
    said = {"type": "Complete", "status": "True", "reason": "Reduced", "lastTransitionTime": "2020-01-01T00:00:00Z"}
    manifest = controller.index.manifest(Key("Exposure", "night", NAMES[0]))
    manifest["metadata"]["resourceVersion"] = "2"
    manifest["status"] = {"conditions": [said], "completionTime": "2020-01-01T00:00:00Z"}
    controller.index.put(manifest)
    for _ in range(2):
        controller.handle(Key("Exposure", "night", NAMES[0]))
    assert controller.api.deleted == [NAMES[0]]
