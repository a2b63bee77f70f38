"""Test Nextcloud in the chart as rendered by Helm: the service for accounts, its rights, its Secret, and connections.

Covered: off by default; the only Secret that the service may read and change; connections of the service and of labs;
the address that labs get. Not covered: the service itself (unit/test_nextcloud_accounts_service.py).
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator

import helm_python as helm
import pytest
import yaml

from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_pods import lab_environment, pod_traits
from gozen_hub.service_process import PORT
from gozen_hub.workers.manage_cluster import namespace_of

from .rendered_chart import CHART, Manifest, of_kind, one_of, rendered
from .test_chart_hub import allowed, hub, pod, policies

URL = "https://cloud.example.org/nc"
CLOUD = {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [443, 8443]}
PAGE = CHART.parents[1] / "docs" / "how-to" / "connect-your-nextcloud.md"
ACCOUNTS = "gozen-nextcloud-accounts"


@pytest.fixture(scope="module")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def manifests(chart: helm.Chart) -> list[Manifest]:
    return rendered(chart, hub({"nextcloud": {"url": URL}}, nextcloud={"enabled": True}, network={"nextcloud": CLOUD}))


def settings_in(manifests: list[Manifest]) -> HubSettings:
    return HubSettings.model_validate(yaml.safe_load(one_of(manifests, "ConfigMap", "-hub")["data"]["hub.yaml"]))


def test_it_is_off_by_default(chart: helm.Chart) -> None:
    found = rendered(chart, hub())
    assert not [one for one in found if "nextcloud" in one["metadata"]["name"]]
    assert "nextcloud" not in json.dumps(found)
    assert not {"GOZEN_NEXTCLOUD_ACCOUNTS_URL", "GOZEN_SHARING__URL"} & lab_environment(settings_in(found)).keys()


def test_labs_find_the_service_and_the_server(manifests: list[Manifest]) -> None:
    service = one_of(manifests, "Service", "-nextcloud")
    environment = lab_environment(settings_in(manifests))
    assert environment["GOZEN_NEXTCLOUD_ACCOUNTS_URL"] == f"http://{service['metadata']['name']}.sky.svc:{PORT}"
    assert environment["GOZEN_SHARING__URL"] == URL
    assert settings_in(manifests).nextcloud.secret == f"sky/{ACCOUNTS}"


def test_the_service_reads_and_changes_one_secret_and_nothing_else(manifests: list[Manifest]) -> None:
    role = one_of(manifests, "Role", "-nextcloud")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [ACCOUNTS], "verbs": ["get", "patch"]}
    ]
    bound = [
        one["roleRef"]["name"]
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for one in of_kind(manifests, kind)
        if {"gozen-nextcloud"} & {subject["name"] for subject in one["subjects"]}
    ]
    assert bound == ["gozen-nextcloud"]
    assert "gozen-nextcloud" not in json.dumps(settings_in(manifests).namespaces.model_dump(mode="json")["bindings"])


def test_the_secret_is_empty_opaque_and_kept(manifests: list[Manifest]) -> None:
    secret = one_of(manifests, "Secret", ACCOUNTS)
    assert (secret["type"], secret.get("data"), secret.get("stringData")) == ("Opaque", None, None)
    assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert secret["metadata"]["namespace"] == "sky"


def test_only_labs_reach_the_service_and_it_reaches_only_hub_and_api_server(manifests: list[Manifest]) -> None:
    found = policies(manifests)["gozen-nextcloud"]
    assert allowed(found["ingress"], "from") == {"http": ["user/lab"]}
    assert allowed(found["egress"], "to") == {8081: ["hub"]}
    assert "nextcloud" in allowed(policies(manifests)["gozen-hub"]["ingress"], "from")["hub"]

    def selects(name: str) -> bool:
        (rule,) = policies(manifests)[name]["podSelector"]["matchExpressions"]
        return (rule["operator"] == "In") == ("nextcloud" in rule["values"])

    assert (selects("gozen-api-server"), selects("gozen-archive")) == (True, False)


def test_labs_reach_the_cloud_and_workers_do_not(manifests: list[Manifest]) -> None:
    of_users = settings_in(manifests).namespaces.policies
    service, cloud = of_users["labs"]["egress"][-2:]
    assert allowed([service], "to") == {PORT: ["nextcloud"]}
    assert cloud == {"ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 8443}], "to": CLOUD["to"]}
    assert "192.0.2.7" not in json.dumps(of_users["workers"])
    assert "nextcloud" not in json.dumps(of_users["workers"])


def test_without_peers_labs_do_not_reach_the_whole_network(chart: helm.Chart) -> None:
    found = settings_in(rendered(chart, hub(nextcloud={"enabled": True}))).namespaces.policies["labs"]["egress"]
    assert all(one.get("to") for one in found[2:])


def test_the_values_of_the_page_for_administrators_do_what_it_says(chart: helm.Chart) -> None:
    blocks = re.findall(
        r'```yaml title="(?:nextcloud|homes)-values.yaml"\n(.*?)```', PAGE.read_text("utf-8"), re.DOTALL
    )
    service, homes = (yaml.safe_load(textwrap.dedent(text.rstrip(" ")))["hub"] for text in blocks)
    found = settings_in(rendered(chart, hub(service.pop("settings"), **service)))
    assert found.nextcloud.url == "https://cloud.example.org"
    assert "192.0.2.20/32" in json.dumps(found.namespaces.policies["labs"])
    lab = pod_traits(settings_in(rendered(chart, hub(homes["settings"]))))
    assert (lab["storage_class"], lab["storage_access_modes"]) == ("homes", ["ReadWriteMany"])
    # The folder of a home has the name of its namespace, and Nextcloud finds it by the name of the user.
    assert lab["user_namespace_template"] == "gozen-user-{username}"
    assert namespace_of("hoshi", "gozen-user") == "gozen-user-hoshi"


def test_labs_name_the_storage_and_write_as_the_owner_of_the_page(chart: helm.Chart) -> None:
    page = PAGE.read_text("utf-8")
    (homes,) = re.findall(r'```yaml title="homes-values.yaml"\n(.*?)```', page, re.DOTALL)
    found = settings_in(rendered(chart, hub(yaml.safe_load(textwrap.dedent(homes.rstrip(" ")))["hub"]["settings"])))
    (mount,) = re.findall(r"occ files_external:create /(\w+) ", page)
    assert lab_environment(found)["GOZEN_SHARING__HOME_FOLDER"] == mount
    lab = pod_traits(found)
    owners = re.findall(r"anonuid=(\d+),anongid=(\d+)", page)
    assert owners == [(str(lab["uid"]), str(lab["gid"]))]
    assert (lab["fs_gid"], lab["pod_security_context"]["runAsNonRoot"]) == (lab["gid"], True)


OCC = {
    "app:enable": r"\w+",
    "user_oidc:provider": r"\w+( --[a-z-]+=\S+)+",
    "files_external:create": r"/\w+ local null::null -c datadir='/[^']+'",
    "files_external:option": r"\d+ (filesystem_check_changes [01]|enable_sharing (true|false))",
    "files_external:applicable": r"--add-user",
    "files:scan": r"--path='/\w+/files/\w+'",
}
"""Commands of Nextcloud's manual for administrators, each with the arguments that the page may give."""


def test_the_page_gives_commands_of_nextclouds_manual() -> None:
    page = re.sub(r"\\\n\s*", "", PAGE.read_text("utf-8"))
    given = re.findall(r"\bocc ([a-z_]+:[a-z]+) ?([^`\n]*)", page)
    assert {command for command, _ in given} == OCC.keys()
    for command, words in given:
        assert re.fullmatch(OCC[command], words.strip()), f"occ {command} {words}"


def test_the_pod_is_restricted(manifests: list[Manifest]) -> None:
    found = pod(manifests, "nextcloud")
    assert (found["securityContext"]["runAsNonRoot"], found["serviceAccountName"]) == (True, "gozen-nextcloud")
    (container,) = found["containers"]
    assert container["command"] == [ACCOUNTS]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    assert not [one for one in found["volumes"] if "secret" in one]
