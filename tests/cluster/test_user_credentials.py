"""The service for labs' credentials on a real API server, with the account and the settings of the chart.

Covered: a new namespace gets its Secret at once; renewal; a namespace that is created again; what the account cannot do
even if its program is taken over: rights and the admission policy, each tested directly. Not covered: the object store
(tests/services/test_lab_credentials), templates (tests/unit/test_chart_credentials).
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml
from kubernetes import config

from gozen.archive.stores.s3_access import Keys
from gozen_hub.credentials.cluster import META_ONLY, UserNamespaces
from gozen_hub.credentials.credentials_metrics import CredentialMetrics
from gozen_hub.credentials.key_sources import StaticKeys
from gozen_hub.credentials.renewal import Renewal
from gozen_hub.credentials.user_secret import LEVEL, credentials_text, path_of_secret
from gozen_hub.hub_settings import HubSettings, read_hub_settings
from gozen_hub.lab_pods import CREDENTIALS_SECRET
from gozen_hub.namespaces.make_namespace import make_namespace
from gozen_hub.namespaces.namespace_objects import OWNED
from gozen_operator.api_server.api_request import APPLY_PATCH, JSON, ApiRequest
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.api_server.responses import RefusedError

from .api_server import ApiServer
from .processes import wait_until

pytestmark = pytest.mark.xdist_group("api")
CHART = Path(__file__).parents[2] / "charts" / "gozen"
PLACE, NAME, PREFIX = "keys", "keys-gozen", "astro"
LOGIN = {"method": "test", "test": {"users": ["ada"], "password_file": "/etc/gozen/login/password"}}
SETTINGS = {
    "login": LOGIN,
    "namespaces": {"prefix": PREFIX},
    "access": {"users": ["ada"]},
    "credentials": {"method": "static"},
}
VALUES = {
    "archive": {"url": "s3://sky/archive"},
    "hub": {"enabled": True, "publicUrl": "https://sky.example.org", "settings": SETTINGS},
}
SECONDS = 60
WHO = f"--as=system:serviceaccount:{PLACE}:{NAME}-credentials"


@dataclass(frozen=True)
class Service:
    """The service, as users' namespaces and an intruder see it."""

    server: ApiServer
    settings: HubSettings
    maker: ApiConnection
    account: ApiConnection
    keys: Path

    def namespace(self, user: str) -> str:
        """Make the namespace of a user, as the service for namespaces does."""
        name = f"{PREFIX}-{user}"
        make_namespace(self.maker, name, user, self.settings)
        return name

    def renewal(self) -> Renewal:
        """Return the service with nothing given yet."""
        cluster = UserNamespaces(self.account, PREFIX, self.settings.namespaces.hub_account)
        return Renewal(cluster, StaticKeys(self.keys), self.settings.access.members, None, CredentialMetrics(60), 30)

    def secret(self, namespace: str) -> tuple[str, str] | None:
        """Return level and content of a namespace's Secret, as the administrator sees it."""
        said = self.server.kubectl("get", "secret", CREDENTIALS_SECRET, "-n", namespace, "--output=json")
        if said.returncode:
            return None
        found = json.loads(said.stdout)
        return found["metadata"]["annotations"][LEVEL], base64.b64decode(found["data"]["credentials"]).decode()

    def refusal(self, path: str, body: dict[str, Any], method: str = "PATCH") -> str:
        """Return why the API server refuses a request of the account; empty if it would not."""
        query = {"dryRun": "All"} | ({"fieldManager": "intruder", "force": "true"} if method == "PATCH" else {})
        try:
            self.account.answer(ApiRequest(method, path, query, body, APPLY_PATCH if method == "PATCH" else JSON))
        except RefusedError as refusal:
            return str(refusal)
        return ""


