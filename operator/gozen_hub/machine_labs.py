"""Labs as processes of one machine, for a small group without Kubernetes."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import Any

from gozen.errors import BadRequest
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
        "environment": {"PATH": search_path(), **keys_of_the_store(settings), **lab_environment(settings)},
        "env_keep": ["LANG", "LC_ALL", "SSL_CERT_FILE", "GOZEN_CACHE"],
        "start_timeout": settings.lab.start_timeout_s,
        "http_timeout": settings.lab.start_timeout_s,
        "notebook_dir": "~",
        # Only the test log-in lets labs run as root; with accounts each lab runs as its user.
        "args": ["--allow-root"] if settings.login.method == "test" and os.geteuid() == 0 else [],
        **({"home_dir_template": str(home)} if settings.login.method == "test" else {}),
    }


def search_path() -> str:
    """Return the PATH of labs, with the folder of Gozen's own environment first: it need not be activated."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def machine_spawner(settings: HubSettings) -> str:
    """Return the name of the spawner."""
    return "simple" if settings.login.method == "test" else "localprocess"


def keys_of_the_store(settings: HubSettings) -> dict[str, str]:
    """Return the variables with which the hub's own account reads the object store; only for the test log-in.

    With the test log-in, labs run under the hub's own account, so they could read its files in any case. With accounts,
    the hub runs as root, and a lab must not get root's keys.
    """
    if settings.login.method != "test" or "://" not in settings.archive.url:
        return {}
    found = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    file = Path.home() / ".aws" / "credentials"  # a lab has another home
    return {"AWS_SHARED_CREDENTIALS_FILE": str(file), **found} if file.exists() else found


def check_machine(settings: HubSettings) -> str:
    """Return a warning about what this hub does not protect, for the person who runs it; empty if there is none."""
    if settings.login.method != "system":
        return (
            "all labs run as one system user: each person can read the files of all others. "
            "Use this only for tests, or among people who trust each other"
        )
    return "" if os.geteuid() == 0 else "labs of other users can start only if the hub runs as root"


def prepare_state(folder: Path) -> None:
    """Make the folder of the hub's database; only the owner of the folder may read it."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def hold_state(folder: Path) -> None:
    """Lock the folder for this process; the lock survives `exec`, so the hub that this process then runs keeps it.

    Two hubs would write one database, and each would overwrite the other's routes.

    Raises
    ------
    BadRequest
        Another hub uses the folder.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise BadRequest(f"another hub uses the folder {folder}; end it, or choose another folder (--state)") from error
    os.set_inheritable(descriptor, True)


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
