"""Test the chart as rendered by Helm: its output for given values, refused values, and names shared with the operator.

Covered: the schema of the values; settings in the pods under names that Gozen reads; every verb of the rights; pod
security; policies; storage on S3 or on a volume; several namespaces; custom resources that are kept. Not covered: an
API server (tests/cluster/test_chart), the hub (test_chart_hub).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from gozen.resources.exposure import Exposure
from gozen.settings import load_settings
from gozen.version.version_text import Code
from gozen_operator.operator_settings import OperatorSettings, load_operator_settings
from gozen_operator.process.health_and_metrics import Health
from gozen_operator.reconcile.job_manifests import exposure_job

from .rendered_chart import CHART, DISK, S3, Manifest, environment, of_kind, one_of, rendered, rules

ALL = S3 | {
    "observer": {"enabled": True},
    "monitoring": {"serviceMonitor": {"enabled": True}, "dashboard": {"enabled": True}},
}


@pytest.fixture(scope="module")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


@pytest.fixture
def operator_settings(chart: helm.Chart, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the operator reads of its environment for values."""

    def read(values: Manifest, name: str = "gozen") -> OperatorSettings:
        for variable, value in environment(one_of(rendered(chart, values, name), "Deployment", "operator")).items():
            monkeypatch.setenv(variable, value)
        return load_operator_settings()

    return read


def test_it_is_clean(chart: helm.Chart) -> None:
    found = helm.lint(CHART, ALL, strict=True)
    assert found["errors"] == []
    assert [one for one in found["messages"] if one["severity"] > 1] == []


@pytest.mark.parametrize("number", ["0.2.0", "0.2.1.dev0"])
def test_versions_in_tags_and_labels_have_no_plus(number: str, tmp_path: Path) -> None:
    code = Code(number, "a1" * 20, "5" * 64)
    copy = shutil.copytree(CHART, tmp_path / "gozen")
    about = yaml.safe_load((copy / "Chart.yaml").read_text()) | {"version": code.chart, "appVersion": str(code)}
    (copy / "Chart.yaml").write_text(yaml.safe_dump(about))
    assert helm.lint(copy, ALL, strict=True)["errors"] == []
    with helm.Chart.load(copy) as packaged:
        manifests = rendered(packaged, ALL)
    labels = [one["metadata"]["labels"] for one in manifests if "helm.sh/chart" in one["metadata"].get("labels", {})]
    for value in (value for one in labels for value in one.values()):
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", value), value
    assert labels[0]["app.kubernetes.io/version"] == code.tag
    images = re.findall(r"ghcr.io/[^\"' ]+", json.dumps(manifests))
    assert {image.partition(":")[2] for image in images} == {code.tag}


def test_a_chart_of_a_checkout_says_that_no_image_has_its_tag(chart: helm.Chart) -> None:
    def notes(values: Manifest) -> str:
        texts = chart.render(values, name="gozen", namespace="sky")
        return next(text for path, text in texts.items() if path.endswith("NOTES.txt"))

    hub = {"enabled": True, "publicUrl": "https://sky.example", "settings": {"login": {"method": "test"}}}
    assert "give images.hub.tag, images.lab.tag, images.operator.tag, images.pipeline.tag, or" in notes(
        S3 | {"hub": hub}
    )
    tags = {name: {"tag": "mine"} for name in ("operator", "pipeline")}
    assert "give images.operator.tag, images.pipeline.tag, or" in notes(S3)
    assert "give images.observer.tag, or" in notes(S3 | {"images": tags, "observer": {"enabled": True}})
    assert "comes from a checkout" not in notes(S3 | {"images": tags})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "archive.url: say where the archive is"),
        (S3 | {"archiv": {}}, "archiv"),
        ({"archive": {"url": "/data"}}, "/archive/url"),
        ({"archive": {"url": "s3://a", "volume": {"hostPath": "/b"}}}, "exclude one another"),
        ({"archive": {"url": "s3://a", "s3": {"endpointUrl": "https://key:secret@host"}}}, "endpointUrl"),
        ({"archive": {"url": "s3://a", "s3": {"addressing": "sideways"}}}, "addressing"),
        (S3 | {"operator": {"namespaces": ["Not_A_Name"]}}, "namespaces"),
        (S3 | {"settings": {"maxActiveJobs": 3}}, "maxActiveJobs"),
        (S3 | {"images": {"pipeline": {"digest": "latest"}}}, "digest"),
        (S3 | {"priorityClasses": {"express": {"value": 2_000_000_000}}}, "value"),
    ],
)
def test_values_that_make_no_sense_are_refused(chart: helm.Chart, values: Manifest, said: str) -> None:
    with pytest.raises(helm.HelmError, match=re.escape(said)):
        chart.render(values, name="gozen", namespace="sky")


