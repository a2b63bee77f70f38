"""Test the hub in the chart as rendered by Helm: settings, rights, pods, connections and ingress.

Covered: the hub reads the file of settings; every verb of the rights; tokens; restricted pods; allowed connections,
also in users' namespaces; the portal's environment; Ingress and Gateway; refused values; warnings. Not covered: an API
server (tests/cluster/test_chart, tests/cluster/test_user_namespaces), the programs.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import jupyterhub.metrics
import pytest
from prometheus_client import generate_latest

from gozen.portal.shell.metrics import Metrics
from gozen.portal.shell.portal_settings import PortalSettings
from gozen_hub.hub_services import portal_page
from gozen_hub.hub_settings import HubSettings, NamespaceSettings, read_hub_settings
from gozen_hub.lab_pods import pod_traits
from gozen_hub.namespaces.namespace_app import AUDIENCE
from gozen_hub.namespaces.namespace_objects import OWNED, user_objects
from gozen_hub.service_process import PORT
from gozen_hub.workers.cluster_manifest import GROUP

from .rendered_chart import CHART, DISK, S3, Manifest, environment, notes, of_kind, one_of, rendered, rules

LOGIN = {"method": "test", "test": {"users": ["ada"], "password_file": "/etc/gozen/login/password"}}
VOLUME = {"archive": {"volume": {"source": {"nfs": {"server": "files", "path": "/sky"}}}}, "access": {"everyone": True}}
PARTS = ("hub", "namespaces", "portal", "proxy")


def hub(settings: Manifest | None = None, **further: Any) -> Manifest:
    """Return values with a hub."""
    whole = {"enabled": True, "publicUrl": "https://sky.example.org", "settings": {"login": LOGIN, **(settings or {})}}
    return S3 | {"hub": whole | further}


@pytest.fixture(scope="module")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def manifests(chart: helm.Chart) -> list[Manifest]:
    return rendered(chart, hub())


@pytest.fixture
def settings_of(chart: helm.Chart, tmp_path: Path) -> Any:
    """Return what the hub reads of the file that the chart makes of values."""

    def read(values: Manifest, name: str = "gozen") -> HubSettings:
        path = tmp_path / "hub.yaml"
        path.write_text(one_of(rendered(chart, values, name), "ConfigMap", "-hub")["data"]["hub.yaml"])
        return read_hub_settings(path)

    return read


def pod(manifests: list[Manifest], name: str) -> Manifest:
    return one_of(manifests, "Deployment", f"-{name}")["spec"]["template"]["spec"]


def policies(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one["spec"] for one in of_kind(manifests, "NetworkPolicy")}


def who(peers: list[Manifest]) -> list[str]:
    """Return the components that peers stand for; those of users' namespaces begin with ``user/``."""
    found = []
    for peer in peers:
        user = peer["namespaceSelector"]["matchLabels"] == OWNED
        assert user or peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "sky"}
        found.append("user/" * user + peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"])
    return found


def allowed(rules: list[Manifest], side: str) -> dict[Any, list[str]]:
    """Return who may be spoken to, or may speak, by port; names are left out."""
    return {
        one["ports"][0]["port"]: who(one.get(side, []))
        for one in rules
        if one.get("ports", [{}])[0].get("port", 53) not in (53, 9000)
    }


def test_it_is_clean_and_off_by_default(chart: helm.Chart) -> None:
    everything = hub(
        ingress={"enabled": True, "tlsSecretName": "tls"},
        gateway={"enabled": True, "className": "any", "tlsSecretName": "tls"},
    )
    found = helm.lint(CHART, everything, strict=True)
    assert found["errors"] == []
    assert [one for one in found["messages"] if one["severity"] > 1] == []
    assert not [one for one in rendered(chart, S3) if "hub" in one["metadata"]["name"]]
    assert not of_kind(rendered(chart, S3), "ClusterRole")


def test_the_hub_reads_the_settings_that_the_chart_writes(settings_of: Any) -> None:
    values = hub(
        {
            "lab": {"start_timeout_s": 1000000, "profiles": [{"title": "Big", "memory": "64G"}]},
            "idle": {"lab_s": 60, "check_s": 30},
        }
    )
    values |= {"images": {"lab": {"tag": "mine"}, "pullPolicy": "Never"}, "settings": {"instrument": "tomoe"}}
    found = settings_of(values)
    assert (found.where, found.public_url, found.user_hosts) == ("cluster", "https://sky.example.org", True)
    assert (found.login.method, found.login.test.users) == ("test", {"ada"})
    assert (found.lab.image, found.lab.pull_policy) == ("ghcr.io/gozen-project/gozen-lab:mine", "Never")
    assert (found.lab.start_timeout_s, found.lab.profiles[0].memory, found.idle.lab_s) == (1_000_000, "64G", 60)
    assert found.archive.url == "s3://sky/archive"
    assert found.archive.environment == {
        "GOZEN_STORAGE__ENDPOINT_URL": "https://s3.sky:9000",
        "GOZEN_STORAGE__ADDRESSING": "auto",
        "GOZEN_INSTRUMENT": "tomoe",
    }
    assert found.namespaces.hub_account == "sky/gozen-hub"


@pytest.mark.parametrize("release", ["gozen", "west"])
def test_addresses_in_the_settings_are_those_of_services(chart: helm.Chart, settings_of: Any, release: str) -> None:
    found = settings_of(hub(), release)
    services = {
        f"http://{one['metadata']['name']}.sky.svc:{one['spec']['ports'][0]['port']}": one["spec"]["selector"]
        for one in of_kind(rendered(chart, hub(), release), "Service")
    }
    for url, part in (
        (found.hub_url, "hub"),
        (found.proxy_api_url, "proxy"),
        (found.portal_url, "portal"),
        (found.namespaces.service_url, "namespaces"),
    ):
        assert services[url]["app.kubernetes.io/component"] == part
    assert found.namespaces.service_url.endswith(f":{PORT}")


def test_every_setting_of_the_hub_that_the_chart_does_not_give_itself_may_be_given(chart: helm.Chart) -> None:
    """The schema of the hub's settings is that of the model; a failure prints what belongs in the file."""
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["hub"]["properties"]["settings"]
    wanted = settings_schema() | {"description": schema["description"]}
    assert schema == wanted, json.dumps(wanted, indent=4)
    for given in ({"hub_url": "http://elsewhere"}, {"lab": {"image": "mine"}}, {"namespaces": {"bindings": {}}}):
        with pytest.raises(helm.HelmError, match=str(list(given)[-1])):
            rendered(chart, hub(given))


def settings_schema() -> Manifest:
    """Return the JSON schema of the settings without those that the chart gives."""
    whole = HubSettings.model_json_schema()

    def plain(part: Any, *, names: bool = False) -> Any:
        if not isinstance(part, dict):
            return [plain(one) for one in part] if isinstance(part, list) else part
        if {"type": "null"} in (variants := part.get("anyOf", [])):
            return plain(variants[0] | {name: value for name, value in part.items() if name != "anyOf"})
        if "$ref" in part:
            target = whole["$defs"][part["$ref"].rpartition("/")[2]]
            return plain(target | {name: value for name, value in part.items() if name != "$ref"})
        kept = part if names else {name: part[name] for name in part.keys() - {"default", "title", "format", "$defs"}}
        return {name: plain(value, names=name == "properties" and not names) for name, value in kept.items()}

    found: Manifest = plain(whole)
    del found["required"]  # where there is no hub, nobody logs in
    given = "where bind public_url user_hosts hub_url proxy_api_url portal_url state lab.image lab.pull_policy"
    given += " lab.pull_secrets namespaces.service_url namespaces.hub_account namespaces.policies namespaces.bindings"
    given += " archive.url archive.environment credentials.keys workers.url nextcloud.service_url nextcloud.secret"
    for word in given.split():
        *groups, name = word.split(".")
        part = found
        for group in groups:
            part = part["properties"][group]
        del part["properties"][name]
    return found


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (hub(publicUrl=""), "hub.publicUrl: give the address"),
        (S3 | {"hub": {"enabled": True, "publicUrl": "https://a.b"}}, "hub.settings.login: say how people log in"),
        (hub({"login": {"method": "system"}}), "accounts of a machine"),
        (hub(publicUrl="https://10.0.0.1"), "below which there are no host names"),
        (hub(publicUrl="https://sky.example.org/hub"), "publicUrl"),
        (hub({"lab": {"startTimeout": 3}}), "startTimeout"),
        (hub(VOLUME | {"access": {"users": ["ada"]}}) | DISK, "hub.settings.archive.volume: on a volume each user can"),
        (hub(VOLUME | {"archive": {"volume": {"source": {"rbd": {}}}}}) | DISK, "give one of nfs, csi and hostPath"),
        (hub(VOLUME | {"archive": {"volume": {"source": {"nfs": {}, "csi": {}}}}}) | DISK, "give one of nfs, csi and"),
        (hub(VOLUME | {"archive": {"volume": {}}}) | DISK, "source"),
        (hub({"lab": {"profiles": [{"title": "a", "memory": "lots"}]}}), "memory"),
        (hub(gateway={"enabled": True}), "hub.gateway: give className"),
        (hub(gateway={"enabled": True, "className": "any"}), "hub.gateway.tlsSecretName"),
        (hub(gateway={"enabled": True, "className": "any", "parentRefs": [{"name": "b"}]}), "not both"),
    ],
)
def test_values_that_make_no_sense_are_refused(chart: helm.Chart, values: Manifest, said: str) -> None:
    with pytest.raises(helm.HelmError, match=re.escape(said)):
        rendered(chart, values)


