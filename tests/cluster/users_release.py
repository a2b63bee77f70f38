"""The chart's rights of the hub on an API server, and the service for namespaces with its own account."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml
from fastapi.testclient import TestClient
from kubernetes import config

from gozen_hub.hub_settings import HubSettings, read_hub_settings
from gozen_hub.namespaces.namespace_app import AUDIENCE, namespace_app
from gozen_operator.api_server.api_request import APPLY_PATCH, ApiRequest
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.api_server.responses import RefusedError

from .api_server import ApiServer
from .processes import wait_until

CHART = Path(__file__).parents[2] / "charts" / "gozen"
PLACE = "science"
"""Namespace of the release."""
NAME = "science-gozen"
LOGIN = {"method": "test", "test": {"users": ["ada"], "password_file": "/etc/gozen/login/password"}}
VALUES: dict[str, Any] = {
    "archive": {"url": "s3://sky/archive"},
    "hub": {"enabled": True, "publicUrl": "https://sky.example.org", "settings": {"login": LOGIN}},
}
SECONDS_TO_ENFORCE = 60
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Users:
    """The service for namespaces of the release in the namespace `place`, as the hub and as an intruder see it."""

    place: str
    server: ApiServer
    settings: HubSettings
    account: ApiConnection
    http: TestClient

    def token(self, account: str = "", *words: str) -> str:
        """Return a token of a service account of the release, by default as the kubelet makes it for the hub."""
        words = (account or f"{self.place}-gozen-hub", "-n", self.place, *(words or (f"--audience={AUDIENCE}",)))
        return self.server.kubectl("create", "token", *words, check=True).stdout.strip()

    def ask(self, name: str, user: str, token: str | None = None) -> tuple[int, str]:
        """Ask the service for a namespace; return the status and what it says."""
        bearer = {"Authorization": f"Bearer {self.token() if token is None else token}"}
        answer = self.http.put(f"/namespaces/{name}", json={"user": user}, headers=bearer)
        return answer.status_code, answer.json()["message"]

    def get(self, kind: str, *words: str) -> Any:
        """Return objects as the administrator sees them."""
        return json.loads(self.server.kubectl("get", kind, *words, "--output=json", check=True).stdout)

    def exists(self, name: str) -> bool:
        """Whether there is such a namespace."""
        return self.server.kubectl("get", "namespace", name).returncode == 0

    def refusal(self, path: str, manifest: Manifest, method: str = "PATCH") -> str:
        """Return why the API server refuses a write by the account of the service; empty if it would not."""
        query = {"dryRun": "All"} | ({"fieldManager": "intruder", "force": "true"} if method == "PATCH" else {})
        content = APPLY_PATCH if method == "PATCH" else "application/json"
        try:
            self.account.answer(ApiRequest(method, path, query, manifest, content))
        except RefusedError as refusal:
            return str(refusal)
        return ""


def users(server: ApiServer, folder: Path, place: str = PLACE, values: Manifest = VALUES) -> Users:
    """Apply the chart's rights, and start the service with the settings that the chart writes."""
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(values, name=place, namespace=place)
    parts = {Path(path).name: text for path, text in texts.items()}
    server.kubectl("create", "namespace", place, check=True)
    server.kubectl("apply", "-f", "-", stdin=parts["hub-rights.yaml"], check=True)
    written, *_ = yaml.safe_load_all(parts["hub-settings.yaml"])
    path = folder / "hub.yaml"
    path.write_text(written["data"]["hub.yaml"])
    settings = read_hub_settings(path)
    kubeconfig = server.kubeconfig_of_service_account(place, f"{place}-gozen-namespaces")
    account = ApiConnection(config.new_client_from_config(str(kubeconfig)))
    found = Users(place, server, settings, account, TestClient(namespace_app(account, settings)))
    anywhere = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "anywhere"}}

    def enforced() -> bool:
        return "names begin with" in found.refusal("/api/v1/namespaces/anywhere", anywhere)

    wait_until(enforced, "the admission policy", SECONDS_TO_ENFORCE)
    return found


def forget(found: Users) -> None:
    """Delete what a release has outside its namespace."""
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy", "clusterrolebinding", "clusterrole"):
        found.server.kubectl("delete", kind, "--selector", f"app.kubernetes.io/instance={found.place}", check=True)
