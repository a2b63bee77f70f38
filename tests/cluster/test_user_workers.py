"""Users' workers on a real API server: the service and Dask's controller, with their accounts and Dask's resources.

Covered: a lab creates, scales and removes its cluster; the controller creates scheduler and workers with the rights of
the chart; what the accounts of the service and of the controller cannot do; another user. Not covered: pods, which need
a node; an attack on the controller over the network; who may call the service (tests/unit/test_workers_service).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml
from fastapi.testclient import TestClient
from kubernetes import config

from gozen.errors import ClusterUnavailable
from gozen_hub.hub_settings import HubSettings
from gozen_hub.namespaces.make_namespace import make_namespace
from gozen_hub.workers.cluster_manifest import API, LABELS, image_of
from gozen_hub.workers.workers_app import PATH, workers_app
from gozen_operator.api_server.api_request import ApiRequest
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.api_server.responses import RefusedError

from ..fake_hub import FakeHub, fake_hub
from ..unit.rendered_chart import chart_with_dask
from .api_server import ApiServer
from .processes import Process, wait_until

pytestmark = pytest.mark.xdist_group("api")
ROOT = Path(__file__).parents[2]
PLACE = "crew"
NAME = "crew-gozen"
MIZU, HANA = "crew-user-mizu", "crew-user-hana"
SECONDS = 60
LOGIN = {"method": "test", "test": {"users": ["mizu"], "password_file": "/etc/gozen/login/password"}}
VALUES = {
    "archive": {"url": "s3://sky/archive"},
    "hub": {
        "enabled": True,
        "publicUrl": "https://sky.example.org",
        "workers": {"enabled": True},
        "settings": {"login": LOGIN, "namespaces": {"prefix": "crew-user"}, "workers": {"most": 3}},
    },
}
PARTS = ("hub-rights.yaml", "hub-workers.yaml", "hub-dask-controller.yaml")
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Crew:
    """A release with workers, two users with labs, and the service with its own account."""

    server: ApiServer
    settings: HubSettings
    account: ApiConnection
    http: TestClient

    def ask(self, method: str, user: str = "mizu", **options: Any) -> tuple[int, Manifest]:
        """Ask the service as the lab of a user does."""
        answer = self.http.request(method, PATH, headers={"Authorization": f"token {user}s"}, **options)
        return answer.status_code, answer.json()

    def get(self, kind: str, namespace: str = MIZU) -> list[Manifest]:
        """Return objects as the administrator sees them."""
        text = self.server.kubectl("get", kind, "-n", namespace, "--output=json", check=True).stdout
        return list(json.loads(text)["items"])

    def may(self, account: str, words: str, namespace: str) -> bool:
        """Whether an account of the release may do something."""
        who = f"--as=system:serviceaccount:{PLACE}:{NAME}-{account}"
        return self.server.kubectl("auth", "can-i", *words.split(), "-n", namespace, who).stdout.split()[0] == "yes"


def lab_of(user: str, namespace: str, image: str) -> Manifest:
    """Return the pod of a lab as the hub makes it; nothing runs it here."""
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"jupyter-{user}",
            "namespace": namespace,
            "labels": {**LABELS, "app.kubernetes.io/component": "lab"},
            "annotations": {"hub.jupyter.org/username": user},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "notebook", "image": image, "securityContext": closed}],
        },
    }


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    with fake_hub() as found:
        found.users = {"mizus": "mizu", "hanas": "hana"}
        found.scopes = ["access:servers!server=mizu/", "access:servers!server=hana/"]
        yield found


def release(server: ApiServer, folder: Path) -> HubSettings:
    """Apply the chart's rights and Dask's resources; return the settings that the chart writes."""
    with helm.Chart.load(chart_with_dask(folder)) as chart:
        texts = {Path(path).name: text for path, text in chart.render(VALUES, name=PLACE, namespace=PLACE).items()}
    server.kubectl("create", "namespace", PLACE, check=True)
    for part in PARTS:
        # Server-side, because an annotation cannot hold the whole of Dask's resources.
        server.kubectl("apply", "--server-side", "-f", "-", stdin=texts[part], check=True)
    server.kubectl("wait", "--for=condition=Established", "crd/daskclusters.kubernetes.dask.org", check=True)
    written, *_ = yaml.safe_load_all(texts["hub-settings.yaml"])
    return HubSettings.model_validate(yaml.safe_load(written["data"]["hub.yaml"]))


def account_of(server: ApiServer, name: str) -> ApiConnection:
    """Return a connection with the rights of an account of the release."""
    kubeconfig = server.kubeconfig_of_service_account(PLACE, f"{NAME}-{name}")
    return ApiConnection(config.new_client_from_config(str(kubeconfig)))


@pytest.fixture(scope="module")
def crew(api_server: ApiServer, hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    settings = release(api_server, tmp_path_factory.mktemp("crew")).model_copy(update={"hub_url": hub.url})
    namespaces = account_of(api_server, "namespaces")
    for namespace, user in ((MIZU, "mizu"), (HANA, "hana")):

        def made(namespace: str = namespace, user: str = user) -> bool:
            try:  # rights and policies hold a moment after they are applied
                make_namespace(namespaces, namespace, user, settings)
            except ClusterUnavailable:
                return False
            return True

        wait_until(made, f"the namespace {namespace}", SECONDS)
        pod = lab_of(user, namespace, settings.lab.image)
        api_server.kubectl("create", "-f", "-", stdin=json.dumps(pod), check=True)
    account = account_of(api_server, "workers")
    found = Crew(api_server, settings, account, TestClient(workers_app(account, settings)))
    wait_until(lambda: found.ask("GET")[0] == 200, "the rights of the service", SECONDS)
    yield found
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy", "clusterrolebinding", "clusterrole"):
        api_server.kubectl("delete", kind, "--selector", f"app.kubernetes.io/instance={PLACE}", check=True)


@pytest.fixture(scope="module")
def controller(crew: Crew, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Run Dask's controller as the chart does, with the rights of its account."""
    (deployment,) = (
        one for one in crew.get("deployment", PLACE) if one["metadata"]["name"] == f"{NAME}-dask-controller"
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    command = [sys.executable, *(word for word in container["command"][1:] if not word.startswith("--liveness"))]
    folder = tmp_path_factory.mktemp("controller")
    paths = os.pathsep.join(str(ROOT / part) for part in ("pipelines", "operator"))
    given = {one["name"]: one["value"] for one in container["env"]} | {"HOME": str(folder), "PYTHONPATH": paths}
    kubeconfig = crew.server.kubeconfig_of_service_account(PLACE, f"{NAME}-dask-controller")
    environment = os.environ | given | {"KUBECONFIG": str(kubeconfig)}
    process = Process("dask-controller", command, folder / "controller.log", environment=environment)
    yield process
    process.stop()


def deployments(crew: Crew) -> list[str]:
    return sorted(one["metadata"]["name"].rpartition("-worker-")[0] or "scheduler" for one in crew.get("deployment"))


def test_a_lab_gets_scheduler_and_workers_scales_and_removes_them(crew: Crew, controller: Process) -> None:
    status, state = crew.ask("PUT", json={"workers": 2})
    assert (status, state["phase"], state["wanted"]) == (200, "starting", 2)
    (cluster,) = crew.get("daskcluster")
    assert cluster["metadata"]["ownerReferences"][0]["name"] == "jupyter-mizu"
    wait_until(
        lambda: deployments(crew) == ["gozen-default", "gozen-default", "scheduler"],
        "scheduler and workers",
        SECONDS,
        [controller],
    )
    assert [one["metadata"]["name"] for one in crew.get("service")] == ["gozen-scheduler"]
    for one in crew.get("deployment"):
        template = one["spec"]["template"]
        assert template["metadata"]["labels"].items() >= LABELS.items()
        assert template["spec"]["automountServiceAccountToken"] is False
        assert template["spec"]["containers"][0]["image"] == image_of(crew.get("pod")[0], crew.settings)
        assert one["metadata"]["ownerReferences"]
    assert crew.ask("PATCH", json={"workers": 3})[1]["wanted"] == 3
    wait_until(lambda: len(deployments(crew)) == 4, "a third worker", SECONDS, [controller])
    assert crew.ask("DELETE")[0] == 200
    wait_until(lambda: not crew.get("daskcluster"), "the end of the cluster", SECONDS, [controller])
    assert crew.ask("GET")[1]["phase"] == "none"
    log = controller.log.read_text()
    assert "forbidden" not in log.lower(), log[-3000:]


def test_another_users_lab_sees_and_changes_nothing_of_it(crew: Crew) -> None:
    crew.ask("PUT", json={"workers": 1})
    assert crew.ask("GET", "hana")[1]["phase"] == "none"
    assert crew.ask("DELETE", "hana")[0] == 200
    assert len(crew.get("daskcluster")) == 1
    assert crew.get("daskcluster", HANA) == []


def test_without_a_binding_in_the_namespace_it_says_what_to_do(crew: Crew) -> None:
    crew.server.kubectl("delete", "rolebinding", "workers", "-n", HANA, check=True)
    wait_until(lambda: crew.ask("GET", "hana")[0] == 503, "the end of the rights", SECONDS)
    assert crew.ask("GET", "hana")[1]["message"].endswith("end the lab and start it again, which renews them")


def refusal(crew: Crew, path: str, body: Manifest) -> str:
    """Return why the API server refuses a write by the account of the service."""
    try:
        crew.account.answer(ApiRequest("POST", path, {"dryRun": "All"}, body))
    except RefusedError as refused:
        return str(refused)
    return ""


def test_the_account_of_the_service_makes_no_pods_and_nothing_in_other_namespaces(crew: Crew) -> None:
    cluster = {
        "apiVersion": API,
        "kind": "DaskCluster",
        "metadata": {"name": "try"},
        "spec": crew.get("daskcluster")[0]["spec"],
    }
    path = f"/apis/{API}/namespaces/{{}}/daskclusters"
    assert refusal(crew, path.format(MIZU), cluster) == ""
    for namespace in ("kube-system", "default", PLACE):
        assert 'cannot create resource "daskclusters"' in refusal(crew, path.format(namespace), cluster)
    pod = lab_of("mizu", MIZU, "any") | {"metadata": {"name": "try"}}
    assert 'cannot create resource "pods"' in refusal(crew, f"/api/v1/namespaces/{MIZU}/pods", pod)


@pytest.mark.parametrize("account", ["workers", "dask-controller"])
@pytest.mark.parametrize(
    "words",
    [
        "create pods",
        "create pods/exec",
        "create pods/portforward",
        "get pods/log",
        "get secrets",
        "list secrets",
        "create rolebindings.rbac.authorization.k8s.io",
        "create serviceaccounts/token",
        "delete namespaces",
        "patch resourcequotas",
        "delete networkpolicies.networking.k8s.io",
        "create daskjobs.kubernetes.dask.org",
    ],
)
def test_neither_account_may_do_what_it_does_not_need(crew: Crew, account: str, words: str) -> None:
    for namespace in (MIZU, PLACE, "kube-system"):
        assert not crew.may(account, words, namespace)


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ("workers", "create daskclusters.kubernetes.dask.org"),
        ("workers", "list pods"),
        ("dask-controller", "create deployments.apps"),
        ("dask-controller", "delete deployments.apps"),
        ("dask-controller", "create services"),
        ("dask-controller", "patch daskclusters.kubernetes.dask.org"),
    ],
)
def test_they_write_in_users_namespaces_alone(crew: Crew, account: str, words: str) -> None:
    assert crew.may(account, words, MIZU)
    for namespace in (PLACE, "kube-system", "default"):
        assert not crew.may(account, words, namespace)
