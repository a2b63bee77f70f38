"""The account at a Nextcloud server: its address, the user, and an app password that is never printed."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, urlsplit

from gozen.errors import BadRequest

_INNER = re.compile(r"/(?:index\.php|remote\.php|public\.php|ocs|apps|s|login)(?:/.*)?$")
"""Paths inside a Nextcloud, which users copy from their browser together with the address."""


@dataclass(frozen=True)
class Account:
    """A user of a Nextcloud server.

    Parameters
    ----------
    url
        Address of the server, which may include a path, as in ``https://example.org/cloud``.
    user
        The name for logging in; for some users this is an e-mail address.
    password
        An app password, from Nextcloud's own log-in or from the user's security settings.
    user_id
        The user's id, which is in the addresses of files; default: the name for logging in.
    insecure
        Whether an address without TLS on another machine is allowed.

    Raises
    ------
    BadRequest
        The address is not valid, or it has no TLS and is not on this machine.
    """

    url: str
    user: str
    password: str = field(repr=False)
    user_id: str = ""
    insecure: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", server_address(self.url, insecure=self.insecure))
        if not self.user:
            raise BadRequest(
                f"the account at {self.url} has no user name; give `user`, or log in with `gozen share login`"
            )
        if ":" in self.user:
            raise BadRequest(f"{self.user!r} is not the name of a user: it contains a colon")

    @property
    def authorization(self) -> str:
        """The value of the HTTP header ``Authorization``, which contains the app password."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"

    @property
    def id(self) -> str:
        """The user's id."""
        return self.user_id or self.user

    def dav(self, *parts: str) -> str:
        """Return a WebDAV address; the parts of its path are quoted here."""
        return "/".join((f"{self.url}/remote.php/dav", *(quote(part, safe="") for part in parts)))

    def ocs(self, path: str) -> str:
        """Return the address of a call of the OCS interface, such as ``cloud/capabilities``."""
        return f"{self.url}/ocs/v2.php/{path}"


def server_address(text: str, *, insecure: bool = False) -> str:
    """Return the address of a server without the final slash and without pages inside Nextcloud.

    Raises
    ------
    BadRequest
        The text is not an address, contains a password, or has no TLS although the server is another machine.
    """
    whole = text.strip() if "://" in text else f"https://{text.strip()}"
    try:
        parts = urlsplit(whole)
        port = parts.port
    except ValueError as error:
        raise BadRequest(f"{text!r} is not the address of a Nextcloud server: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or any(one.isspace() for one in whole):
        raise BadRequest(f"{text!r} is not the address of a Nextcloud server; an example is https://cloud.example.org")
    if parts.username is not None:
        raise BadRequest(f"the address of {parts.hostname} contains a user name or a password; give them separately")
    if parts.scheme == "http" and not insecure and not _is_loopback(parts.hostname):
        raise BadRequest(
            f"{text!r} has no TLS, so everybody on the network could read the app password; use "
            f"https://{parts.hostname}, or allow it with insecure=True if the network is your own"
        )
    return f"{parts.scheme}://{_host(parts, port)}{_INNER.sub('', parts.path).rstrip('/')}"


def _host(parts: SplitResult, port: int | None) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if port in (None, {"http": 80, "https": 443}[parts.scheme]) else f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
