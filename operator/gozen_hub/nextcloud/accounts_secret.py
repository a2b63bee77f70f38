"""The Secret with the accounts of all users: read, and changed one entry at a time.

The chart makes the Secret. The service may read and change only this Secret, and may not make or delete Secrets. A
change is
a merge patch of one key, so that two labs at the same time do not overwrite each other.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from gozen.errors import ClusterUnavailable
from gozen_hub.nextcloud.account_entry import KeptAccount, account_in, entry_of, key_of
from gozen_operator.api_server.api_request import MERGE_PATCH, ApiRequest
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.api_server.responses import RefusedError


class AccountsSecret:
    """The Secret.

    Parameters
    ----------
    namespace, name
        Namespace and name of the Secret.
    """

    def __init__(self, connection: ApiConnection, namespace: str, name: str) -> None:
        self._connection = connection
        self._path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        self._what = f"the Secret {name} in {namespace}"

    def read(self, user: str) -> KeptAccount | None:
        """Return the account of a user; None if there is none.

        Raises
        ------
        ClusterUnavailable
            The API server does not answer, or the Secret is missing.
        """
        found = self._ask(ApiRequest("GET", self._path))
        return account_in(user, (found.get("data") or {}).get(key_of(user)))

    def write(self, user: str, account: KeptAccount) -> None:
        """Keep an account, which replaces the one before; raises the errors of `read`."""
        self._change(user, entry_of(user, account))

    def forget(self, user: str) -> None:
        """Remove the account of a user, if there is one; raises the errors of `read`."""
        self._change(user, None)

    def _change(self, user: str, value: str | None) -> None:
        self._ask(ApiRequest("PATCH", self._path, body={"data": {key_of(user): value}}, content=MERGE_PATCH))

    def _ask(self, request: ApiRequest) -> dict[str, Any]:
        try:
            return self._connection.answer(request)
        except RefusedError as refusal:
            if refusal.code == HTTPStatus.NOT_FOUND:
                raise ClusterUnavailable(
                    f"{self._what} is missing: ask the administrator to run `helm upgrade`, which makes it again"
                ) from refusal
            raise
