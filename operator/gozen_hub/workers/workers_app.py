"""The HTTP service: a lab makes, reads, scales and removes the workers of its user at ``/services/workers/cluster``.

There is no log-in and no cookie: the lab shows the token that the hub gave it, and the hub says whose it is. Workers
have no token, so code in a worker cannot call this service.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from gozen.errors import BadRequest, ClusterUnavailable, GozenError, problem_of
from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_caller import caller_of_header
from gozen_hub.workers.manage_cluster import UserCluster
from gozen_operator.api_server.connection import ApiConnection

PATH = "/services/workers/cluster"
_log = logging.getLogger(__name__)
Token = Annotated[str, Header()]


class Wanted(BaseModel):
    """The body of a request: the number of workers, and nothing else."""

    model_config = ConfigDict(extra="forbid")
    workers: StrictInt = Field(ge=1, le=10_000)


def workers_app(connection: ApiConnection, settings: HubSettings) -> FastAPI:
    """Return the service; requests run in threads, because the client of the API server blocks."""
    app = FastAPI(title="Workers of users", docs_url=None, redoc_url=None, openapi_url=None)
    hub_api = f"{settings.hub_url}/hub/api"

    def run(authorization: str, do: Callable[[UserCluster], None]) -> JSONResponse:
        try:
            caller = caller_of_header(hub_api, authorization)
            if caller is None:
                return _answer(
                    HTTPStatus.FORBIDDEN, "only a running lab may request workers, with the token of this lab"
                )
            cluster = UserCluster(connection, caller, settings)
            do(cluster)
            return JSONResponse(cluster.state())
        except BadRequest as error:
            return _answer(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except ClusterUnavailable as error:
            _log.warning("%s", error)
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except GozenError as error:
            return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(PATH)
    def get(authorization: Token = "") -> JSONResponse:
        return run(authorization, lambda _: None)

    @app.put(PATH)
    def put(wanted: Wanted, authorization: Token = "") -> JSONResponse:
        return run(authorization, lambda cluster: cluster.make(wanted.workers))

    @app.patch(PATH)
    def patch(wanted: Wanted, authorization: Token = "") -> JSONResponse:
        def scale(cluster: UserCluster) -> None:
            if not cluster.scale(wanted.workers):
                raise BadRequest("there are no workers to scale; they start with the first job")

        return run(authorization, scale)

    @app.delete(PATH)
    def delete(authorization: Token = "") -> JSONResponse:
        return run(authorization, lambda cluster: cluster.remove())

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: Any) -> JSONResponse:
        problems = "; ".join(f"{one['loc'][-1]}: {problem_of(one['msg'])}" for one in error.errors())
        return _answer(
            HTTPStatus.UNPROCESSABLE_ENTITY, f'the body of the request must be {{"workers": NUMBER}}: {problems}'
        )

    return app


def _answer(status: HTTPStatus, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status)
