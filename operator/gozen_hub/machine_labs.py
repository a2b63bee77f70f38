"""Labs as processes of one machine, for a small group without Kubernetes."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_pods import lab_environment


def machine_traits(settings: HubSettings) -> dict[str, Any]:
    """Return the configuration of the spawner of local processes.

    With accounts of this machine (log-in method ``system``) each lab runs as its user. With the test log-in all labs
    run as the user who started the hub, and are not protected from each other.
    """
    home = settings.state / "homes" / "{username}"
    return {
        "cmd": [sys.executable, "-m", "gozen_hub.start_lab"],
        "environment": lab_environment(settings),
        "env_keep": ["PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "GOZEN_CACHE"],
        "start_timeout": settings.lab.start_timeout_s,
        "http_timeout": settings.lab.start_timeout_s,
        "notebook_dir": "~",
        # Only the test log-in lets labs run as root; with accounts each lab runs as its user.
        "args": ["--allow-root"] if settings.login.method != "system" and os.geteuid() == 0 else [],
        **({} if settings.login.method == "system" else {"home_dir_template": str(home)}),
    }


def machine_spawner(settings: HubSettings) -> str:
    """Return the name of the spawner."""
    return "localprocess" if settings.login.method == "system" else "simple"


def check_machine(settings: HubSettings) -> str:
    """Return a warning for the operator about what this hub does not protect; empty if there is none."""
    if settings.login.method != "system":
        return (
            "all labs run as one system user: each person can read the files of all others. "
            "Use this only for tests, or among people who trust each other"
        )
    return "" if os.geteuid() == 0 else "labs of other users can start only if the hub runs as root"


def prepare_state(folder: Path) -> None:
    """Make the folder of the hub's database; only its owner may read it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
