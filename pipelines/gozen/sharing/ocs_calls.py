"""Calls of Nextcloud's OCS interface over a connection: with JSON, and with refusals that the caller can explain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from gozen.sharing.answers import Answer, ocs_data
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.ocs_answers import OcsRefusal, refusal_of

_EXPLAINED = frozenset({400, 403, 404})
"""Statuses with which the server refuses a share; only their meaning depends on the request."""
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


class OcsCalls:
    """The calls of one account.

    Parameters
    ----------
    connection
        The connection to the server.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._account = connection.account

    def get(self, path: str, subject: str, doing: str) -> Any:
        """Return the data of a call that changes nothing; raises `SharingError`."""
        answer = self._send("GET", path, subject, doing)
        return ocs_data(answer, subject, doing, self._account.user)

    def tried(
        self,
        method: str,
        path: str,
        subject: str,
        doing: str,
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Any | OcsRefusal:
        """Return the data of a call, or the server's refusal, which the caller explains.

        Raises
        ------
        SharingError
            The server cannot be reached, does not accept the log-in, or its answer is not one of OCS.
        """
        answer = self._send(method, path, subject, doing, query, form, accept=_EXPLAINED)
        refusal = refusal_of(answer)
        if refusal is not None and not refusal.is_logged_out:
            return refusal
        return ocs_data(answer, subject, doing, self._account.user)

    def _send(
        self,
        method: str,
        path: str,
        subject: str,
        doing: str,
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        accept: frozenset[int] = frozenset(),
    ) -> Answer:
        url = f"{self._account.ocs(path)}?{urlencode({**(query or {}), 'format': 'json'}, quote_via=quote)}"
        body = urlencode(form or {}, quote_via=quote).encode()
        headers = _FORM if form is not None else {"Accept": "application/json"}
        return self._connection.request(
            method, url, subject=subject, doing=doing, headers=headers, body=body, accept=accept
        )
