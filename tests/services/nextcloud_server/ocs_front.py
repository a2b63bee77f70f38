"""The part of the Nextcloud server of the tests that is not WebDAV, as a WSGI application: OCS and the log-in."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.services.nextcloud_server.login_service import LoginService
from tests.services.nextcloud_server.ocs_service import OcsRequest, OcsService
from tests.services.nextcloud_server.people import People, Person, Rules
from tests.services.nextcloud_server.share_book import ShareBook

_OCS = re.compile(r"^/ocs/v([12])\.php/(.+?)/?$")
Environ = Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """Status, headers and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class OcsFront:
    """Answers the requests that are not about files.

    Parameters
    ----------
    kind_of
        Returns ``file``, ``folder`` or None for a user and a path that begins with a slash.
    """

    people: People
    kind_of: Callable[[str, str], str | None]
    rules: Rules = field(default_factory=Rules)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.book = ShareBook(self.people, self.rules, lambda user, path: self.kind_of(user, path))
        self.login = LoginService(self.people)
        self._ocs = OcsService(self.people, self.rules, self.book)

    def reply(self, environ: Environ) -> Reply | None:
        """Return the answer to a request; None if it is about files."""
        path, method = str(environ.get("PATH_INFO", "")), str(environ["REQUEST_METHOD"])
        ocs = _OCS.match(path)
        if ocs is None and "/login/v2" not in path:
            return None
        self.asked.append((method, path))
        address = address_of(environ)
        form = dict(parse_qsl(_body(environ).decode(), keep_blank_values=True))
        if ocs is None:
            device = str(environ.get("HTTP_USER_AGENT", ""))
            found = self.login.answer(method, path, form, address, device)
            status, body = found or (404, b"<h1>Page not found</h1>")
            kind = "text/html" if body.startswith(b"<") else "application/json; charset=utf-8"
            return Reply(status, {"Content-Type": kind}, body)
        person, password = logged_in(environ, self.people)
        query = dict(parse_qsl(str(environ.get("QUERY_STRING", ""))))
        headers = {
            name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name[:5] == "HTTP_"
        }
        request = OcsRequest(method, ocs[2], int(ocs[1]), person, password, headers, address, query, form)
        answer = self._ocs.answer(request)
        return Reply(answer.status, {"Content-Type": answer.content_type}, answer.body)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer as a WSGI application; what is about files is not found."""
        reply = self.reply(environ) or Reply(404, {"Content-Type": "text/html"}, b"<h1>Page not found</h1>")
        start_response(f"{reply.status} .", [*reply.headers.items(), ("Content-Length", str(len(reply.body)))])
        return [reply.body]


def logged_in(environ: Environ, people: People) -> tuple[Person | None, str]:
    """Return who is logged in by the header of a request, and the password; None if nobody is."""
    kind, _, coded = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if kind.lower() != "basic":
        return None, ""
    login, _, password = base64.b64decode(coded).decode().partition(":")
    return people.log_in(login, password), password


def address_of(environ: Environ) -> str:
    """Return the address of the server as the client wrote it, with the path under which it is mounted."""
    return f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}{environ.get('SCRIPT_NAME', '')}"


def _body(environ: Environ) -> bytes:
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
