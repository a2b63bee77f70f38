"""Origins (scheme, host and port), by which browsers distinguish sites."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """The origin of an address; scheme and host are in lower case."""

    scheme: str
    host: str
    port: int


def origin_of(address: str) -> Origin | None:
    """Return the origin of an address of the web; None for anything else, such as the ``null`` of browsers."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:  # the port is not a number, or brackets do not match
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return Origin(parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port)
