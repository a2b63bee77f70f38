"""``gozen-credentials``: the process that renews the credentials of labs and workers."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

from gozen.errors import BadRequest, GozenError
from gozen_hub.hub_settings import VARIABLE, HubSettings, read_hub_settings

PORT = 8080
TOKEN = "GOZEN_HUB_CREDENTIALS_TOKEN"  # noqa: S105 - the name of a variable
"""Environment variable with the token for the hub; needed if members are named by their groups."""
_SILENCE_S = 600.0
_USAGE = f"""gozen-credentials: renews the read-only credentials of the hub's users.

{VARIABLE} is the path of the hub's settings file. It runs in a pod of the cluster, or anywhere with KUBECONFIG.
"""


def main() -> None:
    """Renew, and serve health and metrics, until SIGTERM."""
    if len(sys.argv) > 1:
        print(_USAGE)  # noqa: T201 - that is what was asked for
        sys.exit(0 if sys.argv[1] in ("--help", "-h") else 64)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        _serve(read_hub_settings(Path(os.environ.get(VARIABLE, "/etc/gozen/hub.yaml"))))
    except GozenError as error:
        print(f"gozen-credentials: {error.name}: {error}", file=sys.stderr)  # noqa: T201 - the line that people read
        sys.exit(error.exit_code)


def _serve(settings: HubSettings) -> None:
    import uvicorn

    from gozen_hub.credentials.cluster import UserNamespaces
    from gozen_hub.credentials.credentials_metrics import CredentialMetrics
    from gozen_hub.credentials.key_sources import key_source
    from gozen_hub.credentials.renewal import Renewal
    from gozen_hub.credentials.user_groups import HubGroups
    from gozen_operator.api_server.connection import connect

    token = os.environ.get(TOKEN, "")
    if settings.access.groups and not token:
        raise BadRequest(
            f"access.groups names groups, which are read from the hub with a token: set the variable {TOKEN}"
        )
    groups = HubGroups(settings.hub_url, token).read if settings.access.groups else None
    metrics = CredentialMetrics(_SILENCE_S + settings.credentials.check_s)
    cluster = UserNamespaces(connect(), settings.namespaces.prefix)
    source = key_source(settings)
    renewal = Renewal(cluster, source, settings.access.members, groups, metrics, settings.credentials.check_s)
    # The thread ends with the process. If it ends before, no round ends any more, and the kubelet starts the pod again.
    threading.Thread(target=renewal.run, daemon=True).start()
    uvicorn.run(metrics.app(), host="0.0.0.0", port=PORT, access_log=False)  # noqa: S104 - the kubelet's probes
