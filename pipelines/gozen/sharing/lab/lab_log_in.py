"""One log-in at Nextcloud in a thread: the page that the user opens, and whether the user has agreed."""

from __future__ import annotations

import threading
from typing import Any

from gozen.errors import GozenError
from gozen.settings import SharingSettings
from gozen.sharing.account import Account
from gozen.sharing.cloud import ATTEMPTS_BY_HAND, connection_for
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.login.log_in import Connecting, log_in
from gozen.sharing.pauses import Stopped

_PAGE_S = 60.0
"""Seconds to wait for the address of the log-in page; if the server is silent, an error comes earlier."""


class LabLogIn:
    """A log-in that waits for the user in a thread.

    Parameters
    ----------
    settings
        Settings of the connection.
    url
        Address of the server.
    """

    def __init__(self, settings: SharingSettings, url: str) -> None:
        self._settings, self._url = settings, url
        self._stop, self._known = threading.Event(), threading.Event()
        self._state: dict[str, Any] = {"state": "waiting", "page": ""}

    def start(self) -> dict[str, Any]:
        """Begin, and return the state as soon as the page of the server is known."""
        threading.Thread(target=self._run, name="log-in", daemon=True).start()
        self._known.wait(_PAGE_S)
        return self._state

    def stop(self) -> None:
        """Do not wait for the user any longer."""
        self._stop.set()

    def seen(self) -> dict[str, Any]:
        """Return the state: ``waiting`` with the page, ``done``, ``stopped``, or ``failed`` with a message."""
        return self._state

    def _run(self) -> None:
        try:
            log_in(self._url, self._show, connecting=self._connecting(), insecure=self._settings.insecure)
            self._state = {"state": "done"}
        except Stopped:
            self._state = {"state": "stopped"}
        except GozenError as error:
            self._state = {"state": "failed", "error": error.name, "message": str(error)}
        finally:
            self._known.set()

    def _show(self, page: str) -> None:
        self._state = {"state": "waiting", "page": page}
        self._known.set()

    def _connecting(self) -> Connecting:
        def connect(account: Account, *, log_in: bool = True) -> Connection:
            connection = connection_for(account, self._settings, ATTEMPTS_BY_HAND, log_in=log_in)
            # The app password that was just made must be kept or revoked, so this part is not stopped.
            return connection if log_in else connection.stoppable(self._stop)

        return connect
