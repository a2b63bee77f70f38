"""The process of a service of the hub in its own pod: command line, settings, log, and errors as one line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gozen.errors import GozenError
from gozen_hub.hub_settings import VARIABLE, HubSettings, read_hub_settings

PORT = 8080
"""Port at which each service listens in its pod."""


def run_service(name: str, task: str, serve: Callable[[HubSettings], None]) -> None:
    """Read the settings and serve until SIGTERM; exit with the code of an error of `gozen.errors`.

    Parameters
    ----------
    name
        The command, such as ``gozen-workers``.
    task
        What it does, for ``--help``.
    """
    if len(sys.argv) > 1:
        usage = f"{name}: {task}.\n\n{VARIABLE} is the path of the hub's settings file. "
        print(f"{usage}It runs in a pod of the cluster, or anywhere with KUBECONFIG.\n")  # noqa: T201 - that was asked for
        sys.exit(0 if sys.argv[1] in ("--help", "-h") else 64)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        serve(read_hub_settings(Path(os.environ.get(VARIABLE, "/etc/gozen/hub.yaml"))))
    except GozenError as error:
        print(f"{name}: {error.name}: {error}", file=sys.stderr)  # noqa: T201 - the line that people read
        sys.exit(error.exit_code)


def listen(app: Any) -> None:
    """Serve an ASGI application to the other pods until SIGTERM."""
    import uvicorn

    uvicorn.run(app, host="0.0.0.0", port=PORT, access_log=False)  # noqa: S104 - a pod's Service
