"""Log-in at the hub by OAuth: where to send the browser, and who it is afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from itsdangerous import BadSignature, URLSafeTimedSerializer
from jupyterhub.services.auth import HubOAuth
from tornado.web import HTTPError

from gozen.portal.shell.portal_settings import PortalSettings

STATE_S = 600
"""Seconds within which a log-in must be completed."""
_CACHE_S = 60
_PATIENCE_S = 15
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")
_Answer = TypeVar("_Answer")


class HubAway(Exception):
    """The hub cannot identify the user: it does not answer, or answers with an error."""


class LoginFailed(Exception):
    """The log-in was not completed; `key` names the text that says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True)
class User:
    """A person who is logged in.

    Parameters
    ----------
    name
        The name at the hub.
    session
        A digest of the token of this log-in, to which forms are bound.
    groups
        Groups of the hub to which the user belongs.
    """

    name: str
    session: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StartedLogin:
    """A log-in that was started.

    Parameters
    ----------
    url
        Page of the hub to which the browser is sent.
    cookie, value
        Name and value of the cookie that must come back with the answer.
    """

    url: str
    cookie: str
    value: str


class HubLogin:
    """The hub's OAuth for this service.

    A log-in that has begun is kept in a signed cookie, not in this process: a restart, or a second process, does not
    disturb it.
    """

    def __init__(self, settings: PortalSettings) -> None:
        self._settings = settings
        self._signer = URLSafeTimedSerializer(settings.api_token, salt="gozen portal: state of a log-in")
        self._hub = HubOAuth(
            hub_host="",
            base_url=settings.prefix,
            api_url=settings.api_url,
            api_token=settings.api_token,
            oauth_client_id=settings.client_id,
            oauth_redirect_uri=settings.redirect_uri,
            oauth_authorization_url=f"{settings.hub_url}api/oauth2/authorize",
            access_scopes=set(settings.scopes),
            cache_max_age=_CACHE_S,
            # With __Host- no page of a sister host can set the cookie. The price is the path /, which is safe only on a
            # host of our own.
            cookie_host_prefix_enabled=settings.https and settings.own_host,
        )

    @property
    def cookie(self) -> str:
        """Name of the cookie with the token of a log-in."""
        return str(self._hub.cookie_name)

    @property
    def cookie_path(self) -> str:
        """Path of the cookies of log-ins."""
        return str(self._hub.cookie_path)

    def state_cookies(self, cookies: Mapping[str, str]) -> list[str]:
        """Return the names of the cookies of log-ins that have begun."""
        # Only names that the portal gives: a page of a sister host can set others, which no answer may repeat.
        ours = re.compile(rf"{re.escape(self._hub.state_cookie_name)}-[0-9a-f]{{8}}")
        return [name for name in cookies if ours.fullmatch(name)]

    def state_cookie(self, state: str) -> str:
        """Return the name of the cookie of a log-in: each has its own, because two tabs may log in at the same time."""
        return f"{self._hub.state_cookie_name}-{hashlib.sha256(state.encode()).hexdigest()[:8]}"

    def start(self, path: str) -> StartedLogin:
        """Begin a log-in after which the browser shows a page of the portal."""
        state = secrets.token_urlsafe(24)
        verifier, challenge, method = self._hub.generate_pkce_code_challenge()
        asked = {
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_uri,
            "response_type": "code",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": method,
        }
        value = self._signer.dumps({"state": state, "verifier": verifier, "path": path})
        return StartedLogin(f"{self._hub.oauth_authorization_url}?{urlencode(asked)}", self.state_cookie(state), value)

    async def finish(self, code: str, state: str, cookies: Mapping[str, str]) -> tuple[str, str]:
        """Exchange the code of the hub for a token; return the token and the path of the page that the user requested.

        Raises
        ------
        LoginFailed
            This browser began no such log-in, or too long ago, or the hub refuses the code.
        HubAway
            The hub does not answer.
        """
        try:
            begun = self._signer.loads(cookies.get(self.state_cookie(state), ""), max_age=STATE_S)
        except BadSignature as error:
            raise LoginFailed("login_state") from error
        if not code or not secrets.compare_digest(begun["state"].encode(), state.encode()):
            raise LoginFailed("login_state")
        try:
            exchange = self._hub.token_for_code(code, code_verifier=begun["verifier"], sync=False)
            return str(await _answer(exchange)), str(begun["path"])
        except HTTPError as error:
            raise LoginFailed("login_code") from error

    async def user(self, cookies: Mapping[str, str]) -> User | None:
        """Return the user of a request by its cookies; None if nobody is logged in.

        Raises
        ------
        LoginFailed
            The user has an account at the hub, but may not use the portal.
        HubAway
            The hub does not answer.
        """
        token = self._token(cookies)
        return await self.user_of_token(token, cookies.get("jupyterhub-session-id", "")) if token else None

    def session(self, cookies: Mapping[str, str]) -> str | None:
        """Return the session of a request as in `User`, without asking the hub whether it is still valid."""
        token = self._token(cookies)
        return _digest(token) if token else None

    async def user_of_token(self, token: str, session_id: str) -> User | None:
        """Return the user of a token, None if the token is not valid; raises the errors of `user`."""
        try:
            found = await _answer(self._hub.user_for_token(token, session_id=session_id, sync=False))
        except HTTPError as error:
            raise HubAway(str(error)) from error
        if found is None:
            return None
        if not isinstance(found, dict) or "name" not in found or "scopes" not in found:
            raise HubAway(f"the answer of the hub does not name the user: {found!r:.200}; log in again")
        if not self._hub.check_scopes(self._hub.access_scopes, found):
            raise LoginFailed("login_scope")
        # Every token may read the groups of its own user at this address. The answer is kept by token, for `_CACHE_S`.
        groups = frozenset(map(str, found.get("groups") or ()))
        return User(str(found["name"]), _digest(token), groups)

    def forget(self) -> None:
        """Clear the cache of valid tokens, because a user has logged out: the next request asks the hub again."""
        self._hub.cache.clear()

    def _token(self, cookies: Mapping[str, str]) -> str:
        found = cookies.get(self.cookie, "")
        return found if _TOKEN.fullmatch(found) else ""


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def _answer(request: Awaitable[Any]) -> Any:
    """Await an answer of the hub; raise `HubAway` if there is none, or if the hub reports an error."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await request
    except TimeoutError as error:
        raise HubAway(f"the hub did not answer within {_PATIENCE_S} s") from error
    except (ValueError, LookupError) as error:  # a proxy may answer in place of the hub
        raise HubAway(f"the answer does not come from a hub ({error!r}); check whether a proxy answers") from error
    except HTTPError as error:
        # The hub's client turns its own failure to connect into an HTTPError, too: then there is another error below.
        if error.status_code != 500 or error.__context__ is not None:
            raise HubAway(str(error)) from error
        raise
