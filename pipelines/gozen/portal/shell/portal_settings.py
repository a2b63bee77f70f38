"""The settings of the portal: addresses, a token and the members; the hub or the chart sets them in the environment."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from gozen.archive.access_levels import Members
from gozen.errors import BadRequest, problem_of
from gozen.portal.shell.origins import Origin, origin_of

NOTEBOOKS = "GOZEN_NOTEBOOKS"
"""Environment variable with the folder of the notebooks that each user gets."""
ACCESS = "GOZEN_PORTAL_ACCESS"
"""Environment variable with the hub's settings of access, as JSON; without it nobody is a member."""
_HUB = "JUPYTERHUB_"
_COOKIE_NAME = re.compile(r"[A-Za-z0-9._~-]+")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")


class _Access(BaseModel):
    """The hub's group of settings `access`."""

    model_config = ConfigDict(extra="forbid")

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    everyone: bool = False
    contact: str = ""


@dataclass(frozen=True)
class PortalSettings:
    """Addresses and secrets of the portal, and who may see what.

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
    members
        Users who see all tables; all others see releases.
    contact
        Contact for all other users; empty for the administrators.
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
    members: Members = field(default_factory=Members)
    contact: str = ""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> PortalSettings:
        """Return the settings that the variables ``JUPYTERHUB_...`` and ``GOZEN_...`` of the environment give.

        Raises
        ------
        BadRequest
            A variable is missing, is not a valid address, cannot be in a cookie, or names the members in another form.
        """
        listen = urlsplit(_url(environment, "SERVICE_URL"))
        name = environment.get(f"{_HUB}SERVICE_NAME") or "portal"
        scopes = environment.get(f"{_HUB}OAUTH_ACCESS_SCOPES")
        folder, access = environment.get(NOTEBOOKS), _access(environment.get(ACCESS) or "{}")
        return cls(
            listen_host=str(listen.hostname),
            listen_port=listen.port or (443 if listen.scheme == "https" else 80),
            public_url=_public_url(environment),
            hub_url=f"{_url(environment, 'PUBLIC_HUB_URL').rstrip('/')}/",
            api_url=_url(environment, "API_URL"),
            api_token=_required(environment, "API_TOKEN"),
            client_id=_client_id(environment.get(f"{_HUB}CLIENT_ID") or f"service-{name}"),
            scopes=frozenset(json.loads(scopes)) if scopes else frozenset({f"access:services!service={name}"}),
            notebooks=Path(folder) if folder else None,
            members=Members(access.users, access.groups, access.everyone),
            contact=access.contact,
        )

    @property
    def prefix(self) -> str:
        """The path of the portal, with slashes at both ends."""
        return urlsplit(self.public_url).path

    @property
    def origin(self) -> Origin | None:
        """Scheme, host and port of the portal in the browser."""
        return origin_of(self.public_url)

    @property
    def https(self) -> bool:
        """Whether browsers reach the portal over TLS."""
        return urlsplit(self.public_url).scheme == "https"

    @property
    def own_host(self) -> bool:
        """Whether the portal has its own host name, so that no user's server gets its cookies, whatever the port."""
        return urlsplit(self.hub_url).hostname != urlsplit(self.public_url).hostname

    @property
    def redirect_uri(self) -> str:
        """Address to which the hub sends the browser after log-in, exactly as the hub knows it."""
        own_origin = origin_of(self.hub_url) != self.origin
        return f"{self.public_url if own_origin else self.prefix}oauth_callback"


def _required(environment: Mapping[str, str], name: str) -> str:
    found = environment.get(f"{_HUB}{name}", "")
    if not found:
        raise BadRequest(
            f"the environment variable {_HUB}{name} is not set: JupyterHub sets it for its services, and the chart for "
            "the pod of the portal; start the portal with JupyterHub or with the chart"
        )
    return found


def _url(environment: Mapping[str, str], name: str) -> str:
    found = _required(environment, name)
    if origin_of(found) is None:
        raise BadRequest(f"{_HUB}{name} = {found!r} is not an address such as http://host:8000/services/portal/")
    return found


def _public_url(environment: Mapping[str, str]) -> str:
    found = _url(environment, "PUBLIC_URL")
    parts = urlsplit(found)
    if not _PATH.fullmatch(parts.path) or parts.query or parts.fragment:
        raise BadRequest(
            f"{_HUB}PUBLIC_URL = {found!r} cannot be the address of the portal: its path is used in cookies, so "
            "it may contain only letters, digits and the signs '/', '.', '_', '~' and '-', and the address must "
            "be without a query or fragment; rename the service of the hub, or its base_url"
        )
    return f"{found.rstrip('/')}/"


def _access(found: str) -> _Access:
    try:
        return _Access.model_validate_json(found)
    except ValidationError as error:
        what = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'JSON'}: {problem_of(one['msg'])}" for one in error.errors()
        )
        raise BadRequest(
            f"{ACCESS} = {found!r} does not say who is a member ({what}). Do not set this variable yourself: the hub "
            "or the chart sets it from the hub's setting `access`, and starts the portal"
        ) from error


def _client_id(found: str) -> str:
    if not _COOKIE_NAME.fullmatch(found):
        raise BadRequest(
            f"{_HUB}CLIENT_ID = {found!r} cannot be the name of a cookie: it must consist of letters, digits and "
            ". _ ~ -; rename the service of the hub"
        )
    return found
