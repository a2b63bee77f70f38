"""The HTTP client below a connection to Nextcloud: its headers, timeouts, and the authorities that it trusts.

Redirects are not followed, so the app password reaches no other server. Cookies are not kept: a session in a cookie
would outlive a revoked app password.
"""

from __future__ import annotations

import ssl
from http.cookiejar import CookieJar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from gozen.errors import BadRequest, reason_of
from gozen.sharing.account import Account
from gozen.sharing.http_connections.direct_transport import DirectTransport
from gozen.sharing.retrying import ConnectionLimits


class _NoCookies(CookieJar):
    """Keeps no cookies. A search for cookies would take a tenth of the processor time of a small file."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Ignore the cookies of an answer."""


def new_client(account: Account, limits: ConnectionLimits, ca_file: str | None, *, log_in: bool) -> httpx.Client:
    """Return a client for the server of an account; without log-in its requests are anonymous."""
    trusted = _trusted(ca_file) if account.url.startswith("https:") else None
    return httpx.Client(
        headers={
            **({"Authorization": account.authorization} if log_in else {}),
            "User-Agent": "gozen",
            "OCS-APIRequest": "true",
            "Accept-Encoding": "identity",
        },
        cookies=_NoCookies(),
        follow_redirects=False,
        timeout=timeouts(limits),
        limits=httpx.Limits(max_connections=limits.connections, max_keepalive_connections=limits.connections),
        verify=trusted or False,
        transport=None if _has_proxy(account.url) else DirectTransport(trusted),
    )


def _has_proxy(url: str) -> bool:
    """Tell whether this process reaches a server through a proxy, by the variables of its environment."""
    parts, proxies = urlsplit(url), getproxies()
    return (parts.scheme in proxies or "all" in proxies) and not proxy_bypass(parts.netloc)


def timeouts(limits: ConnectionLimits, read_s: float | None = None) -> httpx.Timeout:
    """Return the timeouts of a request; `read_s` replaces the time for which the server may be silent."""
    read = read_s or limits.read_timeout_s
    return httpx.Timeout(connect=limits.connect_timeout_s, read=read, write=limits.read_timeout_s, pool=None)


def _trusted(ca_file: str | None) -> ssl.SSLContext:
    """Return a TLS context that trusts the authorities of this system and of Mozilla, or only those in a file."""
    if ca_file is not None:
        try:
            return ssl.create_default_context(cafile=ca_file)
        except (OSError, ValueError) as error:
            raise BadRequest(
                f"cannot read the certificates in {ca_file}: {reason_of(error)}; correct sharing.ca_file"
            ) from error
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context
