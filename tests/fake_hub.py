"""A small HTTP server that takes the place of JupyterHub in the tests of the portal.

It exchanges codes for tokens, returns the user of a token, and has the page to which a browser is redirected for
log-in.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

SECRET = "secret-of-the-service"
SCOPE = "access:services!service=portal"


@dataclass
class FakeHub:
    """What the hub knows, and what it was asked.

    Parameters
    ----------
    users
        The name of the user of each token.
    groups
        The groups of each user.
    scopes
        Scopes of all users.
    log_in_as
        The user whom the log-in page logs in.
    broken
        Whether each answer is an internal error.
    replaced
        Whether a proxy answers in place of the hub, with a page of its own.
    """

    url: str = ""
    users: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    scopes: list[str] = field(default_factory=lambda: [SCOPE])
    log_in_as: str = "hoshi"
    broken: bool = False
    replaced: bool = False
    asked: list[str] = field(default_factory=list)
    challenges: dict[str, str] = field(default_factory=dict)

    def forget(self) -> None:
        """Forget all that has happened."""
        vars(self).update(vars(FakeHub(self.url)))

    def begin(self, address: str) -> str:
        """Log in at the page to which the portal has sent the browser; return the address to which it goes back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{secrets.token_hex(8)}"
        self.challenges[code] = asked["code_challenge"]
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str]) -> str | None:
        """Return the token for a code, once; None if the client or its proof is wrong."""
        challenge = self.challenges.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if challenge != base64.urlsafe_b64encode(digest).rstrip(b"=").decode() or form["client_secret"] != SECRET:
            return None
        token = f"token-{secrets.token_hex(8)}"
        self.users[token] = self.log_in_as
        return token


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Run the server on a free port."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            hub.asked.append(path)
            if hub.broken:
                self._answer(500, {"message": "the database is gone"})
            elif path == "/hub/api/user":
                name = hub.users.get(self.headers["Authorization"].removeprefix("token "))
                model = {"name": name, "kind": "user", "scopes": hub.scopes, "groups": hub.groups.get(name or "", [])}
                self._answer(200, model) if name else self._answer(403, {})
            elif path == "/hub/api/oauth2/authorize":
                self._answer(302, {}, Location=hub.begin(self.path))
            else:
                self._answer(200, {"page": path})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            token = None if hub.broken else hub.token({name: values[0] for name, values in parse_qs(body).items()})
            if hub.broken:
                self._answer(500, {})
            elif token is None:
                self._answer(400, {"error": "invalid_grant"})
            else:
                self._answer(200, {"access_token": token, "token_type": "Bearer"})

        def _answer(self, status: int, content: dict[str, Any], **headers: str) -> None:
            body = b"<html>" if hub.replaced else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
