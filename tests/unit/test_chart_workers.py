"""Test users' workers in the chart as rendered by Helm: rights, connections, pods, and Dask's resources.

Covered: off by default; every verb of the rights; connections of the service and of Dask's controller, which cannot
reach the port of Dask's protocol; the address that labs get; a chart without Dask's resources. Not covered: an API
server (tests/cluster/test_user_workers), and attacks, which need a node that enforces policies.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_pods import lab_environment
from gozen_hub.service_process import PORT
from gozen_hub.workers.cluster_manifest import COMM_PORT, HTTP_PORT, LABELS

from .rendered_chart import CHART, Manifest, chart_with_dask, environment, of_kind, one_of, rendered, rules
from .test_chart_hub import allowed, hub, pod, policies, who

WITH = {"workers": {"enabled": True}}
PARTS = ("workers", "dask-controller")


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[helm.Chart]:
    """Return the chart with Dask's resources, as ``make dask-crds`` makes it."""
    with helm.Chart.load(chart_with_dask(tmp_path_factory.mktemp("chart"))) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def manifests(chart: helm.Chart) -> list[Manifest]:
    return rendered(chart, hub(**WITH))


def settings_in(manifests: list[Manifest]) -> HubSettings:
    return HubSettings.model_validate(yaml.safe_load(one_of(manifests, "ConfigMap", "-hub")["data"]["hub.yaml"]))


def ports(rules: list[Manifest]) -> set[Any]:
    """Return all ports of rules; None if a rule names none, and so allows all."""
    return {one["port"] for rule in rules for one in rule.get("ports") or [{"port": None}]}


def test_it_is_off_by_default(chart: helm.Chart) -> None:
    found = rendered(chart, hub())
    assert "dask" not in json.dumps([one for one in found if one["kind"] != "ConfigMap" and "data" not in one])
    assert settings_in(found).workers.url == ""
    assert "GOZEN_WORKERS_URL" not in lab_environment(settings_in(found))
    assert set(settings_in(found).namespaces.bindings) == {"hub"}


def test_labs_find_the_service(manifests: list[Manifest]) -> None:
    settings = settings_in(manifests)
    service = one_of(manifests, "Service", "-workers")
    assert lab_environment(settings)["GOZEN_WORKERS_URL"] == f"http://{service['metadata']['name']}.sky.svc:{PORT}"
    assert service["spec"]["ports"][0]["port"] == PORT
    assert settings.hub_url == "http://gozen-hub.sky.svc:8081"


def test_the_service_may_write_daskclusters_and_nothing_that_runs(manifests: list[Manifest]) -> None:
    assert rules(manifests, "gozen-workers", "ClusterRole") == {
        "daskclusters": ["get", "create", "patch", "delete"],
        "daskworkergroups": ["get", "patch"],
        "pods": ["list"],
        "deployments": ["list"],
    }


def test_the_controller_sees_the_cluster_and_writes_in_users_namespaces_alone(manifests: list[Manifest]) -> None:
    seen = rules(manifests, "gozen-dask-controller-watch", "ClusterRole")
    assert {tuple(verbs) for verbs in seen.values()} == {("list", "watch")}
    assert set(seen) == {"daskclusters", "daskworkergroups", "daskjobs", "daskautoscalers", "pods", "services"}
    written = rules(manifests, "gozen-dask-controller", "ClusterRole")
    assert set(written) == {
        "daskclusters",
        "daskworkergroups",
        "daskclusters/finalizers",
        "daskworkergroups/finalizers",
        "services",
        "deployments",
    }
    bound = {
        one["roleRef"]["name"]: [who["name"] for who in one["subjects"]]
        for one in of_kind(manifests, "ClusterRoleBinding")
    }
    assert bound == {
        "gozen-hub": ["gozen-hub"],
        "gozen-namespaces": ["gozen-namespaces"],
        "gozen-dask-controller-watch": ["gozen-dask-controller"],
    }


def test_nobody_forwards_ports_or_reads_secrets(manifests: list[Manifest]) -> None:
    """By a forwarded port the controller would reach Dask's protocol past every NetworkPolicy."""
    text = json.dumps([one["rules"] for kind in ("Role", "ClusterRole") for one in of_kind(manifests, kind)])
    for word in ("*", "pods/portforward", "pods/exec", "pods/proxy", "services/proxy", "secrets", "impersonate"):
        assert f'"{word}"' not in text


