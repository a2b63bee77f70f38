"""Test the service for labs' credentials in the chart: off by default, its rights, its pod, and its connections.

Covered: rights and admission policy; the pod and its Secrets for each method; the token for the hub only if groups are
needed; connections; refused values. Not covered: an API server (tests/cluster/test_user_credentials), the program.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest

from gozen_hub.credentials.credentials_main import TOKEN
from gozen_hub.credentials.key_sources import AssumedRoles, StaticKeys, key_source
from gozen_hub.hub_settings import HubSettings, read_hub_settings
from gozen_hub.lab_pods import CREDENTIALS_SECRET
from gozen_hub.service_process import PORT

from .rendered_chart import CHART, DISK, Manifest, environment, notes, of_kind, one_of, rendered, rules
from .test_chart_hub import allowed, hub, pod, policies

ROLES = {"members": "arn:aws:iam:::role/gozen-members", "others": "arn:aws:iam:::role/gozen-others"}
STATIC = {"credentials": {"method": "static"}}
STS = {"credentials": {"method": "sts", "roles": ROLES}}
GROUPS = {"access": {"groups": ["survey"], "users": ["ada"]}}


@pytest.fixture(scope="module")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def manifests(chart: helm.Chart) -> list[Manifest]:
    return rendered(chart, hub(STATIC))


def settings(manifests: list[Manifest], folder: Path) -> HubSettings:
    path = folder / "hub.yaml"
    path.write_text(one_of(manifests, "ConfigMap", "-hub")["data"]["hub.yaml"])
    return read_hub_settings(path)


def mounted(found: Manifest) -> dict[str, str]:
    """Return the Secrets of a pod by the folder at which they are mounted."""
    secrets = {one["name"]: one["secret"]["secretName"] for one in found["volumes"] if "secret" in one}
    mounts = found["containers"][0]["volumeMounts"]
    return {one["mountPath"]: secrets[one["name"]] for one in mounts if one["name"] in secrets}


def test_it_is_clean_and_off_by_default(chart: helm.Chart) -> None:
    for given in (STATIC, STS | GROUPS):
        found = helm.lint(CHART, hub(given), strict=True)
        assert found["errors"] == []
        assert [one for one in found["messages"] if one["severity"] > 1] == []
    assert not [one for one in rendered(chart, hub(GROUPS)) if "credentials" in one["metadata"]["name"]]


def test_it_writes_one_secret_in_users_namespaces_and_reads_none(manifests: list[Manifest]) -> None:
    assert rules(manifests, "gozen-credentials", "ClusterRole") == {"namespaces": ["list", "watch"]}
    role = one_of(manifests, "ClusterRole", "-credentials-labs")
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [CREDENTIALS_SECRET],
            "verbs": ["create", "patch"],
        }
    ]
    bound = {
        one["metadata"]["name"]: (one["roleRef"]["name"], [(who["namespace"], who["name"]) for who in one["subjects"]])
        for one in [*of_kind(manifests, "ClusterRoleBinding"), *of_kind(manifests, "RoleBinding")]
        if "credentials" in json.dumps(one)
    }
    assert bound == {"gozen-credentials": ("gozen-credentials", [("sky", "gozen-credentials")])}


def test_the_service_for_namespaces_binds_its_role_and_may(manifests: list[Manifest], tmp_path: Path) -> None:
    found = settings(manifests, tmp_path).namespaces.bindings["credentials"]
    assert found.model_dump() == {
        "role": "gozen-credentials-labs",
        "service_account": "gozen-credentials",
        "namespace": "sky",
    }
    names = next(one for one in one_of(manifests, "ClusterRole", "-namespaces")["rules"] if one["verbs"] == ["bind"])
    assert sorted(names["resourceNames"]) == ["gozen-credentials-labs", "gozen-hub-labs"]
    policy = json.dumps(one_of(manifests, "ValidatingAdmissionPolicy", "-namespaces")["spec"])
    assert "gozen-credentials-labs sky/gozen-credentials" in policy


def test_its_admission_policy_is_in_force_for_everything_that_it_writes(manifests: list[Manifest]) -> None:
    spec = one_of(manifests, "ValidatingAdmissionPolicy", "-credentials")["spec"]
    binding = one_of(manifests, "ValidatingAdmissionPolicyBinding", "-credentials")["spec"]
    assert spec["failurePolicy"] == "Fail"
    assert binding == {"policyName": "gozen-credentials", "validationActions": ["Deny"]}
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert (rule["apiGroups"], rule["resources"]) == (["*"], ["*/*"])
    assert len(spec["matchConditions"]) == 1
    assert "system:serviceaccount:sky:gozen-credentials" in spec["matchConditions"][0]["expression"]


@pytest.mark.parametrize("given", [STATIC, STS | GROUPS], ids=["static", "sts"])
def test_its_pod_is_restricted(chart: helm.Chart, given: Manifest) -> None:
    found = pod(rendered(chart, hub(given, credentials={"secretName": "sts-key"})), "credentials")
    (container,) = found["containers"]
    assert found["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (container["command"], container["ports"][0]["containerPort"]) == (["gozen-credentials"], PORT)
    assert container["resources"]["limits"]["memory"]
    assert {container[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")} == {"/healthz"}


def test_static_keys_are_where_the_program_reads_them(manifests: list[Manifest], tmp_path: Path) -> None:
    found = settings(manifests, tmp_path)
    assert isinstance(key_source(found), StaticKeys)
    keys = found.credentials.keys
    assert mounted(pod(manifests, "credentials")) == {
        f"{keys}/members": "gozen-archive-members",
        f"{keys}/others": "gozen-archive-others",
    }


def test_the_key_that_assumes_roles_is_seen_by_this_pod_alone(chart: helm.Chart, tmp_path: Path) -> None:
    manifests = rendered(chart, hub(STS, credentials={"secretName": "sts-key"}))
    assert isinstance(key_source(settings(manifests, tmp_path), {}), AssumedRoles)
    (folder,) = mounted(pod(manifests, "credentials"))
    told = environment(one_of(manifests, "Deployment", "-credentials"))
    assert told["AWS_SHARED_CREDENTIALS_FILE"] == f"{folder}/credentials"
    with_it = [one["metadata"]["name"] for one in of_kind(manifests, "Deployment") if "sts-key" in json.dumps(one)]
    assert with_it == ["gozen-credentials"]
    own = rendered(chart, hub(STS))
    assert mounted(pod(own, "credentials")) == {}
    assert "AWS_SHARED_CREDENTIALS_FILE" not in environment(one_of(own, "Deployment", "-credentials"))


@pytest.mark.parametrize(("given", "asks"), [(STATIC, False), (STATIC | GROUPS, True)], ids=["names", "groups"])
def test_the_hub_is_asked_only_where_groups_decide(chart: helm.Chart, given: Manifest, asks: bool) -> None:
    manifests = rendered(chart, hub(given))
    for part in ("hub", "credentials"):
        assert (TOKEN in environment(one_of(manifests, "Deployment", f"-{part}"))) == asks
    (secret,) = of_kind(manifests, "Secret")
    assert ("credentials-token" in secret["data"]) == asks
    found = policies(manifests)
    assert allowed(found["gozen-credentials"].get("egress", []), "to") == ({8081: ["hub"]} if asks else {})
    expected = ["proxy", "portal", "user/lab"] + ["credentials"] * asks
    assert allowed(found["gozen-hub"]["ingress"], "from") == {"hub": expected}


def test_it_reaches_api_server_and_object_store_and_nobody_speaks_to_it_but_for_metrics(
    manifests: list[Manifest],
) -> None:
    found = policies(manifests)
    assert "credentials" in found["gozen-api-server"]["podSelector"]["matchExpressions"][0]["values"]
    assert "credentials" not in found["gozen-archive"]["podSelector"]["matchExpressions"][0]["values"]
    assert found["gozen-credentials"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": "http"}]}]
    assert found["gozen-credentials"]["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (hub(STATIC) | DISK | {"archive": DISK["archive"] | {"url": "", "s3": {}}}, "only an archive in a bucket"),
        (hub({"credentials": {"method": "sts"}}), "hub.settings.credentials.roles: give"),
        (hub({"credentials": {"method": "magic"}}), "method"),
        (hub({"credentials": {"method": "sts", "roles": {"members": "x"}}}), "roles"),
        (hub({"credentials": {"method": "static", "keys": "/elsewhere"}}), "keys"),
        (hub({"credentials": {"method": "sts", "lifetime_s": 1}}), "lifetime_s"),
    ],
)
def test_values_that_make_no_sense_are_refused(chart: helm.Chart, values: Manifest, said: str) -> None:
    with pytest.raises(helm.HelmError, match=re.escape(said)):
        rendered(chart, values)


def test_a_hub_whose_labs_have_no_credentials_says_so(chart: helm.Chart) -> None:
    assert "Labs have no credentials" in notes(chart, hub())
    assert "Labs have no credentials" not in notes(chart, hub(STATIC))


def test_the_release_with_another_name_has_other_names(chart: helm.Chart) -> None:
    manifests: Any = rendered(chart, hub(STATIC), "west")
    names = [one["metadata"]["name"] for one in manifests if "credentials" in one["metadata"]["name"]]
    assert len(names) == 8
    assert all(name.startswith("west") for name in names)


def test_prometheus_finds_the_port_of_the_metrics(chart: helm.Chart) -> None:
    monitored = {"monitoring": {"serviceMonitor": {"enabled": True}}}
    manifests = rendered(chart, hub(STATIC) | monitored)
    monitor = one_of(manifests, "PodMonitor")["spec"]
    template = one_of(manifests, "Deployment", "-credentials")["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert {one["port"] for one in monitor["podMetricsEndpoints"]} <= ports
    assert not of_kind(rendered(chart, hub() | monitored), "PodMonitor")
