"""The settings of the portal: addresses and a token, which the hub or the chart sets in the environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gozen.errors import BadRequest

NOTEBOOKS = "GOZEN_NOTEBOOKS"
"""Environment variable with the folder of the notebooks that each user gets."""
_HUB = "JUPYTERHUB_"


@dataclass(frozen=True)
class PortalSettings:
    """Addresses and secrets of the portal.

    Parameters
    ----------
    listen_host, listen_port
        Address and port on which this process listens.
    public_url
        Address of the portal in the browser, with a final slash.
    hub_url
        Address of the hub in the browser, ``.../hub/``.
    api_url
        Address of the hub's API for this process.
    api_token
        Token of this service at the hub. Forms and cookies are signed with it too.
    client_id
        Name of this service as a client of the hub's OAuth.
    scopes
        Scopes of which a user needs at least one.
    notebooks
        Folder of the notebooks that each user gets; None if this process cannot read them.
    """

    listen_host: str
    listen_port: int
    public_url: str
    hub_url: str
    api_url: str
    api_token: str = field(repr=False)
    client_id: str = "service-portal"
    scopes: frozenset[str] = frozenset({"access:services!service=portal"})
    notebooks: Path | None = None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> PortalSettings:
        """Return the settings that the variables ``JUPYTERHUB_...`` of the environment give.

        Raises
        ------
        BadRequest
            A variable is missing, or is not a valid address.
        """
        listen = urlsplit(_url(environment, "SERVICE_URL"))
        name = environment.get(f"{_HUB}SERVICE_NAME") or "portal"
        scopes = environment.get(f"{_HUB}OAUTH_ACCESS_SCOPES")
        folder = environment.get(NOTEBOOKS)
        return cls(
            listen_host=str(listen.hostname),
            listen_port=listen.port or (443 if listen.scheme == "https" else 80),
            public_url=f"{_url(environment, 'PUBLIC_URL').rstrip('/')}/",
            hub_url=f"{_url(environment, 'PUBLIC_HUB_URL').rstrip('/')}/",
            api_url=_url(environment, "API_URL"),
            api_token=_required(environment, "API_TOKEN"),
            client_id=environment.get(f"{_HUB}CLIENT_ID") or f"service-{name}",
            scopes=frozenset(json.loads(scopes)) if scopes else frozenset({f"access:services!service={name}"}),
            notebooks=Path(folder) if folder else None,
        )

    @property
    def prefix(self) -> str:
        """The path of the portal, with slashes at both ends."""
        return urlsplit(self.public_url).path

    @property
    def origin(self) -> str:
        """Scheme, host and port of the portal in the browser."""
        return _origin(self.public_url)

    @property
    def https(self) -> bool:
        """Whether browsers reach the portal over TLS."""
        return self.public_url.startswith("https://")

    @property
    def own_host(self) -> bool:
        """Whether the portal has its own host name, so that no user's server shares its origin."""
        return _origin(self.hub_url) != self.origin

    @property
    def redirect_uri(self) -> str:
        """Address to which the hub sends the browser after log-in, exactly as the hub knows it."""
        return f"{self.public_url if self.own_host else self.prefix}oauth_callback"


def _required(environment: Mapping[str, str], name: str) -> str:
    found = environment.get(f"{_HUB}{name}", "")
    if not found:
        raise BadRequest(
            f"the environment variable {_HUB}{name} is not set: JupyterHub sets it for its services, and the chart for "
            "the pod of the portal; start the portal by one of them"
        )
    return found


def _url(environment: Mapping[str, str], name: str) -> str:
    found = _required(environment, name)
    parts = urlsplit(found)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest(f"{_HUB}{name} = {found!r} is not an address such as http://host:8000/services/portal/")
    return found


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
