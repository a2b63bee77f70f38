"""Test the service for users' workers: who may call it, what a request can change, and its answers to the lab.

Covered: tokens of labs, of other users, of services and administrators, revoked tokens, and a hub that does not answer;
numbers of workers and everything else that a request may contain; the manifest; states and their causes. Not covered:
the rights of the account (tests/cluster/test_user_workers), a running hub and cluster.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.fake_hub import FakeHub, fake_hub

from gozen.errors import ClusterUnavailable
from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_caller import Caller, lab_of
from gozen_hub.workers.cluster_manifest import cluster_manifest
from gozen_hub.workers.cluster_state import cluster_state
from gozen_hub.workers.manage_cluster import namespace_of
from gozen_hub.workers.workers_app import PATH, workers_app
from gozen_operator.api_server.api_request import ApiRequest
from gozen_operator.api_server.responses import RefusedError

LOGIN = {"method": "test", "test": {"users": ["hoshi"], "password_file": "/p"}}
ROOT = "/apis/kubernetes.dask.org/v1/namespaces/gozen-user-hoshi"
LAB_SCOPES = ["access:servers!server=hoshi/", "read:users:name!user=hoshi", "users:activity!user=hoshi"]
Manifest = dict[str, Any]


def settings_with(**workers: Any) -> HubSettings:
    """Return the settings of a hub with an archive on S3."""
    found: Manifest = {"login": LOGIN, "archive": {"url": "s3://sky/archive"}, "workers": {"most": 4} | workers}
    found["lab"] = {"image": "lab:1", "profiles": [{"title": "a"}, {"title": "b", "image": "lab:big"}]}
    return HubSettings.model_validate(found)


def lab(user: str = "hoshi", image: str = "lab:1", **annotations: str) -> Manifest:
    """Return the pod of a lab as the hub makes it."""
    notes = {"hub.jupyter.org/username": user} | annotations
    meta = {"name": f"jupyter-{user}", "uid": "1234", "annotations": notes, "namespace": f"gozen-user-{user}"}
    return {"metadata": meta, "spec": {"containers": [{"name": "notebook", "image": image}]}}


class FakeApi:
    """An API server that has objects by path, and notes what is written."""

    def __init__(self) -> None:
        self.objects: dict[str, Manifest] = {}
        self.pods: dict[str, list[Manifest]] = {"gozen-user-hoshi": [lab()], "gozen-user-kaze": [lab("kaze")]}
        self.workers: list[Manifest] = []
        self.deployments: list[Manifest] = []
        self.asked: list[ApiRequest] = []
        self.refusal: RefusedError | None = None

    def answer(self, request: ApiRequest) -> Manifest:
        self.asked.append(request)
        if self.refusal:
            raise self.refusal
        namespace, _, plural = request.path.partition("/namespaces/")[2].partition("/")
        if plural == "pods":
            labs = "component=lab" in request.query["labelSelector"]
            return {"items": self.pods.get(namespace, []) if labs else self.workers}
        if plural == "deployments":
            return {"items": self.deployments}
        return self._object(request)

    def _object(self, request: ApiRequest) -> Manifest:
        if request.method == "POST":
            path = f"{request.path}/{request.body['metadata']['name']}"
            if path in self.objects:
                raise RefusedError("it exists", 409)
            return self.objects.setdefault(path, request.body)
        if request.path not in self.objects:
            raise RefusedError("not found", 404)
        if request.method == "PATCH":
            self.objects[request.path]["spec"]["worker"] |= request.body["spec"]["worker"]
        return self.objects.pop(request.path) if request.method == "DELETE" else self.objects[request.path]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as found:
        found.users = {"hoshis": "hoshi", "kazes": "kaze"}
        found.scopes = LAB_SCOPES
        yield found


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def service(hub: FakeHub, api: FakeApi) -> TestClient:
    settings = settings_with().model_copy(update={"hub_url": hub.url})
    return TestClient(workers_app(api, settings), raise_server_exceptions=False)  # type: ignore[arg-type]


def ask(service: TestClient, method: str, token: str = "token hoshis", **options: Any) -> tuple[int, Manifest]:
    answer = service.request(method, PATH, headers={"Authorization": token} if token else {}, **options)
    return answer.status_code, answer.json()


def test_a_lab_makes_scales_and_removes_its_cluster(service: TestClient, api: FakeApi) -> None:
    assert ask(service, "GET")[1]["phase"] == "none"
    status, made = ask(service, "PUT", json={"workers": 2})
    assert (status, made["phase"], made["wanted"], made["most"]) == (200, "starting", 2, 4)
    assert list(api.objects) == [f"{ROOT}/daskclusters/gozen"]
    assert ask(service, "PATCH", json={"workers": 3})[1]["wanted"] == 3
    assert ask(service, "DELETE")[1]["phase"] == "none"
    assert api.objects == {}
    assert ask(service, "DELETE")[0] == 200


def test_to_make_it_again_changes_nothing(service: TestClient, api: FakeApi) -> None:
    ask(service, "PUT", json={"workers": 2})
    status, found = ask(service, "PUT", json={"workers": 4})
    assert (status, found["wanted"]) == (200, 2)


def test_workers_are_scaled_where_the_controller_looks(service: TestClient, api: FakeApi) -> None:
    ask(service, "PUT", json={"workers": 1})
    group = api.objects[f"{ROOT}/daskworkergroups/gozen-default"] = {"spec": {"worker": {"replicas": 1}}}
    assert ask(service, "PATCH", json={"workers": 4})[1]["wanted"] == 4
    assert group["spec"]["worker"]["replicas"] == 4


def test_there_is_nothing_to_scale_before(service: TestClient) -> None:
    status, said = ask(service, "PATCH", json={"workers": 2})
    assert (status, said["message"]) == (422, "there are no workers to scale; they start with the first job")


@pytest.mark.parametrize("token", ["", "token ", "token nobodys", "hoshis", "Basic hoshis", "token höshi", "token a b"])
def test_without_the_token_of_a_lab_nothing_happens(service: TestClient, api: FakeApi, token: str) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        options = {"json": {"workers": 1}} if method in ("PUT", "PATCH") else {}
        answer = service.request(method, PATH, headers={"Authorization": token.encode("latin-1")}, **options)
        assert answer.status_code == 403
        assert "only a running lab" in answer.json()["message"]
    assert api.asked == []


def test_a_cookie_or_a_token_in_the_address_does_not_count(service: TestClient, api: FakeApi) -> None:
    service.cookies.set("jupyterhub-session-id", "hoshis")
    assert service.get(f"{PATH}?token=hoshis").status_code == 403
    assert api.asked == []


@pytest.mark.parametrize(
    "scopes",
    [
        [],
        ["access:services!service=portal", "read:users:name!user=hoshi"],
        ["access:servers", "admin:servers"],
        ["access:servers!user=hoshi"],
        ["access:servers!server=kaze/"],
        ["access:servers!server=hoshi2/"],
        ["users:activity!user=hoshi"],
    ],
)
def test_a_token_that_is_not_that_of_the_users_lab_is_refused(
    service: TestClient, hub: FakeHub, scopes: list[str]
) -> None:
    hub.scopes = scopes
    assert ask(service, "PUT", json={"workers": 1})[0] == 403


def test_the_token_of_a_service_is_refused() -> None:
    assert lab_of({"name": "hoshi", "kind": "service", "scopes": LAB_SCOPES}) is None
    assert lab_of({"name": "hoshi", "kind": "user", "scopes": LAB_SCOPES}) == Caller("hoshi", "")
    assert lab_of({"kind": "user", "scopes": LAB_SCOPES}) is None


def test_a_token_acts_in_the_namespace_of_its_user_alone(service: TestClient, hub: FakeHub, api: FakeApi) -> None:
    hub.scopes = ["access:servers!server=kaze/"]
    assert ask(service, "PUT", "token kazes", json={"workers": 1})[0] == 200
    assert {one.path.partition("/namespaces/")[2].partition("/")[0] for one in api.asked} == {"gozen-user-kaze"}


def test_the_namespace_is_that_of_kubespawner() -> None:
    assert namespace_of("hoshi", "gozen-user") == "gozen-user-hoshi"
    assert namespace_of("Hoshi", "gozen-user").startswith("gozen-user-hoshi---")
    assert len(namespace_of("h" * 200, "gozen-user")) < 64


def test_a_revoked_token_is_refused_at_once(service: TestClient, hub: FakeHub) -> None:
    assert ask(service, "GET")[0] == 200
    del hub.users["hoshis"]
    assert ask(service, "GET")[0] == 403


def test_a_hub_that_fails_lets_nobody_in(service: TestClient, hub: FakeHub, api: FakeApi) -> None:
    hub.broken = True
    status, said = ask(service, "PUT", json={"workers": 1})
    assert (status, said["message"]) == (503, "the hub answered 500 Internal Server Error; try again in a minute")
    assert api.asked == []


def test_a_token_that_outlives_its_lab_makes_nothing(service: TestClient, api: FakeApi) -> None:
    for pods in ([], [lab(**{"hub.jupyter.org/servername": "second"})], [lab("Hoshi")]):
        api.pods["gozen-user-hoshi"] = pods
        status, said = ask(service, "PUT", json={"workers": 1})
        assert (status, said["message"]) == (503, "no lab of hoshi runs in gozen-user-hoshi; start the lab again")
    assert api.objects == {}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"workers": "2"},
        {"workers": 2.0},
        {"workers": True},
        {"workers": 0},
        {"workers": -1},
        {"workers": 5},
        {"workers": 10**30},
        {"workers": None},
        {"workers": 1, "image": "evil"},
        {"workers": 1, "spec": {"worker": {"spec": {"hostNetwork": True}}}},
        [1],
        "1",
    ],
)
def test_anything_but_a_number_of_workers_is_refused(service: TestClient, api: FakeApi, body: Any) -> None:
    ask(service, "PUT", json={"workers": 1})
    before = json.dumps(api.objects)
    for method in ("PUT", "PATCH"):
        status, said = ask(service, method, json=body)
        assert status == 422
        assert "workers" in said["message"]
    assert json.dumps(api.objects) == before


def test_it_says_how_many_are_possible(service: TestClient) -> None:
    said = ask(service, "PUT", json={"workers": 5})[1]["message"]
    assert said == "5 workers are not possible: this hub gives each user 1 to 4 workers"


def test_a_refusal_of_the_api_server_is_shown(service: TestClient, api: FakeApi) -> None:
    api.refusal = RefusedError("GET pods: the API server says 403: no", 403)
    status, said = ask(service, "GET")
    assert status == 503
    assert said["message"].endswith("end the lab and start it again, which renews them")


def manifest(workers: int = 2, pod: Manifest | None = None, **settings: Any) -> Manifest:
    return cluster_manifest(pod or lab(), workers, settings_with(**settings))


def test_the_cluster_goes_with_the_lab() -> None:
    (owner,) = manifest()["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", "jupyter-hoshi", "1234")
    assert manifest(idle_s=77)["spec"]["idleTimeout"] == 77


@pytest.mark.parametrize("role", ["scheduler", "worker"])
def test_its_pods_are_restricted_and_know_no_credential_of_the_cluster(role: str) -> None:
    spec = manifest()["spec"][role]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert "JUPYTERHUB" not in json.dumps(spec)
    assert "GOZEN_WORKERS_URL" not in json.dumps(spec)


def test_workers_alone_read_the_archive() -> None:
    spec = manifest()["spec"]
    (worker,) = spec["worker"]["spec"]["containers"]
    assert {"name": "s3", "mountPath": "/etc/gozen/s3", "readOnly": True} in worker["volumeMounts"]
    names = {one["name"]: one["value"] for one in worker["env"]}
    assert names["GOZEN_ARCHIVE"] == "s3://sky/archive"
    assert names["AWS_SHARED_CREDENTIALS_FILE"] == "/etc/gozen/s3/credentials"
    assert "s3" not in json.dumps(spec["scheduler"])


@pytest.mark.parametrize(
    ("memory", "limit"),
    [("4G", 3_880_000_000), ("1.5G", 1_380_000_000), ("200M", 100_000_000), ("2T", 1_999_880_000_000)],
)
def test_dask_ends_a_function_before_the_kernel_ends_its_worker(memory: str, limit: int) -> None:
    spec = manifest(memory=memory, memory_guarantee="64M")["spec"]["worker"]["spec"]
    assert f"--memory-limit={limit}" in spec["containers"][0]["command"]
    names = {one["name"]: one["value"] for one in spec["containers"][0]["env"]}
    assert names["DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE"] == "False"


def test_the_scheduler_is_asked_over_http() -> None:
    spec = manifest()["spec"]["scheduler"]
    (container,) = spec["spec"]["containers"]
    routes = next(one["value"] for one in container["env"] if one["name"].endswith("HTTP__ROUTES"))
    assert "distributed.http.scheduler.api" in routes
    assert {"name": "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "value": "2"} in container["env"]
    names = [one["name"] for one in spec["service"]["ports"]]
    assert names == ["tcp-comm", "http-dashboard"] == [one["name"] for one in container["ports"]]
    assert spec["service"]["type"] == "ClusterIP"


def test_the_image_is_that_of_the_lab_which_the_site_names() -> None:
    for image in ("lab:big", "lab:1"):
        spec = manifest(pod=lab(image=image))["spec"]
        assert {spec[role]["spec"]["containers"][0]["image"] for role in ("scheduler", "worker")} == {image}


def test_a_lab_that_outlived_an_upgrade_gets_no_workers_of_other_packages(service: TestClient, api: FakeApi) -> None:
    api.pods["gozen-user-hoshi"] = [lab(image="lab:0")]
    status, said = ask(service, "PUT", json={"workers": 1})
    assert status == 422
    assert said["message"].endswith("the image of this lab (lab:0): end the lab and start it again")
    assert api.objects == {}


def test_its_pods_are_what_the_network_policy_selects() -> None:
    assert manifest()["metadata"]["labels"]["app.kubernetes.io/component"] == "dask"


CLUSTER = {"metadata": {"uid": "u"}, "spec": {"worker": {"replicas": 2}}}


def pod_of(role: str, name: str = "one", **status: Any) -> Manifest:
    limits = {"resources": {"limits": {"memory": "4G", "cpu": "1"}}}
    labels = {"dask.org/component": role}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [limits]}, "status": status}


def placed(**more: Any) -> Manifest:
    return {"conditions": [{"type": "PodScheduled", "status": "True"}], **more}


def waiting(reason: str, message: str = "") -> Manifest:
    state = {"waiting": {"reason": reason, "message": message}}
    return placed(containerStatuses=[{"name": "worker", "image": "lab:1", "state": state}])


READY = {"conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]}
QUOTA = (
    'pods "a" is forbidden: exceeded quota: user, requested: limits.cpu=1, used: limits.cpu=8, limited: limits.cpu=8'
)


def failed(message: str) -> Manifest:
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": message}]
    return {"metadata": {"labels": {"dask.org/component": "worker"}}, "status": {"conditions": conditions}}


def state(*pods: Manifest, cluster: Manifest | None = CLUSTER, deployments: list[Manifest] | None = None) -> Manifest:
    made = [{"metadata": {}, "status": {}}] if deployments is None else deployments
    return cluster_state(cluster, None, made, pods, settings_with().workers)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, "1 worker: a node is being chosen"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]},
            "1 worker: no node has room (0/3); wait until other pods end, or ask your administrator",
        ),
        (waiting("ContainerCreating"), "1 worker: the node fetches the image and mounts the volumes"),
        (
            waiting("ImagePullBackOff", "no such image"),
            "1 worker: the image lab:1 cannot be fetched (no such image); ask your administrator",
        ),
        (
            waiting("CreateContainerConfigError", "secret not found"),
            "1 worker: CreateContainerConfigError: secret not found; if this lasts, show it to your administrator",
        ),
        (placed(phase="Running", containerStatuses=[{"state": {"running": {}}}]), "1 worker: the program starts"),
    ],
)
def test_it_says_what_a_pod_waits_for(status: Manifest, said: str) -> None:
    assert state(pod_of("worker", **status))["awaited"] == [said]


def test_it_says_when_the_quota_is_used_up() -> None:
    assert state(deployments=[failed(QUOTA), failed(QUOTA)])["awaited"] == [
        "2 workers: your quota is used up (used: limits.cpu=8; at most: limits.cpu=8): use fewer workers with "
        "api.workers(n), or end another server"
    ]
    assert (
        "refuses the pod: violates PodSecurity; show"
        in state(deployments=[failed("violates PodSecurity")])["awaited"][0]
    )


def test_it_says_when_the_controller_does_nothing() -> None:
    assert "Dask's controller has not begun" in state(deployments=[])["awaited"][0]


def test_phases() -> None:
    scheduler, worker = pod_of("scheduler", "s", **READY), pod_of("worker", **READY)
    assert state(cluster=None)["phase"] == "none"
    assert state()["phase"] == state(scheduler)["phase"] == state(worker)["phase"] == "starting"
    found = state(scheduler, worker)
    assert (found["phase"], found["ready"], found["address"]) == ("ready", 1, "tcp://gozen-scheduler:8786")
    ending = {**CLUSTER, "metadata": {"uid": "u", "deletionTimestamp": "now"}}
    assert state(scheduler, worker, cluster=ending)["phase"] == "ending"


def test_a_scheduler_that_starts_again_is_another_session() -> None:
    worker = pod_of("worker", **READY)
    sessions = set()
    for name, restarts in (("s", 0), ("s", 1), ("t", 0)):
        found = pod_of("scheduler", name, **READY, containerStatuses=[{"name": "scheduler", "restartCount": restarts}])
        sessions.add(state(found, worker)["session"])
    assert len(sessions) == 3


def test_a_worker_without_memory_is_named() -> None:
    ended = {"name": "worker", "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}, "restartCount": 1}
    found = state(pod_of("worker", containerStatuses=[ended], **READY))
    assert found["notes"] == [
        "a worker was ended because its memory (4G) was used up: read fewer columns, or return less from map, or ask "
        "your administrator for larger workers"
    ]


def test_the_api_server_away_is_said(service: TestClient, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: ApiRequest) -> Manifest:
        raise ClusterUnavailable("the API server does not answer")

    monkeypatch.setattr(api, "answer", away)
    assert ask(service, "GET") == (503, {"message": "the API server does not answer"})
