"""Nextcloud's own log-in with the browser (login flow, version 2), which ends with an app password.

Gozen never sees the password of the user. It asks the server for an address, which the user opens in a browser, and
then checks every few seconds whether the user has agreed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from gozen.errors import CloudUnavailable, LogInRefused, RedirectRefused, UnexpectedAnswer
from gozen.sharing.account import Account, server_address
from gozen.sharing.answers import Answer
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.ocs_answers import value_at
from gozen.sharing.ocs_calls import OcsCalls

LIFETIME_S = 1200.0
"""Seconds for which the server keeps a log-in that has begun; from Nextcloud's documentation."""
POLL_S = 2.0
"""Seconds between two requests that check whether the user has agreed."""
_NOT_YET = frozenset({404})
_NOT_A_NEXTCLOUD = frozenset({400, 403, 404, 405, 501})
"""HTTP statuses of servers that are not a Nextcloud, often because the Nextcloud is at a path below the address."""


@dataclass(frozen=True)
class LogInBegun:
    """A log-in that has begun.

    Parameters
    ----------
    page
        The address that the user opens in a browser.
    endpoint, token
        Address and token of the requests that check whether the user has agreed; the token is a secret.
    """

    page: str
    endpoint: str
    token: str


class LogInFlow:
    """The log-in at one server.

    Parameters
    ----------
    connection
        A connection without an account: these requests are anonymous.
    device
        The name of the app password in the user's list of devices.
    wait, clock
        Waits for a number of seconds, and returns the time in seconds; tests replace them.
    """

    def __init__(
        self,
        connection: Connection,
        device: str,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection, self._device, self._wait, self._clock = connection, device, wait, clock
        self._url = connection.account.url

    def begin(self) -> LogInBegun:
        """Begin the log-in.

        Raises
        ------
        SharingError
            The server cannot be reached, or is not a Nextcloud.
        """
        answer = self._post(f"{self._url}/index.php/login/v2", {}, _NOT_A_NEXTCLOUD)
        return begun(answer, self._url)

    def finish(self, flow: LogInBegun, patience_s: float = LIFETIME_S) -> Account:
        """Wait until the user has agreed in the browser, and return the account.

        Raises
        ------
        LogInRefused
            The user did not agree in time.
        SharingError
            The server cannot be reached.
        """
        end = self._clock() + min(patience_s, LIFETIME_S)
        while True:
            failure: CloudUnavailable | None = None
            try:
                answer = self._post(flow.endpoint, {"token": flow.token}, _NOT_YET)
                if answer.is_good:
                    return granted(answer, self._url, insecure=self._connection.account.insecure)
            except CloudUnavailable as error:
                failure = error  # the user may be at the log-in page meanwhile
            if self._clock() + POLL_S > end:
                raise failure or LogInRefused(
                    f"cannot log in at {self._url}: nobody agreed in the browser within {patience_s / 60:.3g} minutes; "
                    "run `gozen share login` again, and open the address that it prints"
                )
            self._wait(POLL_S)

    def _post(self, url: str, form: dict[str, str], accept: frozenset[int]) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        headers["User-Agent"] = self._device
        return self._connection.request(
            "POST",
            url,
            subject=self._url,
            doing="log in at",
            headers=headers,
            body=urlencode(form).encode(),
            accept=accept,
            repeatable=False,
        )


def begun(answer: Answer, server: str) -> LogInBegun:
    """Return the log-in that the server has begun.

    Raises
    ------
    RedirectRefused
        The answer contains addresses of another server.
    UnexpectedAnswer
        The answer is not from a Nextcloud.
    """
    found = _json(answer.body)
    page, endpoint, token = (value_at(found, *names) for names in (("login",), ("poll", "endpoint"), ("poll", "token")))
    if not (isinstance(page, str) and isinstance(endpoint, str) and isinstance(token, str)):
        raise UnexpectedAnswer(
            f"cannot log in at {server}: it does not answer like a Nextcloud server; check the address, which may have "
            f"a path, such as {server}/cloud or {server}/nextcloud"
        )
    for address in (page, endpoint):
        _check_same_server(address, server)
    return LogInBegun(page, endpoint, token)


def granted(answer: Answer, server: str, *, insecure: bool = False) -> Account:
    """Return the account of a log-in to which the user has agreed; raises the errors of `begun`."""
    found = _json(answer.body)
    name, password, where = (value_at(found, key) for key in ("loginName", "appPassword", "server"))
    if not (isinstance(name, str) and isinstance(password, str) and name and password):
        raise UnexpectedAnswer(
            f"cannot log in at {server}: its answer has no app password; try again, or make an app password in "
            "Nextcloud's settings, in the part Security"
        )
    if isinstance(where, str) and where:
        _check_same_server(where if "://" in where else f"https://{where}", server)
    return Account(server, name, password, insecure=insecure)


def with_user_id(account: Account, connection: Connection) -> Account:
    """Return the account with the identifier of its user, which may differ from the name for logging in."""
    data = OcsCalls(connection).get("cloud/user", account.user, "read the account of")
    name = value_at(data, "id")
    return Account(account.url, account.user, account.password, str(name or account.user), account.insecure)


def _check_same_server(address: str, server: str) -> None:
    asked, named = (urlsplit(one) for one in (server_address(server, insecure=True), address))
    if (asked.scheme, asked.hostname, _port(asked)) != (named.scheme, named.hostname, _port(named)):
        there = f"{named.scheme}://{named.netloc.rpartition('@')[2]}"
        raise RedirectRefused(
            f"cannot log in at {server}: it sends the log-in to {there}; log in with that address if you trust it, or "
            "ask the administrator to set overwrite.cli.url, overwritehost and overwriteprotocol of Nextcloud"
        )


def _port(parts: Any) -> int | None:
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
