"""The portal as one ASGI application: routes, errors, and the layer around all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from gozen.archive.access_levels import level_of
from gozen.portal.data_page import DataPage
from gozen.portal.holdings.fresh_value import DEADLINE_S, PATIENCE_S
from gozen.portal.session_routes import NotLoggedIn, Session, session_routes
from gozen.portal.shell.every_answer import EveryAnswer
from gozen.portal.shell.forms import ForeignForm
from gozen.portal.shell.hub_login import HubAway, HubLogin, LoginFailed
from gozen.portal.shell.metrics import CONTENT_TYPE, Metrics
from gozen.portal.shell.portal_settings import PortalSettings
from gozen.portal.shell.render import PORTAL, ErrorPage, Pages, stamp_of
from gozen.portal.shell.security_headers import HEADERS, OVER_TLS, PUBLIC
from gozen.settings import Settings

_READ = ["GET", "HEAD"]


def make_app(
    settings: PortalSettings, site: Settings, *, patience_s: float = PATIENCE_S, deadline_s: float = DEADLINE_S
) -> ASGIApp:
    """Return the portal.

    Parameters
    ----------
    settings, site
        Settings of the portal, and of the archive.
    patience_s
        Seconds that a page waits for the archive.
    deadline_s
        Seconds after which a page says that the archive does not answer.
    """
    pages, metrics = Pages(settings, stamp_of(PORTAL / "static")), Metrics()
    session = Session(settings, HubLogin(settings))
    app = FastAPI(
        title="Gozen portal",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # Starlette would redirect to the host that the client names
    )
    app.include_router(_probes(metrics))
    app.include_router(session_routes(settings, session, pages))
    app.include_router(_pages(settings, session, pages, DataPage(settings, site, patience_s, deadline_s)))
    app.mount(f"{settings.prefix}static", _Static(directory=PORTAL / "static"), name="static")
    app.add_api_route(settings.prefix.rstrip("/") or "/portal", _to(settings.prefix), methods=_READ)
    _explain_errors(app, settings, pages)

    headers = {**HEADERS, **(OVER_TLS if settings.https else {})}
    return EveryAnswer(app, metrics, headers)


def _probes(metrics: Metrics) -> APIRouter:
    """Pages for Kubernetes and Prometheus, outside the prefix: the hub's proxy does not show them to people."""
    router = APIRouter()

    @router.api_route("/healthz", methods=_READ)
    async def health() -> Response:
        return PlainTextResponse("ok\n")

    @router.api_route("/metrics", methods=_READ)
    async def numbers() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router


def _pages(settings: PortalSettings, session: Session, pages: Pages, data: DataPage) -> APIRouter:
    router = APIRouter(prefix=settings.prefix.rstrip("/"))

    @router.api_route("/", methods=_READ)
    async def what_data(request: Request) -> Response:
        user = await session.user(request)
        if user is None:
            return session.log_in(request)
        level = level_of(user.name, user.groups, settings.members)
        return pages.page(request, "data.html", user, await data.values(request.query_params.get("page", "1"), level))

    return router


def _explain_errors(app: FastAPI, settings: PortalSettings, pages: Pages) -> None:
    @app.exception_handler(LoginFailed)
    async def login_failed(request: Request, error: LoginFailed) -> Response:
        return pages.error(request, ErrorPage(403, error.key, settings.prefix))

    @app.exception_handler(NotLoggedIn)
    async def not_logged_in(request: Request, _: NotLoggedIn) -> Response:
        return pages.error(request, ErrorPage(401, "unauthorized", settings.prefix))

    @app.exception_handler(ForeignForm)
    async def foreign(request: Request, _: ForeignForm) -> Response:
        return pages.error(request, ErrorPage(403, "foreign", settings.public_url))

    @app.exception_handler(HubAway)
    async def away(request: Request, _: HubAway) -> Response:
        answer = pages.error(request, ErrorPage(503, "away", settings.prefix))
        answer.headers["Retry-After"] = "30"
        return answer

    @app.exception_handler(Exception)
    async def bug(request: Request, _: Exception) -> Response:
        return pages.error(request, ErrorPage(500, "bug"))  # the server itself logs the error

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        key = {404: "missing", 405: "method"}.get(error.status_code, "bug")
        answer = pages.error(request, ErrorPage(error.status_code, key))
        answer.headers.update(error.headers or {})
        return answer


class _Static(StaticFiles):
    def file_response(self, *arguments: object, **named: object) -> Response:
        answer = super().file_response(*arguments, **named)  # type: ignore[arg-type] # passed on as they came
        answer.headers["Cache-Control"] = PUBLIC
        return answer


def _to(address: str) -> Callable[[], Awaitable[Response]]:
    async def redirect() -> Response:
        return RedirectResponse(address, 307)

    return redirect
