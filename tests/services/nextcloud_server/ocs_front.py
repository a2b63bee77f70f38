"""The routes that do not serve files: OCS and the log-in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from .http import Environ, Reply, Request, Start
from .login_service import LoginService
from .ocs_service import OcsRequest, OcsService
from .people import People
from .share_book import ShareBook

_OCS = re.compile(r"^/ocs/v([12])\.php/(.+?)/?$")


class OcsApp:
    """Answers requests to OCS.

    Parameters
    ----------
    base
        Path of the server in its address.
    """

    def __init__(self, service: OcsService, people: People, base: str) -> None:
        self._service, self._people, self._base = service, people, base

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer as a WSGI application."""
        request: Request = environ["gozen.request"]
        found = _OCS.match(request.path)
        if found is None:
            return Reply(404, {"Content-Type": "text/html"}, b"<html>Page not found</html>").send(start)
        login, password = request.credentials()
        given = {name: str(value) for name, value in environ.items() if name.startswith("HTTP_")}
        asked = OcsRequest(
            method=request.method,
            path=found[2],
            version=int(found[1]),
            person=self._people.log_in(login, password),
            password=password,
            headers={name[5:].replace("_", "-").lower(): value for name, value in given.items()},
            address=address_of(environ, self._base),
            query=dict(parse_qsl(str(environ.get("QUERY_STRING", "")))),
            form=form_of(request),
        )
        answer = self._service.answer(asked)
        return Reply(answer.status, {"Content-Type": answer.content_type}, answer.body).send(start)


class LoginApp:
    """Answers requests of the log-in, which are anonymous."""

    def __init__(self, service: LoginService, base: str) -> None:
        self._service, self._base = service, base

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer as a WSGI application."""
        request: Request = environ["gozen.request"]
        self._service.shown |= {request.header("Authorization")} - {""}
        address, device = address_of(environ, self._base), request.header("User-Agent")
        found = self._service.answer(request.method, request.path, form_of(request), address, device)
        status, body = found or (404, b"<h1>Page not found</h1>")
        kind = "text/html" if body.startswith(b"<") else "application/json; charset=utf-8"
        return Reply(status, {"Content-Type": kind}, body).send(start)


class LinkApp:
    """Answers the addresses of public links with a page."""

    def __init__(self, book: ShareBook) -> None:
        self._book = book

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer as a WSGI application."""
        request: Request = environ["gozen.request"]
        known = request.path.removeprefix("/s/") in {one.token for one in self._book.items if one.token}
        body = b"<html>a shared file</html>" if known else b"<html>Share not found</html>"
        return Reply(200 if known else 404, {"Content-Type": "text/html"}, body).send(start)


def address_of(environ: Environ, base: str) -> str:
    """Return the address of the server as the client wrote it."""
    return f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}{base}"


def form_of(request: Request) -> dict[str, str]:
    """Return the fields of the form in a request."""
    return dict(parse_qsl(request.body.read(request.length).decode(), keep_blank_values=True))