def test_settings_reach_the_pods_under_their_names(chart: helm.Chart, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"instrument": "tomoe", "detection": {"threshold_sigma": 4.5}, "photometry": {"limit_sigma": 4.0}}
    wanted |= {"raw_url_prefixes": ["s3://campaign-2026"]}
    found = one_of(rendered(chart, S3 | {"settings": wanted}), "ConfigMap", "settings")
    for name, value in found["data"].items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.archive, settings.storage.endpoint_url) == ("s3://sky/archive", "https://s3.sky:9000")
    assert (settings.detection.threshold_sigma, settings.photometry.limit_sigma) == (4.5, 4.0)
    assert settings.raw_url_prefixes == ("s3://campaign-2026",)


def test_the_operator_reads_what_it_is_given(operator_settings: Any) -> None:
    values = S3 | {
        "operator": {
            "namespaces": ["north", "south"],
            "settings": {"max_active_jobs": 3, "look_s": 2.5},
        },
        "pods": {"requests": {"cpu": "2"}, "limits": {"memory": "9Gi"}, "kueueQueue": "night"},
        "images": {"pipeline": {"repository": "here/pipeline", "digest": "sha256:" + "0" * 64}},
    }
    found = operator_settings(values)
    assert (found.namespaces, found.lease_namespace, found.identity) == (("north", "south"), "sky", "a-pod")
    assert (found.max_active_jobs, found.look_s) == (3, 2.5)
    assert found.pods.image == "here/pipeline@sha256:" + "0" * 64
    assert (found.pods.requests, found.pods.limits) == ({"cpu": "2", "memory": "2Gi"}, {"memory": "9Gi"})
    assert (found.pods.secret, found.pods.queue, found.pods.volume) == ("keys", "night", None)


def test_the_observer_reads_what_it_is_given(chart: helm.Chart, monkeypatch: pytest.MonkeyPatch) -> None:
    observer = {"enabled": True, "namespace": "north", "settings": {"grace_s": 45}, "observatory": {"speed_up": 20}}
    deployment = one_of(rendered(chart, S3 | {"observer": observer}), "Deployment", "observer")
    for name, value in environment(deployment).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.observer.namespace, settings.observer.grace_s) == ("north", 45)
    assert (settings.observatory.speed_up, settings.observatory.driver) == (20, "simulated")
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 45


@pytest.mark.parametrize("values", [S3, DISK], ids=["s3", "volume"])
@pytest.mark.parametrize("release", ["gozen", "west"])
def test_a_job_finds_all_that_it_names(
    chart: helm.Chart, operator_settings: Any, values: Manifest, release: str
) -> None:
    manifests = rendered(chart, values, release)
    names = {(one["kind"], one["metadata"]["name"]) for one in manifests}
    job = exposure_job(exposure(), ["111"], operator_settings(values, release))
    pod = job["spec"]["template"]["spec"]
    assert ("ServiceAccount", pod["serviceAccountName"]) in names
    assert ("PriorityClass", pod["priorityClassName"]) in names
    (container,) = pod["containers"]
    assert ("ConfigMap", container["envFrom"][0]["configMapRef"]["name"]) in names
    assert all("secretRef" not in one for one in container["envFrom"])
    assert [one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one] == ["keys"] * (values is S3)
    claims = [one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one]
    assert all(("PersistentVolumeClaim", one) in names for one in claims)
    assert len(claims) == (values is DISK)
    denied = one_of(manifests, "NetworkPolicy", "deny")["spec"]["podSelector"]["matchLabels"]
    assert denied.items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_operator_and_observer_can_have_keys_of_their_own(chart: helm.Chart, operator_settings: Any) -> None:
    s3 = {**ALL["archive"]["s3"], "secretNames": {"operator": "few-rights"}}
    values = {**ALL, "archive": {**ALL["archive"], "s3": s3}}
    for role, secret in (("operator", "few-rights"), ("observer", "keys")):
        pod = one_of(rendered(chart, values), "Deployment", role)["spec"]["template"]["spec"]
        assert [one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one] == [secret]
        assert [one["mountPath"] for one in pod["containers"][0]["volumeMounts"] if one["name"] == "s3"]
    assert operator_settings(values, "gozen").pods.secret == "keys"