def test_rights_are_these_and_no_others(manifests: list[Manifest]) -> None:
    roles = {one["metadata"]["name"] for one in of_kind(manifests, "ClusterRole")}
    assert roles == {"gozen-hub", "gozen-hub-labs", "gozen-namespaces"}
    assert rules(manifests, "gozen-hub", "ClusterRole") == {"pods": ["list", "watch"], "events": ["list", "watch"]}
    assert rules(manifests, "gozen-hub-labs", "ClusterRole") == {
        "pods": ["create", "delete"],
        "persistentvolumeclaims": ["get", "create"],
    }
    assert rules(manifests, "gozen-namespaces", "ClusterRole") == {
        "namespaces": ["get", "create", "patch"],
        "resourcequotas": ["create", "patch"],
        "limitranges": ["create", "patch"],
        "serviceaccounts": ["create", "patch"],
        "networkpolicies": ["create", "patch"],
        "rolebindings": ["create", "patch"],
        "clusterroles": ["bind"],
        "tokenreviews": ["create"],
    }
    limited = {
        rule["resources"][0]: rule["resourceNames"]
        for one in of_kind(manifests, "ClusterRole")
        for rule in one["rules"]
        if "resourceNames" in rule
    }
    assert limited == {"clusterroles": ["gozen-hub-labs"], "serviceaccounts": ["default"]}


