"""``gozen-credentials``: the process that renews the credentials of labs and workers."""

from __future__ import annotations

import os
import threading

from gozen.errors import BadRequest
from gozen_hub.hub_settings import HubSettings
from gozen_hub.service_process import listen, run_service

TOKEN = "GOZEN_HUB_CREDENTIALS_TOKEN"  # noqa: S105 - the name of a variable
"""Environment variable with the token for the hub; needed if members are named by their groups."""
_SILENCE_S = 600.0


def main() -> None:
    """Renew, and serve health and metrics, until SIGTERM."""
    run_service("gozen-credentials", "renews the read-only credentials of the hub's users", _serve)


def _serve(settings: HubSettings) -> None:
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
    cluster = UserNamespaces(connect(), settings.namespaces.prefix, settings.namespaces.hub_account)
    source = key_source(settings)
    renewal = Renewal(cluster, source, settings.access.members, groups, metrics, settings.credentials.check_s)
    # The thread ends with the process. If it ends before, no round ends any more, and the kubelet starts the pod again.
    threading.Thread(target=renewal.run, daemon=True).start()
    listen(metrics.app())
