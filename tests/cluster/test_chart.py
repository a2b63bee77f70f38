"""The chart on a real API server: installed, upgraded and uninstalled by Helm; its rights and their limits.

Covered: every manifest is accepted with the `restricted` level enforced; rights, as the API server answers; pods of
each Deployment, of a Job, and of the docs on backups; upgrades keep the hub's tokens; uninstalling keeps custom
resources, Observations and volumes, and a new installation takes them over. Not covered: running pods (test_story),
templates (tests/unit/test_chart).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from gozen.resources.exposure import Exposure
from gozen_operator.operator_settings import OperatorSettings
from gozen_operator.reconcile.job_manifests import exposure_job

from .api_server import ApiServer
from .custom_resources import adopt
from .processes import wait_until

pytestmark = pytest.mark.xdist_group("api")
CHART = Path(__file__).parents[2] / "charts" / "gozen"
PAGE = Path(__file__).parents[2] / "docs" / "operations" / "run-the-platform.md"
NAMESPACE = "chart"
SECONDS_TO_EXPLAIN = 30
VALUES: dict[str, Any] = {
    "archive": {"volume": {"hostPath": "/mnt/sky"}},
    "observer": {"enabled": True},
    "priorityClasses": {"express": {"name": "chart-express"}, "default": {"name": "chart-default"}},
    "hub": {
        "enabled": True,
        "publicUrl": "https://sky.example.org",
        "settings": {"login": {"method": "test", "test": {"users": ["ada"], "password_file": "/etc/gozen/login/word"}}},
        "ingress": {"enabled": True, "tlsSecretName": "tls"},
    },
}
HUB = ["gozen-hub", "gozen-namespaces", "gozen-portal", "gozen-proxy"]
OBSERVATION = """
apiVersion: gozen.astro/v1alpha1
kind: Observation
metadata: { name: m101 }
spec:
  observer: A. Observer
  project: Supernova Survey
  operations:
  - pointing: { ra: 210.8, dec: 54.35 }
  - setParameter: { tintegSec: 0.5, nframe: 12 }
  - exposure: M101