def test_volumes_are_made_only_where_the_site_gives_one(chart: helm.Chart, manifests: list[Manifest]) -> None:
    with_one = rendered(chart, hub(VOLUME) | DISK)
    found = rules(with_one, "gozen-namespaces", "ClusterRole")
    assert found["persistentvolumes"] == found["persistentvolumeclaims"] == ["create", "patch"]
    for part in (with_one, manifests):
        policy = json.dumps(one_of(part, "ValidatingAdmissionPolicy")["spec"])
        assert ("persistentvolume" in policy) == (part is with_one)
    assert helm.lint(CHART, hub(VOLUME), strict=True)["errors"] == []


def test_each_role_is_bound_to_its_account_alone(manifests: list[Manifest]) -> None:
    bound = {
        one["roleRef"]["name"]: [(who["namespace"], who["name"]) for who in one["subjects"]]
        for one in of_kind(manifests, "ClusterRoleBinding")
    }
    assert bound == {"gozen-hub": [("sky", "gozen-hub")], "gozen-namespaces": [("sky", "gozen-namespaces")]}
    namespaced = {one["metadata"]["name"] for one in of_kind(manifests, "RoleBinding")}
    assert namespaced == {"gozen-operator", "gozen-operator-lease"}


def test_the_hub_may_delete_homes_only_where_the_site_says_so(chart: helm.Chart) -> None:
    values = hub({"lab": {"home": {"when_user_is_deleted": "delete"}}})
    found = rules(rendered(chart, values), "gozen-hub-labs", "ClusterRole")
    assert found["persistentvolumeclaims"] == ["get", "create", "delete"]


