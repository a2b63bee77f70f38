"""``gozen-workers``: the process that makes users' Dask clusters."""

from __future__ import annotations

from gozen_hub.hub_settings import HubSettings
from gozen_hub.service_process import listen, run_service


def main() -> None:
    """Serve until SIGTERM."""
    run_service("gozen-workers", "makes the Dask workers of the hub's users", _serve)


def _serve(settings: HubSettings) -> None:
    from gozen_hub.workers.workers_app import workers_app
    from gozen_operator.api_server.connection import connect

    listen(workers_app(connect(), settings))
