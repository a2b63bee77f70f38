"""``gozen-namespaces``: the process that makes users' namespaces."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from gozen.errors import GozenError
from gozen_hub.hub_settings import VARIABLE, read_hub_settings

PORT = 8080
_USAGE = f"""gozen-namespaces: makes the namespaces of the hub's users.

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

        from gozen_hub.namespaces.namespace_app import namespace_app
        from gozen_operator.api_server.connection import connect

        settings = read_hub_settings(Path(os.environ.get(VARIABLE, "/etc/gozen/hub.yaml")))
        app = namespace_app(connect(), settings.namespaces)
        uvicorn.run(app, host="0.0.0.0", port=PORT, access_log=False)  # noqa: S104 - a pod's Service
    except GozenError as error:
        print(f"gozen-namespaces: {error.name}: {error}", file=sys.stderr)  # noqa: T201 - the line that people read
        sys.exit(error.exit_code)