def test_nobody_reads_secrets_or_nodes_or_runs_commands_in_pods(manifests: list[Manifest]) -> None:
    text = json.dumps([one["rules"] for kind in ("Role", "ClusterRole") for one in of_kind(manifests, kind)])
    for word in (
        "*",
        "secrets",
        "nodes",
        "pods/exec",
        "pods/attach",
        "pods/log",
        "configmaps",
        "impersonate",
        "escalate",
    ):
        assert f'"{word}"' not in text


def test_the_proxy_runs_the_image_of_jupyterhub_and_the_others_that_of_the_hub(manifests: list[Manifest]) -> None:
    images = {
        name: pod(manifests, name)["containers"][0]["image"].rpartition(":")[0]
        for name in ("hub", "portal", "namespaces", "proxy")
    }
    assert images.pop("proxy") == "quay.io/jupyterhub/configurable-http-proxy"
    assert set(images.values()) == {"ghcr.io/gozen-project/gozen-hub"}


def test_only_hub_and_namespaces_have_a_token_of_the_cluster(manifests: list[Manifest]) -> None:
    accounts = {one["metadata"]["name"]: one for one in of_kind(manifests, "ServiceAccount")}
    assert {one["automountServiceAccountToken"] for one in accounts.values()} == {False}
    for part in PARTS:
        assert pod(manifests, part)["serviceAccountName"] in accounts
    with_token = {part for part in PARTS if pod(manifests, part)["automountServiceAccountToken"]}
    assert with_token == {"hub", "namespaces"}
    shown = {part: "serviceAccountToken" in json.dumps(pod(manifests, part)["volumes"]) for part in PARTS}
    assert [part for part, found in shown.items() if found] == ["hub"]


def test_the_hub_has_a_token_for_the_service_for_namespaces_where_its_spawner_looks(manifests: list[Manifest]) -> None:
    found = pod(manifests, "hub")
    (volume,) = (one for one in found["volumes"] if "projected" in one)
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == AUDIENCE
    (mount,) = (one for one in found["containers"][0]["volumeMounts"] if one["name"] == volume["name"])
    spawner = (Path(__file__).parents[2] / "operator" / "gozen_hub" / "lab_spawner.py").read_text()
    assert f'"{mount["mountPath"]}/{source["serviceAccountToken"]["path"]}"' in spawner