@pytest.fixture(scope="module")
def service(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("credentials")
    with helm.Chart.load(CHART) as chart:
        parts = {Path(path).name: text for path, text in chart.render(VALUES, name=PLACE, namespace=PLACE).items()}
    api_server.kubectl("create", "namespace", PLACE, check=True)
    for part in ("hub-rights.yaml", "hub-credentials-rights.yaml"):
        api_server.kubectl("apply", "-f", "-", stdin=parts[part], check=True)
    (folder / "hub.yaml").write_text(next(yaml.safe_load_all(parts["hub-settings.yaml"]))["data"]["hub.yaml"])
    for level in ("members", "others"):
        (folder / level).mkdir()
        (folder / level / "credentials").write_text(credentials_text(Keys(f"{level}-key", "secret")))
    accounts = (
        ApiConnection(
            config.new_client_from_config(str(api_server.kubeconfig_of_service_account(PLACE, f"{NAME}-{one}")))
        )
        for one in ("namespaces", "credentials")
    )
    found = Service(api_server, read_hub_settings(folder / "hub.yaml"), *accounts, folder)
    ada = found.namespace("ada")

    def enforced() -> bool:
        return "is opaque" in found.refusal(path_of_secret(ada), secret(data={"other": ""}))

    wait_until(enforced, "the admission policy", SECONDS)
    yield found
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy", "clusterrolebinding", "clusterrole"):
        api_server.kubectl("delete", kind, "--selector", f"app.kubernetes.io/instance={PLACE}", check=True)


def secret(name: str = CREDENTIALS_SECRET, **content: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", **content}


def test_each_user_has_a_secret_with_the_key_of_the_users_level(service: Service) -> None:
    ada, eve = service.namespace("ada"), service.namespace("eve")
    service.renewal().round()
    assert service.secret(ada) == ("members", credentials_text(Keys("members-key", "secret")))
    assert service.secret(eve) == ("others", credentials_text(Keys("others-key", "secret")))
    assert service.secret(PLACE) is None
    text = service.keys / "others" / "credentials"
    before = text.read_text()
    text.write_text(credentials_text(Keys("rotated", "secret")))
    service.renewal().round()
    assert service.secret(eve) == ("others", credentials_text(Keys("rotated", "secret")))
    text.write_text(before)


def test_a_new_namespace_gets_its_secret_long_before_the_next_round(service: Service) -> None:
    """A lab starts a moment later: a Secret that comes after its pod is mounted only a minute later."""
    before, over = service.namespace("before"), threading.Event()
    cluster, renewal = (
        UserNamespaces(service.account, PREFIX, service.settings.namespaces.hub_account),
        service.renewal(),
    )

    def rounds() -> None:
        while not over.is_set():
            pause = renewal.round()
            cluster.wait(pause)

    threading.Thread(target=rounds, daemon=True).start()
    wait_until(lambda: service.secret(before) is not None, "the first round", SECONDS)
    begin = time.monotonic()
    name = service.namespace("mary")
    wait_until(lambda: service.secret(name) is not None, "the Secret", SECONDS)
    over.set()
    assert time.monotonic() - begin < 10


def test_a_watch_ends_in_time_where_nothing_happens(service: Service) -> None:
    cluster = UserNamespaces(service.account, PREFIX, service.settings.namespaces.hub_account)
    assert ("ada", f"{PREFIX}-ada") in [(one.user, one.name) for one in cluster.list()]
    begin = time.monotonic()
    cluster.wait(1)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("words", "where", "allowed"),
    [
        (f"create secrets/{CREDENTIALS_SECRET}", f"{PREFIX}-ada", True),
        (f"patch secrets/{CREDENTIALS_SECRET}", f"{PREFIX}-ada", True),
        (f"get secrets/{CREDENTIALS_SECRET}", f"{PREFIX}-ada", False),
        ("list secrets", f"{PREFIX}-ada", False),
        ("watch secrets", f"{PREFIX}-ada", False),
        ("create secrets", f"{PREFIX}-ada", False),
        ("patch secrets/other", f"{PREFIX}-ada", False),
        (f"delete secrets/{CREDENTIALS_SECRET}", f"{PREFIX}-ada", False),
        (f"update secrets/{CREDENTIALS_SECRET}", f"{PREFIX}-ada", False),
        ("create pods", f"{PREFIX}-ada", False),
        ("create serviceaccounts/default --subresource=token", f"{PREFIX}-ada", False),
        (f"patch secrets/{CREDENTIALS_SECRET}", PLACE, False),
        (f"create secrets/{CREDENTIALS_SECRET}", "kube-system", False),
        ("list namespaces", "default", True),
        ("create namespaces", "default", False),
        ("patch namespaces/default", "default", False),
    ],
)
def test_it_may_write_this_secret_and_nothing_else(service: Service, words: str, where: str, allowed: bool) -> None:
    said = service.server.kubectl("auth", "can-i", *words.split(), "-n", where, WHO)
    assert said.stdout.split()[0] == ("yes" if allowed else "no"), said.stdout + said.stderr


def test_the_hub_cannot_read_it(service: Service) -> None:
    who = f"--as=system:serviceaccount:{PLACE}:{NAME}-hub"
    said = service.server.kubectl("auth", "can-i", "get", f"secrets/{CREDENTIALS_SECRET}", "-n", f"{PREFIX}-ada", who)
    assert said.stdout.split()[0] == "no"


def test_even_a_stolen_account_gets_no_token_and_writes_no_other_content(service: Service) -> None:
    grace = service.namespace("grace")
    assert service.refusal(path_of_secret(grace), secret(data={"credentials": ""})) == ""
    token = secret(type="kubernetes.io/service-account-token")
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "default"}
    assert "is opaque" in service.refusal(path_of_secret(grace), token)
    assert "is opaque" in service.refusal(path_of_secret(grace), secret(data={"credentials": "", "more": ""}))
    assert "forbidden" in service.refusal(path_of_secret(grace).replace(CREDENTIALS_SECRET, "other"), secret("other"))


