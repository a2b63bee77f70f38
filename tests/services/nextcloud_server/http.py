"""Small parts of WSGI: a request, an answer, and the errors of Nextcloud's WebDAV server."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

Environ = dict[str, Any]
Start = Callable[..., Any]
App = Callable[[Environ, Start], Iterable[bytes]]

_NAMES = {
    400: "Sabre\\DAV\\Exception\\BadRequest",
    401: "Sabre\\DAV\\Exception\\NotAuthenticated",
    403: "Sabre\\DAV\\Exception\\Forbidden",
    404: "Sabre\\DAV\\Exception\\NotFound",
    405: "Sabre\\DAV\\Exception\\MethodNotAllowed",
    409: "Sabre\\DAV\\Exception\\Conflict",
    412: "Sabre\\DAV\\Exception\\PreconditionFailed",
    423: "OCA\\DAV\\Connector\\Sabre\\Exception\\FileLocked",
    429: "OCP\\Security\\RateLimiting\\IRateLimitExceededException",
    503: "Sabre\\DAV\\Exception\\ServiceUnavailable",
    507: "Sabre\\DAV\\Exception\\InsufficientStorage",
}
INVALID_PATH = "OCA\\DAV\\Connector\\Sabre\\Exception\\InvalidPath"
"""The error for a name that the server does not keep; its status is 400."""


@dataclass
class Request:
    """A request.

    Parameters
    ----------
    path
        Path below the server's address, decoded.
    """

    environ: Environ
    path: str

    @property
    def method(self) -> str:
        """The method."""
        return str(self.environ["REQUEST_METHOD"])

    @property
    def length(self) -> int:
        """Length of the body, bytes."""
        return int(self.environ.get("CONTENT_LENGTH") or 0)

    @property
    def body(self) -> BinaryIO:
        """The body; it may end early."""
        return self.environ["wsgi.input"]

    def header(self, name: str) -> str:
        """Return a header, empty if it is missing."""
        return str(self.environ.get(f"HTTP_{name.upper().replace('-', '_')}", ""))

    def credentials(self) -> tuple[str, str]:
        """Return user and password."""
        kind, _, value = self.header("Authorization").partition(" ")
        if kind.lower() != "basic":
            return "", ""
        user, _, password = base64.b64decode(value).decode().partition(":")
        return user, password


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def send(self, start: Start) -> Iterable[bytes]:
        """Send it."""
        headers = {"Content-Length": str(len(self.body)), **self.headers}
        start(f"{self.status} {HTTPStatus(self.status).phrase}", list(headers.items()))
        return [self.body]


class Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, message: str, exception: str = "", **headers: str) -> None:
        super().__init__(message)
        self.reply = refusal(status, message, exception, **headers)


def refusal(status: int, message: str, exception: str = "", **headers: str) -> Reply:
    """Return an error in the form of Nextcloud's WebDAV server."""
    name = exception or _NAMES.get(status, "Sabre\\DAV\\Exception")
    body = (
        '<?xml version="1.0" encoding="utf-8"?>\n<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">\n'
        f"  <s:exception>{name}</s:exception>\n  <s:message>{escape(message)}</s:message>\n</d:error>\n"
    )
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"Content-Type": "application/xml; charset=utf-8", **sent}, body.encode())