def exposure() -> Exposure:
    return Exposure.model_validate(
        {
            "apiVersion": "gozen.astro/v1alpha1",
            "kind": "Exposure",
            "metadata": {"name": "e", "namespace": "sky", "uid": "1"},
            "spec": {"exposureId": 3, "night": "20260115", "object": "M101", "nframe": 6, "pipelines": ["wcs"]},
        }
    )


def test_on_a_volume_all_work_in_it_and_it_stays(chart: helm.Chart) -> None:
    manifests = rendered(chart, DISK | {"observer": {"enabled": True}})
    assert one_of(manifests, "ConfigMap", "settings")["data"]["GOZEN_ARCHIVE"] == "/archive"
    volume, claim = one_of(manifests, "PersistentVolume"), one_of(manifests, "PersistentVolumeClaim")
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert volume["spec"]["claimRef"] == {"namespace": "sky", "name": claim["metadata"]["name"]}
    for one in (volume, claim):
        assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    for deployment in of_kind(manifests, "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert {"name": "archive", "mountPath": "/archive"} in container["volumeMounts"]
    assert not [one for one in manifests if one["kind"] == "NetworkPolicy" and "9000" in json.dumps(one)]


def test_further_instruments_are_where_jobs_and_operator_look(chart: helm.Chart, operator_settings: Any) -> None:
    values = S3 | {"instruments": {"eye": "name: eye\n"}, "operator": {"namespaces": ["north"]}}
    manifests = rendered(chart, values)
    maps = {one["metadata"]["namespace"]: one["data"] for one in of_kind(manifests, "ConfigMap", "profiles")}
    assert maps == {place: {"eye.yaml": "name: eye\n"} for place in ("north", "sky")}
    folder = of_kind(manifests, "ConfigMap", "settings")[0]["data"]["GOZEN_PROFILES"]
    job = exposure_job(exposure(), ["111"], operator_settings(values))["spec"]["template"]["spec"]
    deployment = one_of(manifests, "Deployment", "operator")["spec"]["template"]["spec"]
    for pod in (job, deployment):
        assert folder in [one["mountPath"] for one in pod["containers"][0]["volumeMounts"]]
        assert {"name": "profiles", "configMap": {"name": "gozen-profiles"}} in pod["volumes"]


def test_rights_are_these_and_no_others(chart: helm.Chart) -> None:
    manifests = rendered(chart, ALL)
    assert "*" not in json.dumps([one["rules"] for one in of_kind(manifests, "Role")])
    assert not of_kind(manifests, "ClusterRole")
    ours = ["observations", "exposures", "lightcurvejobs"]
    operator = rules(manifests, "-operator")
    assert operator == {
        "observations": ["get", "list", "watch"],
        "exposures": ["get", "list", "watch", "delete"],
        "lightcurvejobs": ["get", "list", "watch", "patch"],
        **{f"{name}/status": ["patch"] for name in ours},
        "exposures/finalizers": ["update"],
        "lightcurvejobs/finalizers": ["update"],
        "jobs": ["get", "list", "watch", "create", "patch"],
        "pods": ["list"],
        "events": ["create"],
    }
    letting_go = ALL | {"operator": {**ALL.get("operator", {}), "settings": {"observation_ttl_s": 2_592_000}}}
    assert rules(rendered(chart, letting_go), "-operator") == operator | {
        "observations": ["get", "list", "watch", "delete"],
    }
    assert (
        rules(rendered(chart, ALL | {"operator": {"settings": {"observation_ttl_s": None}}}), "-operator") == operator
    )
    assert rules(manifests, "lease") == {"leases": ["create", "get", "update"]}
    assert rules(manifests, "-observer") == {
        "observations": ["get", "list"],
        "observations/status": ["patch"],
        "exposures": ["get", "create"],
    }


def test_every_setting_of_the_operator_that_the_chart_does_not_give_itself_may_be_given(chart: helm.Chart) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = schema["properties"]["operator"]["properties"]["settings"]["propertyNames"]["enum"]
    given = {"namespaces", "lease_namespace", "identity", "pods"}
    assert set(known) == set(OperatorSettings.model_fields) - given
    for word in ("identity", "max_activ_jobs"):
        with pytest.raises(Exception, match=word):
            rendered(chart, S3 | {"operator": {"settings": {word: "a"}}})


def test_probes_ask_the_port_at_which_the_operator_answers(chart: helm.Chart) -> None:
    for settings, port in (({}, 8080), ({"port": 9090}, 9090)):
        manifests = rendered(chart, S3 | {"operator": {"settings": settings}})
        (container,) = one_of(manifests, "Deployment", "operator")["spec"]["template"]["spec"]["containers"]
        assert container["ports"] == [{"name": "metrics", "containerPort": port}]


def test_a_setting_that_is_null_has_its_default(chart: helm.Chart, operator_settings: Any) -> None:
    found = operator_settings(S3 | {"operator": {"settings": {"observation_ttl_s": None, "look_s": 2.5}}})
    assert (found.observation_ttl_s, found.look_s) == (None, 2.5)


def test_tokens_go_only_where_they_are_needed(chart: helm.Chart) -> None:
    manifests = rendered(chart, ALL)
    assert {one["automountServiceAccountToken"] for one in of_kind(manifests, "ServiceAccount")} == {False}
    pods = {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in of_kind(manifests, "Deployment")}
    assert {name for name, pod in pods.items() if pod["automountServiceAccountToken"]} == {
        "gozen-operator",
        "gozen-observer",
    }


def test_every_pod_is_restricted(chart: helm.Chart) -> None:
    deployments = of_kind(rendered(chart, ALL), "Deployment")
    assert len(deployments) == 2
    for deployment in deployments:
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
        assert {next(iter(one.keys() - {"name"})) for one in pod["volumes"]} == {"emptyDir", "secret"}


def test_each_namespace_has_what_its_pods_need(chart: helm.Chart) -> None:
    manifests = rendered(chart, S3 | {"operator": {"namespaces": ["north", "south"]}})

    def places(kind: str, name: str) -> list[str]:
        return sorted(one["metadata"]["namespace"] for one in of_kind(manifests, kind, name))

    assert places("ConfigMap", "settings") == ["north", "sky", "south"]
    assert places("NetworkPolicy", "deny") == ["north", "sky", "south"]
    assert places("ServiceAccount", "pipeline") == ["north", "south"]
    assert places("Role", "-operator") == ["north", "south"]
    assert {one["subjects"][0]["namespace"] for one in of_kind(manifests, "RoleBinding")} == {"sky"}
    assert places("Deployment", "operator") == ["sky"]


def test_nothing_is_allowed_but_names_the_store_and_the_api_server(chart: helm.Chart) -> None:
    to = [{"ipBlock": {"cidr": "10.1.0.0/16"}}]
    manifests = rendered(chart, ALL | {"networkPolicy": {"objectStore": {"to": to}, "observer": {"egress": [{}]}}})
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(manifests, "NetworkPolicy")}
    assert set(policies) == {f"gozen-{name}" for name in ("deny", "archive", "api-server", "metrics", "devices")}
    assert policies["gozen-deny"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(policies["gozen-deny"])
    names, store = policies["gozen-archive"]["egress"]
    assert [one["port"] for one in names["ports"]] == [53, 53]
    assert store == {"ports": [{"protocol": "TCP", "port": 9000}], "to": to}
    assert policies["gozen-api-server"]["podSelector"]["matchExpressions"][0]["values"] == ["operator", "observer"]
    assert not of_kind(rendered(chart, S3 | {"networkPolicy": {"enabled": False}}), "NetworkPolicy")


@pytest.mark.parametrize(
    ("url", "peer"),
    [
        ("http://10.0.0.1:7480", {"ipBlock": {"cidr": "10.0.0.1/32"}}),
        ("http://[fd00::1]:9000", {"ipBlock": {"cidr": "fd00::1/128"}}),
        ("http://rgw.ceph.svc", {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ceph"}}}),
        ("https://s3.sky", {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16", "10.9.0.0/16"]}}),
        ("", {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16", "10.9.0.0/16"]}}),
    ],
)
def test_where_the_store_is_follows_its_address(chart: helm.Chart, url: str, peer: Manifest) -> None:
    never = {"networkPolicy": {"never": ["169.254.0.0/16", "10.9.0.0/16"]}}
    values = {"archive": {"url": "s3://sky", "s3": {"endpointUrl": url}}} | never
    store = one_of(rendered(chart, values), "NetworkPolicy", "archive")["spec"]["egress"][1]
    assert store["to"][0] == peer
    notes = chart.render(values, name="gozen", namespace="sky")["gozen/templates/NOTES.txt"]
    assert ("any address on its port" in notes) == (peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0")


def test_names_come_from_the_name_service_alone(chart: helm.Chart) -> None:
    (names, _) = one_of(rendered(chart, S3), "NetworkPolicy", "archive")["spec"]["egress"]
    assert [sorted(one) for one in names["to"]] == [["namespaceSelector", "podSelector"]]


@pytest.mark.parametrize(
    ("url", "port"), [("", 443), ("https://s3.sky", 443), ("http://s3.sky", 80), ("http://10.0.0.1:7480/", 7480)]
)
def test_the_port_of_the_store_follows_its_address(chart: helm.Chart, url: str, port: int) -> None:
    manifests = rendered(chart, {"archive": {"url": "s3://sky", "s3": {"endpointUrl": url}}})
    store = one_of(manifests, "NetworkPolicy", "archive")["spec"]["egress"][1]
    assert store["ports"] == [{"protocol": "TCP", "port": port}]


def test_custom_resources_come_with_it_and_stay(chart: helm.Chart) -> None:
    found = of_kind(rendered(chart, S3), "CustomResourceDefinition")
    assert [one["spec"]["names"]["kind"] for one in found] == ["Exposure", "LightCurveJob", "Observation"]
    assert {one["metadata"]["annotations"]["helm.sh/resource-policy"] for one in found} == {"keep"}
    assert not of_kind(rendered(chart, S3 | {"crds": {"install": False}}), "CustomResourceDefinition")


def test_what_is_optional_is_off(chart: helm.Chart) -> None:
    kinds = {one["kind"] for one in rendered(chart, S3)}
    assert "ServiceMonitor" not in kinds
    assert len(of_kind(rendered(chart, S3), "ConfigMap")) == 1
    assert len(of_kind(rendered(chart, S3), "Deployment")) == 1
    assert not of_kind(rendered(chart, S3 | {"priorityClasses": {"create": False}}), "PriorityClass")


def test_the_dashboard_shows_metrics_that_there_are(chart: helm.Chart) -> None:
    dashboard = json.loads(one_of(rendered(chart, ALL), "ConfigMap", "dashboard")["data"]["gozen.json"])
    asked = set(re.findall(r"gozen_\w+", json.dumps([one["targets"] for one in dashboard["panels"]])))
    health = Health(OperatorSettings())
    known = {metric.name for metric in health.registry.collect()}
    assert {name.removesuffix("_bucket").removesuffix("_total") for name in asked} <= known


def test_the_notes_give_the_first_command(chart: helm.Chart) -> None:
    notes = chart.render(S3, name="gozen", namespace="sky")["gozen/templates/NOTES.txt"]
    assert "kubectl --namespace sky apply --filename observation.yaml" in notes
    assert "No observer runs" in notes
    assert "No observer runs" not in chart.render(ALL, name="gozen", namespace="sky")["gozen/templates/NOTES.txt"]


def test_every_value_has_a_comment_or_a_schema_that_explains_it(chart: helm.Chart) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def undescribed(part: Manifest, path: str) -> Iterator[str]:
        for name, one in part.get("properties", {}).items():
            if path.startswith(".") and "description" not in one and ".resources" not in path:
                yield f"{path}.{name}"
            yield from undescribed(one, f"{path}.{name}")

    assert list(undescribed(schema, "")) == []
    assert set(chart.values) == set(schema["properties"]) - {"global"}


@pytest.mark.parametrize(
    ("namespaces", "others", "several"), [([], False, False), (["south"], True, False), (["sky", "south"], True, True)]
)
def test_the_notes_warn_of_namespaces_that_others_may_look_after(
    chart: helm.Chart, namespaces: list[str], others: bool, several: bool
) -> None:
    values = S3 | {"operator": {"namespaces": namespaces}}
    notes = chart.render(values, name="gozen", namespace="sky")["gozen/templates/NOTES.txt"]
    assert (f"no other release manages {', '.join(namespaces)}: a Lease" in notes) == others
    assert ("only for resources of its own namespace" in notes) == several