def test_every_pod_is_restricted(chart: helm.Chart) -> None:
    manifests = rendered(chart, hub(loginSecretName="login"))
    for part in PARTS:
        found = pod(manifests, part)
        assert found["securityContext"]["runAsNonRoot"] is True
        assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert found["enableServiceLinks"] is False
        (container,) = found["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert container["readinessProbe"]
        assert container["livenessProbe"]
        kinds = {kind for volume in found["volumes"] for kind in volume.keys() - {"name"}}
        assert kinds <= {"emptyDir", "secret", "configMap", "projected", "persistentVolumeClaim"}


def test_only_what_reads_the_settings_starts_again_when_they_change(chart: helm.Chart) -> None:
    def notes_of(values: Manifest) -> dict[str, Any]:
        found = rendered(chart, values)
        return {part: one_of(found, "Deployment", f"-{part}")["spec"]["template"] for part in PARTS}

    before, after = notes_of(hub()), notes_of(hub({"idle": {"lab_s": 7}}))
    assert {part for part in PARTS if before[part] != after[part]} == {"hub", "namespaces"}
    strategies = {part: one_of(rendered(chart, hub()), "Deployment", f"-{part}")["spec"] for part in ("hub", "proxy")}
    assert {one["strategy"]["type"] for one in strategies.values()} == {"Recreate"}


def test_the_database_is_on_a_volume_that_stays_or_goes_with_the_pod(chart: helm.Chart) -> None:
    for volume, kind in ((True, "persistentVolumeClaim"), (False, "emptyDir")):
        manifests = rendered(chart, hub(database={"volume": volume}))
        (found,) = (one for one in pod(manifests, "hub")["volumes"] if one["name"] == "database")
        assert kind in found
        claims = of_kind(manifests, "PersistentVolumeClaim")
        assert [one["metadata"]["annotations"]["helm.sh/resource-policy"] for one in claims] == ["keep"] * volume
    mounts = {one["name"]: one["mountPath"] for one in pod(manifests, "hub")["containers"][0]["volumeMounts"]}
    assert mounts["database"] == str(HubSettings.model_fields["state"].default)


@pytest.mark.parametrize("own", ["", "mine"])
def test_proxy_and_portal_share_a_token_with_the_hub(chart: helm.Chart, own: str) -> None:
    manifests = rendered(chart, hub(secretName=own))

    def tokens(part: str) -> dict[str, tuple[str, str]]:
        (container,) = pod(manifests, part)["containers"]
        keys = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one}
        return {name: (key["name"], key["key"]) for name, key in keys.items()}

    secret = own or "gozen-hub"
    assert tokens("hub") == {
        "CONFIGPROXY_AUTH_TOKEN": (secret, "proxy-token"),
        "GOZEN_HUB_PORTAL_TOKEN": (secret, "portal-token"),
    }
    assert tokens("proxy") == {"CONFIGPROXY_AUTH_TOKEN": (secret, "proxy-token")}
    assert tokens("portal") == {"JUPYTERHUB_API_TOKEN": (secret, "portal-token")}
    made = of_kind(manifests, "Secret")
    assert [one["metadata"]["name"] for one in made] == ([] if own else ["gozen-hub"])
    values = [base64.b64decode(value) for one in made for value in one["data"].values()]
    assert all(len(value) >= 32 for value in values)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("user_hosts", [True, False])
def test_the_portal_is_told_what_the_hub_expects_of_it(chart: helm.Chart, settings_of: Any, user_hosts: bool) -> None:
    values = hub(userHosts=user_hosts, publicUrl="https://sky.example.org:8443")
    settings = settings_of(values)
    manifests = rendered(chart, values)
    told = environment(one_of(manifests, "Deployment", "-portal"))
    assert told["JUPYTERHUB_PUBLIC_URL"].endswith(portal_page(settings))
    assert told["JUPYTERHUB_PUBLIC_URL"].startswith("https://")
    assert told["JUPYTERHUB_OAUTH_CALLBACK_URL"] == f"{told['JUPYTERHUB_PUBLIC_URL']}oauth_callback"
    assert told["JUPYTERHUB_HOST"] == ("https://sky.example.org:8443" if user_hosts else "")
    assert told["JUPYTERHUB_API_URL"] == f"{settings.hub_url}/hub/api"
    command = pod(manifests, "proxy")["containers"][0]["command"]
    assert ("--host-routing" in command) == user_hosts
    assert {f"--default-target={settings.hub_url}", f"--error-target={settings.hub_url}/hub/error"} < set(command)


@pytest.mark.parametrize(
    "given", [{}, {"everyone": True}, {"users": ["ada"], "groups": ["a b", 'c"\\'], "contact": "é"}]
)
def test_the_portal_has_the_members_of_the_hub(chart: helm.Chart, settings_of: Any, given: Manifest) -> None:
    values = hub({"access": given} if given else {})
    told = environment(one_of(rendered(chart, values), "Deployment", "-portal"))
    found, wanted = PortalSettings.of_environment(told), settings_of(values).access
    assert (found.members, found.contact) == (wanted.members, wanted.contact)


@pytest.mark.parametrize("url", ["https://Sky.Example.org:443/", "https://SKY.example.org/"])
def test_the_public_address_is_the_same_in_every_place(chart: helm.Chart, settings_of: Any, url: str) -> None:
    values = hub(publicUrl=url)
    told = environment(one_of(rendered(chart, values), "Deployment", "-portal"))
    assert settings_of(values).public_url == told["JUPYTERHUB_HOST"] == "https://sky.example.org"


