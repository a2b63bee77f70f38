"""Read and write the account of a lab's user at the hub's service. The account is never in the home of the lab."""

from __future__ import annotations

import json
import os
from http import HTTPStatus
from typing import Any

import httpx

from gozen.errors import BadRequest, ClusterUnavailable
from gozen.sharing.account import Account
from gozen.sharing.login.kept_account import KeptAccount, account_of, local_account, text_of

URL = "GOZEN_NEXTCLOUD_ACCOUNTS_URL"
"""Environment variable with the address of the service; the hub sets it in labs."""
_TOKEN = "JUPYTERHUB_API_TOKEN"  # noqa: S105 - the name of the variable in which the hub gives a lab its token
_IN_A_POD = "KUBERNETES_SERVICE_HOST"
_PATH = "/services/nextcloud/account"
_PATIENCE_S = 30.0


class HubAccount:
    """A client of the hub's service for accounts, for one lab.

    Parameters
    ----------
    url
        Address of the service.
    token
        The token of this lab.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/") + _PATH
        self._token = token

    @property
    def place(self) -> str:
        """A description of the place where the account is kept, for messages."""
        return "the hub"

    def read(self) -> Account | None:
        """Return the account; None if none is kept.

        Raises
        ------
        ClusterUnavailable
            The service, the hub or the cluster cannot answer now.
        """
        found = self._ask("GET").get("account")
        return account_of(json.dumps(found), self.place) if found else None

    def write(self, account: Account) -> None:
        """Keep an account, which replaces the previous one; raises the errors of `read`."""
        self._ask("PUT", json.loads(text_of(account)))

    def forget(self) -> None:
        """Remove the account; nothing happens if none is kept. Raises the errors of `read`."""
        self._ask("DELETE")

    def _ask(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"token {self._token}"}
        try:
            # Without the proxy of the environment: the service is in the cluster, and the token is a secret.
            with httpx.Client(timeout=_PATIENCE_S, trust_env=False) as client:
                answer = client.request(method, self._url, headers=headers, json=body)
                found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ClusterUnavailable(
                f"the hub's service for accounts of Nextcloud does not answer ({error}); try again in a minute"
            ) from error
        found = found if isinstance(found, dict) else {}
        if answer.status_code == HTTPStatus.OK:
            return found
        raise _refusal(answer.status_code, str(found.get("message") or f"it answers {answer.status_code}"))


def kept_account() -> KeptAccount:
    """Return the place that keeps the account of this user: the hub in a lab, else this machine.

    Raises
    ------
    BadRequest
        This is a lab of a hub that keeps no accounts; a file in the home could be read by others.
    """
    url = os.environ.get(URL)
    if url:
        return HubAccount(url, os.environ.get(_TOKEN, ""))
    if os.environ.get(_TOKEN) and os.environ.get(_IN_A_POD):
        raise BadRequest(
            "this hub keeps no accounts of Nextcloud, and the home of a lab is not a safe place for a password: ask "
            "the administrator to set hub.nextcloud.enabled: true"
        )
    return local_account()


def _refusal(status: int, message: str) -> Exception:
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return BadRequest(message)
    if status == HTTPStatus.FORBIDDEN:
        return ClusterUnavailable(f"{message}: stop the lab on the hub's page and start it again")
    return ClusterUnavailable(f"the hub's service for accounts of Nextcloud: {message}; try again in a minute")