def test_each_binding_of_a_users_namespace_may_be_made(manifests: list[Manifest]) -> None:
    bindings = settings_in(manifests).namespaces.bindings
    assert {name: (one.role, one.service_account, one.namespace) for name, one in bindings.items()} == {
        "hub": ("gozen-hub-labs", "gozen-hub", "sky"),
        "workers": ("gozen-workers", "gozen-workers", "sky"),
        "dask-controller": ("gozen-dask-controller", "gozen-dask-controller", "sky"),
    }
    limited = {
        rule["resources"][0]: set(rule["resourceNames"])
        for rule in one_of(manifests, "ClusterRole", "-namespaces")["rules"]
        if "resourceNames" in rule
    }
    assert limited["clusterroles"] == {one.role for one in bindings.values()}
    policy = json.dumps(one_of(manifests, "ValidatingAdmissionPolicy", "-namespaces"))
    for one in bindings.values():
        assert f"'{one.role} {one.namespace}/{one.service_account}'" in policy
    accounts = {one["metadata"]["name"] for one in of_kind(manifests, "ServiceAccount")}
    assert {one.service_account for one in bindings.values()} <= accounts


def test_the_controller_reaches_the_http_port_of_schedulers_and_never_that_of_dasks_protocol(
    manifests: list[Manifest],
) -> None:
    selected = {"app.kubernetes.io/component": "dask-controller"}
    found = [
        one["spec"]
        for one in of_kind(manifests, "NetworkPolicy")
        if one["spec"]["podSelector"].get("matchLabels", {}).items() >= selected.items()
    ]
    (own,) = found
    assert ports(own["egress"]) == {53, HTTP_PORT}
    (rule,) = (one for one in own["egress"] if one["ports"][0]["port"] == HTTP_PORT)
    assert who(rule["to"]) == ["user/dask"]
    assert "ingress" not in own  # nobody connects to it
    assert set(own["policyTypes"]) == {"Ingress", "Egress"}
    # All other policies that select it by an expression: the API server, and not archive or anything else.
    by_expression = {
        name: spec
        for name, spec in policies(manifests).items()
        for one in spec["podSelector"].get("matchExpressions", [])
        if (one["operator"] == "In") == ("dask-controller" in one["values"])
    }
    assert set(by_expression) == {"gozen-api-server"}
    assert not ports(by_expression["gozen-api-server"]["egress"]) & {COMM_PORT, None}


def test_users_pods_let_the_controller_in_at_the_http_port_alone(manifests: list[Manifest]) -> None:
    spec = settings_in(manifests).namespaces.policies["workers"]
    assert spec["podSelector"]["matchLabels"].items() <= LABELS.items()
    own, controller = spec["ingress"]
    assert own == {"from": [{"podSelector": {}}]}
    assert (ports([controller]), who(controller["from"])) == ({HTTP_PORT}, ["dask-controller"])


def test_labs_reach_the_service_and_workers_do_not(manifests: list[Manifest]) -> None:
    found = policies(manifests)["gozen-workers"]
    assert allowed(found["ingress"], "from") == {"http": ["user/lab"]}
    assert allowed(found["egress"], "to") == {8081: ["hub"]}
    of_users = settings_in(manifests).namespaces.policies
    assert allowed(of_users["labs"]["egress"][-1:], "to") == {PORT: ["workers"]}
    assert PORT not in ports(of_users["workers"]["egress"])
    assert allowed(policies(manifests)["gozen-hub"]["ingress"], "from")["hub"] == [
        "proxy",
        "portal",
        "user/lab",
        "workers",
    ]


@pytest.mark.parametrize("part", PARTS)
def test_pods_are_restricted(manifests: list[Manifest], part: str) -> None:
    found = pod(manifests, part)
    assert found["securityContext"]["runAsNonRoot"] is True
    (container,) = found["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert not [one for one in found["volumes"] if "secret" in one]


def test_the_controller_runs_guarded_and_alone(manifests: list[Manifest]) -> None:
    deployment = one_of(manifests, "Deployment", "-dask-controller")
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    modules = [one for one in container["command"] if "module" in one or one == "-m"]
    assert modules == ["-m", "--module=gozen_hub.workers.dask_controller"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    # kopf asks for the name of the user, which an image without a list of users does not know.
    assert environment(deployment).items() >= {"USER": "gozen", "HOME": "/tmp"}.items()


def test_dasks_resources_are_those_of_the_wheel_and_outlive_the_release(manifests: list[Manifest]) -> None:
    found = {one["metadata"]["name"]: one for one in of_kind(manifests, "CustomResourceDefinition", ".dask.org")}
    assert set(found) == {
        f"dask{one}.kubernetes.dask.org" for one in ("clusters", "workergroups", "jobs", "autoscalers")
    }
    for one in found.values():
        assert one["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert found["daskclusters.kubernetes.dask.org"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def test_a_chart_without_them_says_what_to_do(tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path / "gozen", ignore=shutil.ignore_patterns("dask-crds"))
    with helm.Chart.load(tmp_path / "gozen") as bare:
        with pytest.raises(helm.HelmError, match="make dask-crds"):
            rendered(bare, hub(**WITH))
        found = rendered(bare, hub(**WITH) | {"crds": {"install": False}})
    assert not of_kind(found, "CustomResourceDefinition")
    assert one_of(found, "Deployment", "-dask-controller")
