"""The HTTP service: ``PUT /namespaces/NAME`` by the hub, and by nobody else.

The hub shows the token of its service account, made by the kubelet for this service alone (an audience). So there is no
shared password that could be read or leak.
"""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import Annotated

from fastapi import FastAPI, Header
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from gozen.errors import BadRequest, ClusterUnavailable, GozenError
from gozen_hub.hub_settings import HubSettings
from gozen_hub.namespaces.make_namespace import caller_of, make_namespace
from gozen_operator.api_server.connection import ApiConnection

AUDIENCE = "gozen-namespaces"
"""Audience of the token that the hub shows."""


_log = logging.getLogger(__name__)


class Wanted(BaseModel):
    """The body of a request."""

    user: str


def namespace_app(connection: ApiConnection, settings: HubSettings) -> FastAPI:
    """Return the service; requests run in threads, because the client of the API server blocks."""
    hub = settings.namespaces.hub_account
    app = FastAPI(title="Namespaces of users", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.put("/namespaces/{name}")
    def put(name: str, wanted: Wanted, authorization: Annotated[str, Header()] = "") -> JSONResponse:
        begin = time.perf_counter()
        try:
            token = authorization.removeprefix("Bearer ").strip()
            caller = caller_of(connection, token, AUDIENCE) if token else None
            if caller is None or caller != hub:
                return _answer(HTTPStatus.FORBIDDEN, f"only {hub} may ask for namespaces")
            make_namespace(connection, name, wanted.user, settings)
        except BadRequest as error:
            return _answer(HTTPStatus.CONFLICT, str(error))
        except ClusterUnavailable as error:
            _log.warning("%s: %s", name, error)
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except GozenError as error:
            return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        _log.info("%s: ready after %.2f s", name, time.perf_counter() - begin)
        return _answer(HTTPStatus.OK, f"the namespace {name} is ready")

    return app


def _answer(status: HTTPStatus, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status)