"""


@pytest.fixture(scope="module")
def namespace(api_server: ApiServer) -> str:
    api_server.kubectl("create", "namespace", NAMESPACE, check=True)
    level = "pod-security.kubernetes.io/enforce=restricted"
    api_server.kubectl("label", "namespace", NAMESPACE, level, check=True)
    return NAMESPACE


@pytest.fixture(scope="module")
def helm_config(api_server: ApiServer, namespace: str) -> Iterator[helm.Config]:
    with helm.Config(kubeconfig_path=api_server.kubeconfig, namespace=namespace) as config:
        yield config


@pytest.fixture(scope="module")
def release(helm_config: helm.Config, api_server: ApiServer) -> Iterator[dict[str, Any]]:
    """Return a release in a restricted namespace."""
    adopt(api_server, NAMESPACE)
    yield helm_config.install(CHART, "gozen", VALUES, namespace=NAMESPACE)
    helm_config.uninstall("gozen", ignore_not_found=True)


def found(api_server: ApiServer, kind: str, *words: str) -> list[str]:
    said = api_server.kubectl("get", kind, "--namespace", NAMESPACE, "--output=name", *words, check=True).stdout
    return [line.partition("/")[2] for line in said.splitlines()]


def test_all_of_it_is_there(release: dict[str, Any], api_server: ApiServer) -> None:
    assert found(api_server, "deployments") == sorted(["gozen-observer", "gozen-operator", *HUB])
    ours = "--selector=app.kubernetes.io/part-of=gozen"
    assert found(api_server, "configmaps", ours) == ["gozen-hub", "gozen-settings"]
    assert len(found(api_server, "networkpolicies")) == 8
    assert found(api_server, "persistentvolumeclaims") == ["gozen-archive", "gozen-hub"]
    assert found(api_server, "ingresses") == ["gozen-hub"]
    said = api_server.kubectl("get", "priorityclass", "chart-express", "chart-default", "--output=name", check=True)
    assert len(said.stdout.splitlines()) == 2
    explain = ("explain", "observation.spec.operations")
    wait_until(lambda: api_server.kubectl(*explain).returncode == 0, "the custom resources", SECONDS_TO_EXPLAIN)


@pytest.mark.parametrize("name", ["operator", "observer", "hub", "namespaces", "portal", "proxy"])
def test_its_pods_pass_the_restricted_level(release: dict[str, Any], api_server: ApiServer, name: str) -> None:
    said = api_server.kubectl("get", "deployment", f"gozen-{name}", "-n", NAMESPACE, "--output=json", check=True).stdout
    accepted(api_server, json.loads(said)["spec"]["template"]["spec"])


def test_the_pods_of_a_job_pass_the_restricted_level(release: dict[str, Any], api_server: ApiServer) -> None:
    content = {
        "apiVersion": "gozen.astro/v1alpha1",
        "kind": "Exposure",
        "metadata": {"name": "e", "namespace": NAMESPACE, "uid": "1"},
        "spec": {"exposureId": 3, "night": "20260115", "object": "M101", "nframe": 6, "pipelines": ["wcs"]},
    }
    classes = {"express_class": "chart-express", "default_class": "chart-default"}
    job = exposure_job(Exposure.model_validate(content), ["111"], OperatorSettings.model_validate({"pods": classes}))
    accepted(api_server, job["spec"]["template"]["spec"])


def test_the_pod_with_which_the_hubs_database_is_copied_passes_the_restricted_level(
    release: dict[str, Any], api_server: ApiServer
) -> None:
    (written,) = re.findall(r"run hub-database .*--overrides='(.*?)'\n", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    # No controller runs here that would make the account `default`.
    accepted(api_server, json.loads(written)["spec"] | {"serviceAccountName": "gozen-operator"})


def accepted(api_server: ApiServer, spec: dict[str, Any]) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "try", "namespace": NAMESPACE}, "spec": spec}
    api_server.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(pod), check=True)
    spec["securityContext"]["runAsNonRoot"] = False
    refused = api_server.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    assert 'violates PodSecurity "restricted' in refused.stderr


@pytest.mark.parametrize(
    ("account", "words", "allowed"),
    [
        *[
            ("operator", words, True)
            for words in (
                "list observations.gozen.astro",
                "watch exposures.gozen.astro",
                "watch lightcurvejobs.gozen.astro",
                "patch exposures.gozen.astro --subresource=status",
                "delete exposures.gozen.astro",
                "create jobs.batch",
                "patch jobs.batch",
                "watch jobs.batch",
                "list pods",
                "create events.events.k8s.io",
                "create leases.coordination.k8s.io",
                "update leases.coordination.k8s.io/gozen-operator",
            )
        ],
        *[
            ("operator", words, False)
            for words in (
                "get secrets",
                "get configmaps",
                "create pods",
                "delete pods",
                "delete jobs.batch",
                "create pods --subresource=exec",
                "get pods --subresource=log",
                "delete observations.gozen.astro",
                "create exposures.gozen.astro",
                "patch exposures.gozen.astro",
                "update leases.coordination.k8s.io/another",
                "list jobs.batch --all-namespaces",
                "get nodes",
                "create roles.rbac.authorization.k8s.io",
                "escalate roles.rbac.authorization.k8s.io",
                "impersonate users",
            )
        ],
        ("observer", "list observations.gozen.astro", True),
        ("observer", "patch observations.gozen.astro --subresource=status", True),
        ("observer", "create exposures.gozen.astro", True),
        ("observer", "get exposures.gozen.astro", True),
        *[
            ("observer", words, False)
            for words in (
                "delete exposures.gozen.astro",
                "patch observations.gozen.astro",
                "create jobs.batch",
                "list pods",
                "get secrets",
                "get leases.coordination.k8s.io",
            )
        ],
        *[
            ("hub", f"{words} --all-namespaces", True)
            for words in ("list pods", "watch pods", "list events", "watch events")
        ],
        *[
            ("hub", words, False)
            for words in (
                "create pods",
                "delete pods",
                "create pods --all-namespaces",
                "create pods --subresource=exec",
                "get pods --subresource=log",
                "create persistentvolumeclaims",
                "get secrets",
                "list secrets --all-namespaces",
                "get configmaps",
                "list nodes",
                "get namespaces",
                "create namespaces",
                "create serviceaccounts --subresource=token",
                "create tokenreviews.authentication.k8s.io",
                "create rolebindings.rbac.authorization.k8s.io",
                "bind clusterroles.rbac.authorization.k8s.io/gozen-hub-labs",
                "impersonate users",
            )
        ],
        *[
            ("namespaces", words, True)
            for words in (
                "get namespaces",
                "create namespaces",
                "patch namespaces",
                "patch resourcequotas --all-namespaces",
                "patch limitranges --all-namespaces",
                "patch serviceaccounts/default --all-namespaces",
                "patch networkpolicies.networking.k8s.io --all-namespaces",
                "patch rolebindings.rbac.authorization.k8s.io --all-namespaces",
                "bind clusterroles.rbac.authorization.k8s.io/gozen-hub-labs",
                "create tokenreviews.authentication.k8s.io",
            )
        ],
        *[
            ("namespaces", words, False)
            for words in (
                "list namespaces",
                "delete namespaces",
                "create pods",
                "list pods",
                "get secrets",
                "create secrets",
                "list nodes",
                "patch serviceaccounts/gozen-hub",
                "create serviceaccounts --subresource=token",
                "delete networkpolicies.networking.k8s.io",
                "delete rolebindings.rbac.authorization.k8s.io",
                "create roles.rbac.authorization.k8s.io",
                "create clusterrolebindings.rbac.authorization.k8s.io",
                "bind clusterroles.rbac.authorization.k8s.io/cluster-admin",
                "escalate clusterroles.rbac.authorization.k8s.io",
                "impersonate users",
            )
        ],
        *[
            (account, words, False)
            for account in ("proxy", "portal")
            for words in ("get pods", "get secrets", "get configmaps", "list namespaces")
        ],
        *[
            ("pipeline", words, False)
            for words in (
                "get pods",
                "get secrets",
                "get configmaps",
                "list exposures.gozen.astro",
                "create jobs.batch",
            )
        ],
    ],
)
def test_an_account_may_do_what_it_needs_and_no_more(
    release: dict[str, Any], api_server: ApiServer, account: str, words: str, allowed: bool
) -> None:
    who = f"--as=system:serviceaccount:{NAMESPACE}:gozen-{account}"
    where = () if "--all-namespaces" in words else ("--namespace", NAMESPACE)
    said = api_server.kubectl("auth", "can-i", *words.split(), *where, who)
    assert said.stdout.split()[0] == ("yes" if allowed else "no"), said.stdout + said.stderr


def test_an_upgrade_keeps_the_tokens_and_starts_only_what_reads_the_settings_again(
    release: dict[str, Any], api_server: ApiServer, helm_config: helm.Config
) -> None:
    def state() -> tuple[dict[str, str], dict[str, int]]:
        secret = api_server.kubectl("get", "secret", "gozen-hub", "-n", NAMESPACE, "--output=json", check=True)
        said = api_server.kubectl("get", "deployments", "-n", NAMESPACE, "--output=json", check=True)
        items = json.loads(said.stdout)["items"]
        generations = {one["metadata"]["name"]: one["metadata"]["generation"] for one in items}
        return json.loads(secret.stdout)["data"], generations

    tokens, before = state()
    assert set(tokens) == {"portal-token", "proxy-token"}
    hub = VALUES["hub"] | {"settings": VALUES["hub"]["settings"] | {"idle": {"lab_s": 7200}}}
    helm_config.upgrade(CHART, "gozen", {**VALUES, "hub": hub}, namespace=NAMESPACE)
    kept, after = state()
    assert kept == tokens
    assert {name for name in before if before[name] != after[name]} == {"gozen-hub", "gozen-namespaces"}


def test_it_is_upgraded_and_uninstalled_and_the_data_stay(
    release: dict[str, Any], api_server: ApiServer, helm_config: helm.Config
) -> None:
    where = ("--namespace", NAMESPACE)
    api_server.kubectl("apply", *where, "-f", "-", stdin=OBSERVATION, check=True)
    crd = ("crd", "observations.gozen.astro")
    older = '[{"op": "remove", "path": "/spec/names/shortNames"}]'
    api_server.kubectl("patch", *crd, "--type=json", "--patch", older, check=True)
    upgraded = helm_config.upgrade(CHART, "gozen", {**VALUES, "pods": {"kueueQueue": "night"}}, namespace=NAMESPACE)
    assert "GOZEN_OPERATOR_PODS__QUEUE, value: night" in json.dumps(upgraded)
    said = api_server.kubectl("get", *crd, "--output=jsonpath={.spec.names.shortNames}", check=True).stdout
    assert said == '["obs"]'
    helm_config.uninstall("gozen")
    assert found(api_server, "deployments") == []
    assert found(api_server, "serviceaccounts") == []
    assert found(api_server, "networkpolicies") == []
    assert found(api_server, "observations.gozen.astro") == ["m101"]
    assert found(api_server, "persistentvolumeclaims") == ["gozen-archive", "gozen-hub"]
    helm_config.install(CHART, "gozen", VALUES, namespace=NAMESPACE)
    assert found(api_server, "deployments") == sorted(["gozen-observer", "gozen-operator", *HUB])
    assert found(api_server, "observations.gozen.astro") == ["m101"]


def test_values_that_make_no_sense_install_nothing(helm_config: helm.Config, api_server: ApiServer) -> None:
    with pytest.raises(helm.HelmError, match="archiv"):
        helm_config.install(CHART, "another", {"archiv": {}}, namespace=NAMESPACE)
    names = yaml.safe_load(json.dumps(helm_config.list()))
    assert "another" not in json.dumps(names)