@pytest.mark.parametrize("values", [S3, DISK], ids=["s3", "volume"])
def test_the_portal_only_reads_the_archive(chart: helm.Chart, values: Manifest) -> None:
    found = pod(rendered(chart, hub(archiveSecretName="few-rights") | values), "portal")
    mounts = {one["name"]: one for one in found["containers"][0]["volumeMounts"]}
    secrets = [one["secret"]["secretName"] for one in found["volumes"] if "secret" in one]
    assert secrets == (["few-rights"] if values is S3 else [])
    assert mounts["s3" if values is S3 else "archive"]["readOnly"] is True


def test_who_may_speak_to_whom(manifests: list[Manifest]) -> None:
    found = policies(manifests)
    assert allowed(found["gozen-hub"]["ingress"], "from") == {"hub": ["proxy", "portal", "user/lab"]}
    assert allowed(found["gozen-hub"]["egress"], "to") == {
        8001: ["proxy"],
        8080: ["namespaces", "portal"],
        8888: ["user/lab"],
    }
    assert allowed(found["gozen-proxy"]["ingress"], "from") == {"public": [], "api": ["hub"]}
    assert allowed(found["gozen-proxy"]["egress"], "to") == {8081: ["hub"], 8080: ["portal"], 8888: ["user/lab"]}
    assert allowed(found["gozen-namespaces"]["ingress"], "from") == {"http": ["hub"]}
    assert allowed(found["gozen-namespaces"]["egress"], "to") == {}
    assert allowed(found["gozen-portal"]["ingress"], "from") == {"http": ["proxy", "hub"]}
    assert allowed(found["gozen-portal"]["egress"], "to") == {8081: ["hub"]}
    to_api_server = found["gozen-api-server"]["podSelector"]["matchExpressions"][0]["values"]
    assert to_api_server == ["operator", "observer", "hub", "namespaces"]
    without_archive = found["gozen-archive"]["podSelector"]["matchExpressions"]
    assert without_archive == [
        {"key": "app.kubernetes.io/component", "operator": "NotIn", "values": ["hub", "proxy", "namespaces"]}
    ]
    for part in PARTS:
        labels = one_of(manifests, "Deployment", f"-{part}")["spec"]["template"]["metadata"]["labels"]
        assert found["gozen-deny"]["podSelector"]["matchLabels"].items() <= labels.items()
        assert found[f"gozen-{part}"]["podSelector"]["matchLabels"].items() <= labels.items()


PROMETHEUS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


@pytest.mark.parametrize(("monitor", "peers"), [(True, PROMETHEUS), (True, []), (False, PROMETHEUS)])
def test_prometheus_reaches_hub_and_portal_only_where_the_site_names_it(
    chart: helm.Chart, monitor: bool, peers: list[Manifest]
) -> None:
    values = hub() | {
        "monitoring": {"serviceMonitor": {"enabled": monitor}},
        "networkPolicy": {"metrics": {"from": peers}},
    }
    found = policies(rendered(chart, values))
    for name in ("hub", "portal"):
        extra = [one for one in found[f"gozen-{name}"]["ingress"] if one["from"] == peers]
        assert len(extra) == bool(monitor and peers)
        assert all(one.get("from") for one in found[f"gozen-{name}"]["ingress"])  # a rule without peers admits all


def test_each_monitor_finds_a_port_of_a_service(chart: helm.Chart) -> None:
    manifests = rendered(chart, hub() | {"monitoring": {"serviceMonitor": {"enabled": True}}})
    monitors = {one["metadata"]["name"]: one["spec"] for one in of_kind(manifests, "ServiceMonitor")}
    assert set(monitors) == {"gozen-operator", "gozen-hub", "gozen-portal"}
    for name, spec in monitors.items():
        labels, (endpoint,) = spec["selector"]["matchLabels"].items(), spec["endpoints"]
        chosen = [one for one in of_kind(manifests, "Service") if labels <= one["metadata"]["labels"].items()]
        (service,) = chosen
        assert service["metadata"]["name"].startswith(name)
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_dashboard_of_the_hub_shows_metrics_that_there_are(chart: helm.Chart) -> None:
    """Metrics of pods come from kube-state-metrics; their names contain those of users' namespaces and Dask's pods."""
    values = hub() | {"monitoring": {"dashboard": {"enabled": True}}}
    dashboard = json.loads(one_of(rendered(chart, values), "ConfigMap", "dashboard")["data"]["gozen-hub.json"])
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = set(re.findall(r"(?:jupyterhub|gozen_portal)_\w+", " ".join(expressions)))
    assert {re.sub(r"_(bucket|count)$", "", name) for name in asked} <= known_metrics()
    assert [one["query"] for one in dashboard["templating"]["list"]][1] == f"{NamespaceSettings().prefix}-.*"
    assert f"{GROUP}-worker-" in " ".join(expressions)


