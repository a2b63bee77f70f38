"""Log-in, log-out and preferences: the requests that set or remove cookies."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gozen.portal.shell.forms import asked_for, check_form, own_path, read_form
from gozen.portal.shell.hub_login import STATE_S, HubAway, HubLogin, LoginFailed, User
from gozen.portal.shell.portal_settings import PortalSettings
from gozen.portal.shell.preferences import CHOICES, COOKIES, REMEMBER_S
from gozen.portal.shell.render import Pages

_SEE_OTHER = 303
_MOST_STARTED = 8


class NotLoggedIn(Exception):
    """A form was sent without a log-in; unlike a page, it cannot be requested again after the log-in."""


class Session:
    """Who is logged in, and the cookies of log-ins."""

    def __init__(self, settings: PortalSettings, login: HubLogin) -> None:
        self._settings, self.login = settings, login
        self._cookie: dict[str, Any] = {"httponly": True, "samesite": "lax", "secure": settings.https}

    async def user(self, request: Request) -> User | None:
        """Return the user of a request, None if nobody is logged in; raises the errors of `HubLogin.user`."""
        return await self.login.user(request.cookies)

    def log_in(self, request: Request) -> Response:
        """Send the browser to the hub, and back to the same page afterwards."""
        begun = self.login.start(own_path(self._settings, asked_for(request)))
        answer = RedirectResponse(begun.url, _SEE_OTHER)
        older = self.login.state_cookies(request.cookies)
        if len(older) >= _MOST_STARTED:
            self._forget(answer, older)
        answer.set_cookie(begun.cookie, begun.value, max_age=STATE_S, path=self.login.cookie_path, **self._cookie)
        return answer

    async def finish(self, request: Request) -> Response:
        """Answer the browser when it comes back from the hub; raises the errors of `HubLogin.finish`."""
        asked = request.query_params
        if "error" in asked:
            raise LoginFailed("login_refused")
        token, path = await self.login.finish(asked.get("code", ""), asked.get("state", ""), request.cookies)
        if await self.login.user_of_token(token, request.cookies.get("jupyterhub-session-id", "")) is None:
            raise LoginFailed("login_refused")
        answer = RedirectResponse(path, _SEE_OTHER)
        self._forget(answer, [self.login.state_cookie(asked.get("state", ""))])
        answer.set_cookie(self.login.cookie, token, path=self.login.cookie_path, **self._cookie)
        return answer

    async def hub_answers(self, request: Request) -> bool:
        """Tell whether the hub answers now, and forget its older answers."""
        self.login.forget()
        try:
            await self.user(request)
        except HubAway:
            return False
        except LoginFailed:
            pass  # it has answered: this user may not use the portal any more
        return True

    def log_out(self, answer: Response) -> None:
        """Remove the log-in from the browser."""
        self._forget(answer, [self.login.cookie])

    def remember(self, answer: Response, name: str, value: str) -> None:
        """Set the cookie of a preference."""
        answer.set_cookie(COOKIES[name], value, max_age=REMEMBER_S, path=self._settings.prefix, **self._cookie)

    def _forget(self, answer: Response, names: list[str]) -> None:
        for name in names:
            answer.delete_cookie(name, path=self.login.cookie_path, **self._cookie)


def session_routes(settings: PortalSettings, session: Session, pages: Pages) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix=settings.prefix.rstrip("/"))

    @router.api_route("/oauth_callback", methods=["GET"])
    async def callback(request: Request) -> Response:
        return await session.finish(request)

    @router.api_route("/logout", methods=["POST"])
    async def log_out(request: Request) -> Response:
        # The hub is asked only afterwards: who leaves a shared computer must not depend on it.
        await _checked(request, session.login.session(request.cookies))
        values = {"again": f"{settings.hub_url}logout", "reached": await session.hub_answers(request)}
        answer = pages.page(request, "leaving.html", None, values)
        session.log_out(answer)
        return answer

    @router.api_route("/preferences", methods=["POST"])
    async def prefer(request: Request) -> Response:
        user = await session.user(request)
        fields = await _checked(request, user.session if user else None)
        answer = RedirectResponse(own_path(settings, fields.get("here", "")), _SEE_OTHER)
        for name, values in CHOICES.items():
            if fields.get(name) in values:
                session.remember(answer, name, fields[name])
        return answer

    async def _checked(request: Request, logged_in: str | None) -> dict[str, str]:
        """Return the fields of a form, after a check that it belongs to a session."""
        if logged_in is None:
            raise NotLoggedIn
        fields = await read_form(request)
        check_form(settings, request.headers, fields, logged_in)
        return fields

    return router
