"""A real hub in front of an API server without a node, with the chart's rights, and with pages as users see them.

The service for namespaces and a Kubernetes scheduler are also real. The proxy of the hub and the kubelets are
simulated: nothing runs in the pods of labs. The scheduler takes only pods that name it, so it does not affect other
tests.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.free_ports import free_ports
from tests.services.hub_client import answers

from gozen_hub.namespaces.namespace_app import namespace_app

from .api_server import ApiServer
from .hub_person import Person
from .hub_surroundings import lab_server, proxy_server, serving
from .processes import Process, wait_until
from .tools import tool
from .users_release import LOGIN, VALUES, Users, users

ROOT = Path(__file__).parents[2]
PLACE, PREFIX, SCHEDULER = "dawn", "dawn-user", "dawn"
PASSWORD = "correct-horse"
ADMIN, ADMIN_PASSWORD = "taiyo", "correct-horse-battery-staple-of-the-sun"
SECONDS = 60
START_S = 12
"""Seconds after which a start counts as failed."""
PROFILES = [
    {"title": "Standard", "cpu": 1, "memory": "1G", "image": "lab:1"},
    {"title": "Huge", "cpu": 900, "cpu_guarantee": 900, "memory": "1G", "image": "lab:1"},
]


@dataclass(frozen=True)
class HubAlone:
    """The hub, and the cluster as an administrator sees it."""

    server: ApiServer
    users: Users
    url: str
    process: Process

    def person(self, name: str, password: str = PASSWORD) -> Person:
        """Return a user who has logged in."""
        return Person(self.url, name, password)

    def get(self, user: str, what: str) -> Any:
        """Return objects of a user's namespace."""
        words = ("get", what, "--namespace", f"{PREFIX}-{user}", "--output=json")
        return json.loads(self.server.kubectl(*words, check=True).stdout)

    def pods(self, user: str) -> list[Any]:
        """Return the pods of a user."""
        return list(self.get(user, "pods")["items"])


@contextmanager
def hub_alone(server: ApiServer, folder: Path, names: tuple[str, ...], start_s: int = START_S) -> Iterator[HubAlone]:
    """Start the hub for some users, and what it needs; a start of a lab counts as failed after `start_s` seconds."""
    hub_port, proxy_port, namespaces_port, lab_port = free_ports(4)
    settings = {"login": LOGIN, "namespaces": {"prefix": PREFIX}, "workers": {}}
    found = users(server, folder, PLACE, VALUES | {"hub": VALUES["hub"] | {"settings": settings}})
    for name, password in (("password", PASSWORD), ("admin", ADMIN_PASSWORD)):
        (folder / name).write_text(password)
    (folder / "token").write_text(found.token())
    test = {"users": [*names, ADMIN], "password_file": f"{folder}/password", "admin_password_file": f"{folder}/admin"}
    content = {
        "public_url": f"http://localhost:{hub_port}",
        "hub_url": f"http://localhost:{hub_port}",
        "proxy_api_url": f"http://127.0.0.1:{proxy_port}",
        "portal_url": f"http://127.0.0.1:{lab_port}",
        "user_hosts": False,
        "state": str(folder),
        "login": {"method": "test", "test": test, "admins": [ADMIN]},
        "lab": {"start_timeout_s": start_s, "profiles": PROFILES},
        "idle": {"lab_s": 0},
        "namespaces": {"prefix": PREFIX, "service_url": f"http://127.0.0.1:{namespaces_port}"},
    }
    (folder / "alone.yaml").write_text(yaml.safe_dump(content))
    with ExitStack() as stack:
        stack.enter_context(serving(namespace_app(found.account, found.settings), namespaces_port))
        stack.enter_context(proxy_server(proxy_port))
        stack.enter_context(lab_server(lab_port))
        process = _hub(server, folder, hub_port, lab_port)
        stack.callback(process.kill)
        scheduler = _scheduler(server, folder)
        stack.callback(scheduler.kill)
        url = f"http://localhost:{hub_port}"
        wait_until(lambda: answers(f"{url}/hub/health"), "the hub", SECONDS, [process, scheduler])
        yield HubAlone(server, found, url, process)


def _hub(server: ApiServer, folder: Path, port: int, lab_port: int) -> Process:
    changes = {
        "JupyterHub.hub_bind_url": f"http://127.0.0.1:{port}",
        "LabSpawner.port": lab_port,
        "LabSpawner.namespace_token_file": str(folder / "token"),
        "LabSpawner.scheduler_name": SCHEDULER,
    }
    lines = ["import gozen_hub.jupyterhub_config", "from traitlets.config import get_config", "c = get_config()"]
    lines += [f"c.{name} = {value!r}" for name, value in changes.items()]
    (folder / "alone.py").write_text("\n".join(lines))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("pipelines", "operator")),
        "KUBECONFIG": str(server.kubeconfig_of_service_account(PLACE, f"{PLACE}-gozen-hub")),
        "GOZEN_HUB_SETTINGS": str(folder / "alone.yaml"),
        "GOZEN_HUB_PORTAL_TOKEN": secrets.token_hex(32),
        "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(32),
    }
    command = [sys.executable, "-m", "jupyterhub", f"--config={folder / 'alone.py'}"]
    return Process("hub", command, folder / "hub.log", environment=environment)


def _scheduler(server: ApiServer, folder: Path) -> Process:
    """Start a scheduler for the labs of this hub."""
    content = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(server.kubeconfig)},
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": SCHEDULER}],
    }
    (folder / "scheduler.yaml").write_text(yaml.safe_dump(content))
    words = [tool("kube-scheduler"), f"--config={folder / 'scheduler.yaml'}", "--secure-port=0"]
    return Process("kube-scheduler", words, folder / "scheduler.log")
