"""Test the configuration of JupyterHub: log-in, services and roles, labs in pods and on one machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from kubespawner import KubeSpawner
from tests.portal_samples import environment
from traitlets.config import Config

from gozen.errors import BadRequest
from gozen.portal.shell.portal_settings import PortalSettings
from gozen_hub.configure import configure
from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_pods import pod_traits


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text("correct-horse\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "short").write_text("seven77\n")
    return tmp_path


def settings(folder: Path, **more: Any) -> HubSettings:
    login = {"method": "test", "test": {"users": ["hoshi"], "password_file": str(folder / "password")}}
    base: dict[str, Any] = {"public_url": "https://hub.example.org", "state": str(folder / "state"), "login": login}
    base["namespaces"] = {"hub_account": "sky/gozen-hub"}
    return HubSettings.model_validate({**base, **more})


def configured(found: HubSettings) -> Config:
    c = Config()
    configure(c, found)
    return c


def test_each_user_has_a_host_and_people_land_on_the_portal(secrets: Path) -> None:
    c = configured(settings(secrets))
    assert c.JupyterHub.subdomain_host == "https://hub.example.org"
    assert c.JupyterHub.default_url == "https://portal--service.hub.example.org/services/portal/"
    c = configured(settings(secrets, user_hosts=False))
    assert "subdomain_host" not in c.JupyterHub
    assert c.JupyterHub.default_url == "/services/portal/"


def test_services_have_the_scopes_that_they_need_and_no_others(secrets: Path) -> None:
    roles = {role["name"]: role for role in configured(settings(secrets)).JupyterHub.load_roles}
    assert roles["user"]["scopes"] == ["self", "access:services!service=portal"]
    assert "admin:users" not in roles["idle-culler"]["scopes"]
    assert sorted(roles["idle-culler"]["scopes"]) == [
        "delete:servers",
        "list:users",
        "read:servers",
        "read:users:activity",
    ]
    assert sorted(roles["orphan-labs"]["scopes"]) == ["list:users", "read:servers"]


def test_who_renews_credentials_reads_names_and_groups_and_nothing_else(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "credentials" not in {one["name"] for one in configured(settings(secrets)).JupyterHub.services}
    monkeypatch.setenv("GOZEN_HUB_CREDENTIALS_TOKEN", "t" * 64)
    hub = configured(settings(secrets)).JupyterHub
    assert {"name": "credentials", "api_token": "t" * 64} in hub.services
    (role,) = (one for one in hub.load_roles if "credentials" in one.get("services", ()))
    assert role["scopes"] == ["list:users", "read:users:groups"]


def test_the_metrics_of_the_hub_need_no_log_in(secrets: Path) -> None:
    assert configured(settings(secrets)).JupyterHub.authenticate_prometheus is False


def test_on_one_machine_the_portal_has_the_members_of_the_hub(secrets: Path) -> None:
    for access in ({}, {"users": ["ada"], "groups": ["survey"], "contact": "data@sky.example.org"}, {"everyone": True}):
        here = settings(secrets, where="machine", access=access)
        portal = configured(here).JupyterHub.services[0]["environment"]
        found = PortalSettings.of_environment(environment() | portal)
        assert (found.members, found.contact) == (here.access.members, here.access.contact)


def test_idle_labs_end_after_the_time_that_is_set(secrets: Path) -> None:
    services = {
        one["name"]: one for one in configured(settings(secrets, idle={"lab_s": 77, "check_s": 30})).JupyterHub.services
    }
    assert {"--timeout=77", "--cull-every=30"} < set(services["idle-culler"]["command"])
    c = configured(settings(secrets, idle={"lab_s": 0}))
    assert [one["name"] for one in c.JupyterHub.services] == ["portal", "orphan-labs"]
    assert [one["name"] for one in c.JupyterHub.load_roles] == ["user", "orphan-labs"]


def test_in_a_cluster_services_of_the_hub_ask_it_inside_its_pod(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network policies do not let the hub reach itself at its address for other pods."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("GOZEN_HUB_SETTINGS", "/etc/gozen/hub.yaml")
    services = {one["name"]: one for one in configured(settings(secrets)).JupyterHub.services}
    assert services["idle-culler"]["command"][-1] == "--url=http://127.0.0.1:8081/hub/api"
    assert services["orphan-labs"]["command"][-1] == "http://127.0.0.1:8081/hub/api"
    told = services["orphan-labs"]["environment"]
    assert told == {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "GOZEN_HUB_SETTINGS": "/etc/gozen/hub.yaml"}
    nameless = configured(settings(secrets, namespaces={"prefix": "u"}))
    assert "orphan-labs" not in {one["name"] for one in nameless.JupyterHub.services}
    machine = configured(settings(secrets, where="machine", lab={}))
    assert "orphan-labs" not in {one["name"] for one in machine.JupyterHub.services}
    (culler,) = (one for one in machine.JupyterHub.services if one["name"] == "idle-culler")
    assert not any(word.startswith("--url") for word in culler["command"])


def test_the_openid_provider_decides_who_may_log_in(secrets: Path) -> None:
    provider = {
        "client_id": "gozen",
        "client_secret_file": str(secrets / "password"),
        "authorize_url": "https://id/a",
        "token_url": "https://id/t",
        "userdata_url": "https://id/u",
    }
    everyone = configured(settings(secrets, login={"method": "openid", "openid": provider}))
    assert everyone.GenericOAuthenticator.oauth_callback_url == "https://hub.example.org/hub/oauth_callback"
    assert everyone.GenericOAuthenticator.client_secret == "correct-horse"
    assert everyone.Authenticator.allow_all is True
    state = {"oauth_user": {"groups": ["a"], "https://example.org/groups": ["b"]}}
    assert everyone.GenericOAuthenticator.auth_state_groups_key(state) == ["a"]
    dotted = {**provider, "groups_claim": "https://example.org/groups"}
    c = configured(settings(secrets, login={"method": "openid", "openid": dotted}))
    assert c.GenericOAuthenticator.auth_state_groups_key(state) == ["b"]
    some = configured(
        settings(secrets, login={"method": "openid", "openid": {**provider, "allowed_groups": ["astronomers"]}})
    )
    assert some.GenericOAuthenticator.allowed_groups == {"astronomers"}
    assert "allow_all" not in some.Authenticator


@pytest.mark.parametrize(
    ("name", "message"), [("empty", "is empty"), ("none", "cannot be read"), ("short", "it must have 8 or more")]
)
def test_a_secret_that_is_missing_is_named(secrets: Path, name: str, message: str) -> None:
    login = {"method": "test", "test": {"users": ["hoshi"], "password_file": str(secrets / name)}}
    with pytest.raises(BadRequest, match=message) as refusal:
        configured(settings(secrets, login=login))
    assert name in str(refusal.value)


def test_labs_are_restricted_pods_without_a_token(secrets: Path) -> None:
    traits = pod_traits(settings(secrets))
    assert traits["automount_service_account_token"] is False
    assert traits["allow_privilege_escalation"] is False
    assert traits["container_security_context"] == {"capabilities": {"drop": ["ALL"]}}
    assert traits["pod_security_context"]["runAsNonRoot"] is True
    assert traits["pod_security_context"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert traits["uid"] == 10001


def test_labs_have_the_label_by_which_the_network_policies_select_them(secrets: Path) -> None:
    # KubeSpawner writes `component_label` over the same label of `common_labels`.
    assert pod_traits(settings(secrets))["component_label"] == "lab"


def test_kubespawner_knows_every_trait_that_it_is_given(secrets: Path) -> None:
    assert set(pod_traits(settings(secrets))) <= set(KubeSpawner.class_trait_names())


def test_homes_are_kept_unless_the_site_says_otherwise(secrets: Path) -> None:
    assert pod_traits(settings(secrets))["delete_pvc"] is False
    deleted = settings(secrets, lab={"home": {"when_user_is_deleted": "delete", "access_mode": "ReadWriteMany"}})
    assert pod_traits(deleted)["delete_pvc"] is True
    assert pod_traits(deleted)["storage_access_modes"] == ["ReadWriteMany"]


def test_an_archive_on_s3_is_read_with_mounted_credentials(secrets: Path) -> None:
    archive = {"url": "s3://sky/archive", "environment": {"GOZEN_STORAGE__ENDPOINT_URL": "http://s3:9000"}}
    traits = pod_traits(settings(secrets, archive=archive))
    assert traits["environment"]["GOZEN_ARCHIVE"] == "s3://sky/archive"
    assert traits["environment"]["GOZEN_STORAGE__ENDPOINT_URL"] == "http://s3:9000"
    assert traits["environment"]["AWS_SHARED_CREDENTIALS_FILE"] == "/etc/gozen/s3/credentials"
    mounts = {one["name"]: one for one in traits["volume_mounts"]}
    assert mounts["s3"]["readOnly"] is True


def test_an_archive_on_a_volume_is_mounted_read_only(secrets: Path) -> None:
    traits = pod_traits(settings(secrets, archive={"claim": "archive"}))
    assert traits["environment"]["GOZEN_ARCHIVE"] == "/data"
    mounts = {one["name"]: one for one in traits["volume_mounts"]}
    volumes = {one["name"]: one for one in traits["volumes"]}
    assert mounts["data"] == {"name": "data", "mountPath": "/data", "readOnly": True}
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "archive", "readOnly": True}


def test_labs_read_the_object_store_as_whoever_started_the_hub_and_only_with_the_test_login(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(secrets))
    monkeypatch.setenv("AWS_PROFILE", "sky")
    (secrets / ".aws").mkdir()
    (secrets / ".aws" / "credentials").write_text("[sky]\n")
    archive = {"url": "s3://sky/archive"}
    c = configured(settings(secrets, where="machine", archive=archive))
    portal = c.JupyterHub.services[0]["environment"]
    for given in (c.Spawner.environment, portal):
        assert given["AWS_PROFILE"] == "sky"
        assert given["AWS_SHARED_CREDENTIALS_FILE"] == str(secrets / ".aws" / "credentials")
    root = configured(settings(secrets, where="machine", archive=archive, login={"method": "system"}))
    assert not [name for name in root.Spawner.environment if name.startswith("AWS_")]


def test_braces_in_a_variable_reach_the_lab(secrets: Path) -> None:
    traits = pod_traits(settings(secrets, lab={"environment": {"OPTIONS": '{"a": 1}'}}))
    assert traits["environment"]["OPTIONS"].format() == '{"a": 1}'


def test_what_jupyter_writes_while_it_runs_is_not_in_the_home(secrets: Path) -> None:
    """A home that is full would keep the lab, and each kernel, from starting."""
    assert pod_traits(settings(secrets))["environment"]["JUPYTER_RUNTIME_DIR"].startswith("/tmp/")


def test_profiles_are_sizes_and_images_of_the_settings_alone(secrets: Path) -> None:
    assert pod_traits(settings(secrets))["profile_list"] == []
    two = [{"title": "Small"}, {"title": "Large", "cpu": 8, "memory": "32G", "image": "big:1"}]
    small, large = pod_traits(settings(secrets, lab={"profiles": two}))["profile_list"]
    assert (small["default"], large["default"]) == (True, False)
    assert large["kubespawner_override"]["mem_limit"] == "32G"
    assert large["kubespawner_override"]["image"] == "big:1"


def test_on_one_machine_labs_are_processes(secrets: Path) -> None:
    here = settings(secrets, where="machine", public_url="http://localhost:8123")
    c = configured(here)
    assert c.JupyterHub.bind_url == "http://127.0.0.1:8123"
    assert c.JupyterHub.spawner_class == "simple"
    assert c.Spawner.home_dir_template.startswith(str(here.state))
    assert c.Spawner.args == (["--allow-root"] if os.geteuid() == 0 else [])
    assert here.state.stat().st_mode & 0o777 == 0o700
    assert configured(settings(secrets, where="machine")).JupyterHub.bind_url == "http://127.0.0.1:8000"
    system = configured(settings(secrets, where="machine", login={"method": "system"}))
    assert system.JupyterHub.spawner_class == "localprocess"
    assert system.Spawner.args == []


def test_programs_of_its_environment_are_found_without_activation(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    c = configured(settings(secrets, where="machine"))
    found = f"{Path(sys.executable).parent}:/usr/bin"
    assert c.TraefikFileProviderProxy.traefik_env == {"PATH": found}
    assert c.Spawner.environment["PATH"] == found
