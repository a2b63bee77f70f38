"""``gozen-nextcloud-accounts``: the process that keeps users' app passwords for Nextcloud."""

from __future__ import annotations

from gozen.errors import BadRequest
from gozen_hub.hub_settings import HubSettings
from gozen_hub.service_process import listen, run_service


def main() -> None:
    """Serve until SIGTERM."""
    run_service("gozen-nextcloud-accounts", "keeps the app passwords of the hub's users for Nextcloud", _serve)


def _serve(settings: HubSettings) -> None:
    from gozen_hub.nextcloud.accounts_app import accounts_app
    from gozen_hub.nextcloud.accounts_secret import AccountsSecret
    from gozen_operator.api_server.connection import connect

    namespace, _, name = settings.nextcloud.secret.partition("/")
    if not name:
        raise BadRequest(
            "nextcloud.secret is empty: set hub.nextcloud.enabled in the values of the chart; without the chart, write "
            "the Secret with the accounts as namespace/name"
        )
    listen(accounts_app(AccountsSecret(connect(), namespace, name), settings.hub_url))
