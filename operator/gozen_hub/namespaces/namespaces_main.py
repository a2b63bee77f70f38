"""``gozen-namespaces``: the process that makes users' namespaces."""

from __future__ import annotations

from gozen_hub.hub_settings import HubSettings
from gozen_hub.service_process import listen, run_service


def main() -> None:
    """Serve until SIGTERM."""
    run_service("gozen-namespaces", "makes the namespaces of the hub's users", _serve)


def _serve(settings: HubSettings) -> None:
    from gozen_hub.namespaces.namespace_app import namespace_app
    from gozen_operator.api_server.connection import connect

    listen(namespace_app(connect(), settings))