def known_metrics() -> set[str]:
    """Return the names of the metrics of JupyterHub and the portal."""
    assert jupyterhub.metrics.TOTAL_USERS  # the import registers them
    text = (generate_latest() + Metrics().text()).decode()
    return set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))


def test_the_hub_reaches_an_openid_provider_only_where_there_is_one(chart: helm.Chart) -> None:
    provider = [{"ipBlock": {"cidr": "10.2.0.1/32"}}]
    urls = {name: f"https://login.example.org/{name}" for name in ("authorize_url", "token_url", "userdata_url")}
    openid = {"client_id": "gozen", "client_secret_file": "/etc/gozen/login/secret", **urls}
    network = {"openid": {"to": provider, "ports": [8443]}, "proxyFrom": provider}
    values = hub({"login": {"method": "openid", "openid": openid}}, network=network)
    found = policies(rendered(chart, values))
    assert found["gozen-hub"]["egress"][-1] == {"ports": [{"protocol": "TCP", "port": 8443}], "to": provider}
    assert found["gozen-proxy"]["ingress"][0]["from"] == provider
    assert "ipBlock" not in json.dumps(policies(rendered(chart, hub()))["gozen-hub"])


def test_labs_reach_the_hub_and_workers_do_not(settings_of: Any) -> None:
    found = settings_of(hub()).namespaces.policies
    labs, workers = found["labs"], found["workers"]
    assert allowed(labs["ingress"], "from") == {8888: ["proxy", "hub"]}
    rules = [(one.get("ports", [{}])[0].get("port"), one["to"][0]) for one in labs["egress"]]
    assert [port for port, _ in rules] == [53, 9000, None, 8081]
    assert rules[2][1] == {"podSelector": {}}
    assert who([rules[3][1]]) == ["hub"]
    assert workers["egress"] == labs["egress"][:3]
    assert workers["ingress"] == [{"from": [{"podSelector": {}}]}]
    for policy in found.values():
        assert policy["policyTypes"] == ["Ingress", "Egress"]
    outside = [{"ipBlock": {"cidr": "0.0.0.0/0"}}]
    open_labs = settings_of(hub(network={"outside": outside})).namespaces.policies
    assert open_labs["labs"]["egress"][-1] == {"to": outside}
    assert open_labs["workers"] == workers


def test_policies_of_users_do_not_depend_on_those_of_the_release(settings_of: Any) -> None:
    found = settings_of(hub() | {"networkPolicy": {"enabled": False}})
    assert set(found.namespaces.policies) == {"labs", "workers"}


def test_the_pods_of_labs_are_those_that_the_policies_name(settings_of: Any, manifests: list[Manifest]) -> None:
    settings = settings_of(hub())
    traits = pod_traits(settings)
    selected = settings.namespaces.policies["labs"]["podSelector"]["matchLabels"]
    assert selected.items() <= traits["common_labels"].items()
    (peer,) = policies(manifests)["gozen-hub"]["egress"][3]["to"]
    assert peer["podSelector"]["matchLabels"].items() <= traits["common_labels"].items()
    namespace = next(user_objects("gozen-user-ada", "ada", settings.namespaces)).manifest
    assert peer["namespaceSelector"]["matchLabels"].items() <= namespace["metadata"]["labels"].items()


def test_the_service_makes_only_bindings_that_rights_and_policy_allow(
    settings_of: Any, manifests: list[Manifest]
) -> None:
    found = settings_of(hub()).namespaces.bindings
    assert {name: one.model_dump() for name, one in found.items()} == {
        "hub": {"role": "gozen-hub-labs", "service_account": "gozen-hub", "namespace": "sky"}
    }
    policy = json.dumps(one_of(manifests, "ValidatingAdmissionPolicy")["spec"])
    assert "['gozen-hub-labs sky/gozen-hub']" in policy


