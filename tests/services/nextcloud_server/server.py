"""Run the server in a thread: map addresses to parts, and authenticate users."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter

from gozen.sharing.account import Account

from .chunks import ChunkedUploads
from .dav import dav_app
from .faults import Faulty
from .http import App, Environ, Refused, Reply, Request, Start, refusal
from .state import State
from .writes import check_quota, check_unlocked, compute_checksum, put_file

_THREADS = 12
_FOLDER = 4096
"""Bytes of the quota that Nextcloud asks for a folder."""


class NextcloudServer:
    """A Nextcloud for tests; a context manager.

    Parameters
    ----------
    root
        Folder for what it keeps.
    users
        App passwords by user id.
    base
        Path of the server in its address, such as ``/cloud``.
    tls
        Certificate and key, for https.
    address
        IP address at which it listens.
    """

    def __init__(
        self,
        root: Path,
        users: Mapping[str, str] = {"anna": "anna-app-password", "berta": "berta-app-password"},
        *,
        base: str = "",
        tls: tuple[Path, Path] | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.state = State(root, dict(users))
        self.base, self._dav_base = base, f"{base}/remote.php/dav"
        self.uploads = ChunkedUploads(self.state, self._dav_base)
        self._dav = dav_app(self.state, self._dav_base)
        self.routes: list[tuple[str, App]] = [("/remote.php/dav", self._answer_dav)]
        """Which application answers paths that begin with a text; the first one that fits."""
        self.faults = Faulty(self._dispatch)
        self._server = wsgi.Server((address, 0), self.faults, numthreads=_THREADS, timeout=60, shutdown_timeout=1)
        self._server.gateway = _Gateway
        self._server.expiration_interval = 0.02  # also the time that it takes to stop
        self._server.error_log = lambda *_, **__: None
        if tls is not None:
            self._server.ssl_adapter = BuiltinSSLAdapter(str(tls[0]), str(tls[1]))
        self._scheme = "https" if tls else "http"

    def __enter__(self) -> NextcloudServer:
        self._server.prepare()
        threading.Thread(target=self._server.serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.released.set()
        self._server.stop()

    @property
    def port(self) -> int:
        """Its port."""
        return int(self._server.bind_addr[1])

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self._scheme}://{self._server.bind_addr[0]}:{self.port}{self.base}"

    def account(self, user: str = "anna") -> Account:
        """Return the account of a user."""
        return Account(self.url, user, self.state.users[user])

    def _dispatch(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"].encode("latin-1").decode()
        if not path.startswith(f"{self.base}/"):
            return refusal(404, "The page could not be found on the server.").send(start)
        request = Request(environ, path.removeprefix(self.base))
        environ["gozen.request"] = request
        for prefix, app in self.routes:
            if request.path.startswith(prefix):
                return app(environ, start)
        return Reply(404, {"Content-Type": "text/html"}, b"<html>The page could not be found</html>").send(start)

    def user_of(self, request: Request) -> str:
        """Return who has sent a request; refuse it with 401 if the password is wrong."""
        user, password = request.credentials()
        if not user or self.state.users.get(user) != password:
            raise Refused(
                401,
                "No public access to this resource., Username or password was incorrect, No 'Authorization: Bearer' "
                "header found. Either the client didn't send one, or the server is mis-configured",
                WWW_Authenticate='Basic realm="Nextcloud", charset="UTF-8"',
            )
        return user

    def _answer_dav(self, environ: Environ, start: Start) -> Iterable[bytes]:
        request: Request = environ["gozen.request"]
        try:
            user = self.user_of(request)
            kind, owner, path = [*request.path.removeprefix("/remote.php/dav/").split("/", 2), "", ""][:3]
            reply = self._own(request, user, kind if owner == user else "", path)
        except Refused as refused:
            reply = refused.reply
        if reply is not None:
            return reply.send(start)
        environ["wsgidav.auth.user_name"] = user
        environ["SCRIPT_NAME"] = self._dav_base
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(self._dav_base)
        return self._dav(environ, start)

    def _own(self, request: Request, user: str, kind: str, path: str) -> Reply | None:
        """Answer what wsgidav does differently from Nextcloud; None for all other requests."""
        if kind not in ("files", "uploads"):
            raise Refused(404, f"File not found: {request.path}")
        if kind == "uploads":
            return self.uploads.handle(request, user, path)
        if request.method == "PUT":
            return put_file(self.state, request, user, path)
        if request.method in ("DELETE", "MOVE", "MKCOL", "PROPPATCH"):
            check_unlocked(self.state, user, self.state.file(user, path))
        if request.method == "MKCOL" and self.state.file(user, path).parent.is_dir():
            check_quota(self.state, user, _FOLDER)  # also if the folder exists
        if request.method == "PATCH":
            return compute_checksum(self.state, request, self.state.file(user, path))
        return None


class _Gateway(wsgi.Gateway_10):
    def get_environ(self) -> dict[str, Any]:
        return {**super().get_environ(), "gozen.socket": self.req.conn.socket}