def test_with_more_rights_the_account_is_still_held_by_the_policy(service: Service) -> None:
    """Somebody makes it an administrator by mistake: the policy does not depend on rights."""
    ada = service.namespace("ada")
    service.server.kubectl("create", "namespace", f"{PREFIX}-of-others", check=True)
    words = ("--clusterrole=cluster-admin", f"--serviceaccount={PLACE}:{NAME}-credentials")
    service.server.kubectl("create", "clusterrolebinding", "mistake-of-keys", *words, check=True)
    good = secret(data={"credentials": ""})
    try:
        wait_until(
            lambda: "nothing else" in service.refusal(f"/api/v1/namespaces/{ada}/secrets/x", secret("x")),
            "rights",
            SECONDS,
        )
        for where in (PLACE, "kube-system", f"{PREFIX}-of-others"):
            assert "namespaces that were made for users" in service.refusal(path_of_secret(where), good)
        assert "nothing else" in service.refusal(f"/api/v1/namespaces/{ada}", {}, "DELETE")
        assert service.refusal(path_of_secret(ada), good) == ""
    finally:
        service.server.kubectl("delete", "clusterrolebinding", "mistake-of-keys", check=True)


def test_labels_that_mark_users_are_those_of_the_rights() -> None:
    text = (CHART / "templates" / "_hub.tpl").read_text()
    assert all(f'"{label}": "{value}"' in text for label, value in OWNED.items())


def test_a_cluster_without_users_has_no_namespaces_of_users(api_server: ApiServer) -> None:
    """A list of metadata that finds nothing has null, and not an empty list, as its items."""
    connection = ApiConnection(config.new_client_from_config(str(api_server.kubeconfig)))
    query = {"labelSelector": "gozen.astro/nobody=true"}
    request = ApiRequest("GET", "/api/v1/namespaces", query, accept=META_ONLY)
    assert connection.answer(request)["items"] is None
    assert [page["items"] for page in connection.pages(request)] == [[]]
