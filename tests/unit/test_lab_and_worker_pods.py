"""Test that labs and workers of one user read the archive in the same way, and that the chart allows both services.

Covered: the Secret with the user's credentials, where it is mounted, its permissions and the environment, in the pods
that result from the chart's settings; the scheduler gets no credentials; rights and connections of a chart with both
services. Not covered: what the credentials allow (tests/services/test_lab_credentials), an API server (tests/cluster).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest

from gozen.archive.stores.s3_access import Keys
from gozen_hub.credentials.user_secret import FILE, SESSION, Issued, user_secret
from gozen_hub.hub_settings import HubSettings, read_hub_settings
from gozen_hub.lab_pods import CREDENTIALS, pod_traits
from gozen_hub.namespaces.archive_volume import volume_objects
from gozen_hub.workers.cluster_manifest import cluster_manifest

from .rendered_chart import CHART, DISK, Manifest, of_kind, one_of, rendered
from .test_chart_credentials import GROUPS, STS
from .test_chart_hub import VOLUME, allowed, hub, policies

LAB = {
    "metadata": {"name": "jupyter-ada", "uid": "1", "namespace": "gozen-user-ada"},
    "spec": {"containers": []},
}
SITE = {"lab": {"environment": {"GOZEN_QUICKDB__THREADS": "2", "OPTIONS": '{"a": 1}'}}}
"""Variables that the site adds; one has braces, which KubeSpawner would fill in."""


@pytest.fixture(scope="module")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


def with_workers(values: Manifest) -> Manifest:
    whole = values["hub"] | {"workers": {"enabled": True}}
    return values | {"hub": whole, "crds": {"install": False}}  # Dask's are not in a checkout


@pytest.fixture(scope="module")
def manifests(chart: helm.Chart) -> list[Manifest]:
    return rendered(chart, with_workers(hub(STS | GROUPS | SITE)))


def settings_in(manifests: list[Manifest], folder: Path) -> HubSettings:
    path = folder / "hub.yaml"
    path.write_text(one_of(manifests, "ConfigMap", "-hub")["data"]["hub.yaml"])
    return read_hub_settings(path)


def pod_spec(settings: HubSettings, role: str) -> Manifest:
    lab = LAB | {"spec": {"containers": [{"name": "notebook", "image": settings.lab.image}]}}
    return cluster_manifest(lab, 2, settings)["spec"][role]["spec"]


def variables(pod: Manifest) -> dict[str, str]:
    return {one["name"]: one["value"] for one in pod["containers"][0]["env"]}


def sources(volumes: list[Manifest], mounts: list[Manifest]) -> dict[str, Any]:
    """Return by folder the volume that is mounted there, and how; without home and /tmp."""
    by_name = {one["name"]: {key: one[key] for key in one if key != "name"} for one in volumes}
    found = {one["mountPath"]: (by_name[one["name"]], one) for one in mounts}
    return {path: what for path, what in found.items() if path not in ("/home/gozen", "/tmp")}


@pytest.mark.parametrize(
    "values",
    [hub(STS | GROUPS | SITE), hub({"archive": {"claim": "sky"}}) | DISK, hub(VOLUME) | DISK],
    ids=["bucket", "claim", "volume"],
)
def test_a_worker_reads_the_archive_as_the_lab_does(chart: helm.Chart, tmp_path: Path, values: Manifest) -> None:
    settings = settings_in(rendered(chart, with_workers(values)), tmp_path)
    traits, worker = pod_traits(settings), pod_spec(settings, "worker")
    of_lab = sources(traits["volumes"], traits["volume_mounts"])
    assert of_lab
    assert sources(worker["volumes"], worker["containers"][0]["volumeMounts"]) == of_lab
    # The files of the Secret are readable for the group alone: both pods must be in it.
    assert worker["securityContext"]["fsGroup"] == traits["fs_gid"]
    lab_alone = {"GOZEN_NOTEBOOKS", "JUPYTERHUB_ACTIVITY_INTERVAL", "GOZEN_WORKERS_URL", "JUPYTER_RUNTIME_DIR"}
    lab = {name: value.format() for name, value in traits["environment"].items()}
    assert lab_alone < lab.keys()
    assert variables(worker).items() >= {name: lab[name] for name in lab.keys() - lab_alone}.items()


def test_both_mount_the_claim_that_the_service_for_namespaces_makes(chart: helm.Chart, tmp_path: Path) -> None:
    settings = settings_in(rendered(chart, with_workers(hub(VOLUME) | DISK)), tmp_path)
    assert settings.archive.volume is not None
    *_, claim = volume_objects("gozen-user-ada", "1", settings.archive.volume)
    worker = pod_spec(settings, "worker")
    volume, mount = sources(worker["volumes"], worker["containers"][0]["volumeMounts"])["/data"]
    assert volume["persistentVolumeClaim"] == {"claimName": claim.manifest["metadata"]["name"], "readOnly": True}
    assert mount["readOnly"] is True
    assert variables(worker)["GOZEN_ARCHIVE"] == "/data"
    scheduler = pod_spec(settings, "scheduler")
    assert "/data" not in sources(scheduler["volumes"], scheduler["containers"][0]["volumeMounts"])


def test_both_find_the_files_that_the_service_for_credentials_writes(manifests: list[Manifest], tmp_path: Path) -> None:
    issued = Issued(Keys("key", "secret", "token"), 60, datetime.now(UTC) + timedelta(seconds=60))
    written = user_secret("gozen-user-ada", "members", issued)
    worker = pod_spec(settings_in(manifests, tmp_path), "worker")
    volume, mount = sources(worker["volumes"], worker["containers"][0]["volumeMounts"])[CREDENTIALS]
    assert volume["secret"]["secretName"] == written["metadata"]["name"]
    assert "items" not in volume["secret"]  # all files: the file of credentials prints the other one
    assert mount["readOnly"] is True
    assert "subPath" not in mount  # the kubelet renews whole folders, and not single files
    assert set(written["data"]) == {FILE, SESSION}
    assert variables(worker)["AWS_SHARED_CREDENTIALS_FILE"] == f"{CREDENTIALS}/{FILE}"
    assert variables(worker)["AWS_ENDPOINT_URL"] == "https://s3.sky:9000"


def test_the_scheduler_has_no_credentials(manifests: list[Manifest], tmp_path: Path) -> None:
    scheduler = pod_spec(settings_in(manifests, tmp_path), "scheduler")
    assert [one["name"] for one in scheduler["volumes"]] == ["tmp"]
    assert sources(scheduler["volumes"], scheduler["containers"][0]["volumeMounts"]) == {}
    assert not [name for name in variables(scheduler) if name.startswith("AWS_")]


def test_the_service_for_namespaces_binds_the_roles_of_both_and_may(manifests: list[Manifest], tmp_path: Path) -> None:
    bindings = settings_in(manifests, tmp_path).namespaces.bindings
    assert {name: (one.role, one.service_account) for name, one in bindings.items()} == {
        "hub": ("gozen-hub-labs", "gozen-hub"),
        "credentials": ("gozen-credentials-labs", "gozen-credentials"),
        "workers": ("gozen-workers", "gozen-workers"),
        "dask-controller": ("gozen-dask-controller", "gozen-dask-controller"),
    }
    (bind,) = (one for one in one_of(manifests, "ClusterRole", "-namespaces")["rules"] if one["verbs"] == ["bind"])
    assert set(bind["resourceNames"]) == {one.role for one in bindings.values()}
    policy = json.dumps(one_of(manifests, "ValidatingAdmissionPolicy", "-namespaces")["spec"])
    for one in bindings.values():
        assert f"'{one.role} sky/{one.service_account}'" in policy
    assert {one.service_account for one in bindings.values()} <= {
        one["metadata"]["name"] for one in of_kind(manifests, "ServiceAccount")
    }


def test_both_reach_the_hub_and_the_api_server(manifests: list[Manifest]) -> None:
    found = policies(manifests)
    asks = ["proxy", "portal", "user/lab", "workers", "credentials"]
    assert allowed(found["gozen-hub"]["ingress"], "from") == {"hub": asks}
    (selected,) = found["gozen-api-server"]["podSelector"]["matchExpressions"]
    assert {"workers", "dask-controller", "credentials"} <= set(selected["values"])


def test_of_both_services_only_that_for_credentials_touches_secrets(manifests: list[Manifest]) -> None:
    """The rights of the service for workers and of Dask's controller name no Secret, also where there are some."""
    roles = [one for kind in ("Role", "ClusterRole") for one in of_kind(manifests, kind)]
    with_secrets = [
        (one["metadata"]["name"], rule["verbs"], rule["resourceNames"])
        for one in roles
        for rule in one["rules"]
        if {"secrets", "*"} & set(rule["resources"])
    ]
    assert with_secrets == [("gozen-credentials-labs", ["create", "patch"], ["gozen-archive"])]
