"""Find the lab that calls a service: ask the hub about the caller's token, which must belong to a lab."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from gozen.errors import ClusterUnavailable

_PATIENCE_S = 10
_SERVER = "access:servers!server="
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class Caller:
    """A lab: its user, and its name; the name is empty for the user's default lab."""

    user: str
    server: str


def lab_of(model: dict[str, Any]) -> Caller | None:
    """Return the lab that a token belongs to; None if it belongs to none.

    Parameters
    ----------
    model
        The hub's answer about the token: its user and its scopes. Only the scopes of a lab's token name a server. The
        scopes of a service or of an administrator, who may access all servers, name none.
    """
    user = model.get("name")
    if model.get("kind") != "user" or not isinstance(user, str) or not user:
        return None
    begin = f"{_SERVER}{user}/"
    names = [str(one)[len(begin) :] for one in model.get("scopes") or [] if str(one).startswith(begin)]
    return Caller(user, names[0]) if len(names) == 1 else None


def caller_of(hub_api: str, token: str) -> Caller | None:
    """Return the lab whose token this is; None if the hub does not know the token, or it belongs to no lab.

    The answer is not cached: a token that is revoked is refused at once.

    Raises
    ------
    ClusterUnavailable
        The hub does not answer.
    """
    request = Request(f"{hub_api}/user", headers={"Authorization": f"token {token}"})  # noqa: S310 - the site's hub
    try:
        with urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310
            model = json.loads(answer.read(_MOST_BYTES))
    except HTTPError as error:
        with error:
            if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                return None
        raise ClusterUnavailable(f"the hub answered {error.code} {error.reason}; try again in a minute") from error
    except (URLError, OSError, ValueError) as error:
        raise ClusterUnavailable(f"the hub does not answer ({error}); try again in a minute") from error
    return lab_of(model) if isinstance(model, dict) else None


def caller_of_header(hub_api: str, authorization: str) -> Caller | None:
    """Return the lab whose token a header ``Authorization: token ...`` shows; None and errors as for `caller_of`."""
    kind, _, token = authorization.partition(" ")
    token = token.strip()
    return caller_of(hub_api, token) if kind.lower() in ("token", "bearer") and token.isascii() and token else None