def test_another_prefix_is_another_everywhere(chart: helm.Chart, settings_of: Any) -> None:
    values = hub({"namespaces": {"prefix": "lab"}})
    assert settings_of(values).namespaces.prefix == "lab"
    policy = json.dumps(one_of(rendered(chart, values), "ValidatingAdmissionPolicy"))
    assert "startsWith('lab-')" in policy
    assert "gozen-user" not in policy


def test_the_admission_policy_is_in_force_for_everything_that_the_account_writes(manifests: list[Manifest]) -> None:
    spec = one_of(manifests, "ValidatingAdmissionPolicy")["spec"]
    binding = one_of(manifests, "ValidatingAdmissionPolicyBinding")["spec"]
    assert spec["failurePolicy"] == "Fail"
    assert binding == {"policyName": "gozen-namespaces", "validationActions": ["Deny"]}
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert (rule["apiGroups"], rule["resources"]) == (["*"], ["*/*"])
    assert "system:serviceaccount:sky:gozen-namespaces" in spec["matchConditions"][0]["expression"]


@pytest.mark.parametrize(
    ("user_hosts", "hosts"), [(True, ["sky.example.org", "*.sky.example.org"]), (False, ["sky.example.org"])]
)
def test_ways_in_are_off_and_lead_to_the_proxy(chart: helm.Chart, user_hosts: bool, hosts: list[str]) -> None:
    kinds = ("Ingress", "Gateway", "HTTPRoute")
    assert not [one for kind in kinds for one in of_kind(rendered(chart, hub()), kind)]
    ingress = {"enabled": True, "className": "nginx", "tlsSecretName": "tls", "annotations": {"a": "b"}}
    gateway = {"enabled": True, "className": "any", "tlsSecretName": "tls"}
    found = rendered(chart, hub(userHosts=user_hosts, ingress=ingress, gateway=gateway))
    ingress = one_of(found, "Ingress")
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == hosts
    assert ingress["spec"]["tls"] == [{"hosts": hosts, "secretName": "tls"}]
    assert ingress["metadata"]["annotations"] == {"a": "b"}
    backends = [rule["http"]["paths"][0]["backend"]["service"]["name"] for rule in ingress["spec"]["rules"]]
    assert set(backends) == {"gozen-proxy"}
    route = one_of(found, "HTTPRoute")["spec"]
    assert (route["hostnames"], route["parentRefs"]) == (hosts, [{"name": "gozen-hub"}])
    assert route["rules"][0]["backendRefs"] == [{"name": "gozen-proxy", "port": 80}]
    listeners = one_of(found, "Gateway")["spec"]["listeners"]
    assert [one["hostname"] for one in listeners] == hosts
    assert {one["tls"]["certificateRefs"][0]["name"] for one in listeners} == {"tls"}
    theirs = rendered(chart, hub(gateway={"enabled": True, "parentRefs": [{"name": "shared", "namespace": "edge"}]}))
    assert one_of(theirs, "HTTPRoute")["spec"]["parentRefs"] == [{"name": "shared", "namespace": "edge"}]
    assert not of_kind(theirs, "Gateway")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (hub(), "Nothing leads from outside the cluster to the Service gozen-proxy"),
        (hub(), "The portal uses the keys of keys, which can write"),
        (hub(userHosts=False), "a page of one user can act in the name of others"),
        (hub(publicUrl="http://sky.example.org"), "cross the network unencrypted"),
        (hub() | DISK, "Labs have no archive"),
        (hub({"access": {"contact": "ada"}}), "Nobody is a member"),
        (hub(VOLUME) | DISK, "Each user can read all files of the volume"),
    ],
)
def test_the_notes_warn_of_what_is_open(chart: helm.Chart, values: Manifest, said: str) -> None:
    assert said in notes(chart, values)
    settings = {"archive": {"claim": "data"}, "access": {"users": ["ada"]}}
    safe = hub(settings, serviceType="NodePort", archiveSecretName="few")
    assert said not in notes(chart, safe)
    assert "sky.example.org and *.sky.example.org must lead there" in notes(chart, safe)
