"""Services and roles of the hub: two that end labs (idle ones, and ones that the hub does not know), and the portal."""

from __future__ import annotations

import os
import sys
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.utils import subdomain_hook_idna

from gozen.portal.shell.portal_settings import ACCESS
from gozen_hub.hub_settings import VARIABLE, HubSettings
from gozen_hub.machine_labs import free_port, keys_of_the_store

PORTAL = "portal"
CREDENTIALS = "credentials"
_CULLER = "idle-culler"
_ORPHANS = "orphan-labs"
HUB_PORT = 8081
"""Port of the hub in its pod."""
_API_IN_THE_POD = f"http://127.0.0.1:{HUB_PORT}/hub/api"


def services(settings: HubSettings, portal_token: str, credentials_token: str = "") -> list[dict[str, Any]]:
    """Return the services of the hub; the two tokens belong to services that run in separate pods."""
    found: list[dict[str, Any]] = [_portal(settings, portal_token)]
    if credentials_token:
        found.append({"name": CREDENTIALS, "api_token": credentials_token})
    if settings.idle.lab_s:
        command = [sys.executable, "-m", "jupyterhub_idle_culler"]
        times = [f"--timeout={settings.idle.lab_s}", f"--cull-every={settings.idle.check_s}"]
        # In a cluster not at the address for other pods: network policies do not let the hub reach itself there.
        here = [f"--url={_API_IN_THE_POD}"] if settings.where == "cluster" else []
        found.append({"name": _CULLER, "command": [*command, *times, *here]})
    if _ends_orphans(settings):
        command = [sys.executable, "-m", "gozen_hub.orphan_labs", _API_IN_THE_POD]
        # Only variables that are named here reach a process of the hub.
        names = (VARIABLE, "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG")
        given = {name: os.environ[name] for name in names if name in os.environ}
        found.append({"name": _ORPHANS, "command": command, "environment": given})
    return found


def roles(settings: HubSettings, credentials_token: str = "") -> list[dict[str, Any]]:
    """Return the roles of users and services; each role has only the rights that it needs."""
    user = {"name": "user", "scopes": ["self", f"access:services!service={PORTAL}"]}
    culler = {
        "name": _CULLER,
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": [_CULLER],
    }
    # The groups of users decide the level of their credentials.
    reader = {"name": CREDENTIALS, "scopes": ["list:users", "read:users:groups"], "services": [CREDENTIALS]}
    orphans = {"name": _ORPHANS, "scopes": ["list:users", "read:servers"], "services": [_ORPHANS]}
    return [
        user,
        *([culler] if settings.idle.lab_s else []),
        *([orphans] if _ends_orphans(settings) else []),
        *([reader] if credentials_token else []),
    ]


def _ends_orphans(settings: HubSettings) -> bool:
    # Without a name of its own, a hub could take the labs of another one for its own.
    return settings.where == "cluster" and bool(settings.namespaces.hub_account)


def portal_page(settings: HubSettings) -> str:
    """Return the address of the portal, which people see after log-in."""
    path = f"/services/{PORTAL}/"
    if not settings.user_hosts:
        return path
    parts = urlsplit(settings.public_url)
    host = subdomain_hook_idna(PORTAL, parts.hostname, "service")
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{path}"


def _portal(settings: HubSettings, token: str) -> dict[str, Any]:
    redirect = f"{portal_page(settings)}oauth_callback"
    common = {"name": PORTAL, "oauth_no_confirm": True, "oauth_redirect_uri": redirect, "display": False}
    if settings.portal_url:  # a pod of its own
        return {**common, "url": settings.portal_url, "api_token": token, "oauth_client_id": f"service-{PORTAL}"}
    environment = {
        **keys_of_the_store(settings),
        "GOZEN_ARCHIVE": settings.archive.url,
        **settings.archive.environment,
        "GOZEN_NOTEBOOKS": str(settings.notebooks),
        ACCESS: settings.access.model_dump_json(),
    }
    return {
        **common,
        "url": f"http://127.0.0.1:{free_port()}",
        "command": [sys.executable, "-m", "gozen.portal"],
        "environment": {name: value for name, value in environment.items() if value},
    }
