"""``gozen-workers``: the process that makes users' Dask clusters."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from gozen.errors import GozenError
from gozen_hub.hub_settings import VARIABLE, read_hub_settings

PORT = 8080
_USAGE = f"""gozen-workers: makes the Dask workers of the hub's users.

{VARIABLE} is the path of the hub's settings file. It runs in a pod of the cluster, or anywhere with KUBECONFIG.
"""


def main() -> None:
    """Serve until SIGTERM."""
    if len(sys.argv) > 1:
        print(_USAGE)  # noqa: T201 - that is what was asked for
        sys.exit(0 if sys.argv[1] in ("--help", "-h") else 64)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        import uvicorn

        from gozen_hub.workers.workers_app import workers_app
        from gozen_operator.api_server.connection import connect

        settings = read_hub_settings(Path(os.environ.get(VARIABLE, "/etc/gozen/hub.yaml")))
        uvicorn.run(workers_app(connect(), settings), host="0.0.0.0", port=PORT, access_log=False)  # noqa: S104 - a pod's Service
    except GozenError as error:
        print(f"gozen-workers: {error.name}: {error}", file=sys.stderr)  # noqa: T201 - the line that people read
        sys.exit(error.exit_code)
