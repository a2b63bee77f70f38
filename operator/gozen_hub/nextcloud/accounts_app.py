"""The HTTP service: a lab reads, writes and removes the account of its user at ``/services/nextcloud/account``.

There is no log-in and no cookie: the lab shows the token that the hub gave it, and the hub says whose it is. Workers
have no token, so code in a worker cannot get the app password.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from gozen.errors import GozenError, problem_of
from gozen_hub.lab_caller import caller_of_header
from gozen_hub.nextcloud.account_entry import KeptAccount
from gozen_hub.nextcloud.accounts_secret import AccountsSecret

PATH = "/services/nextcloud/account"
_log = logging.getLogger(__name__)
Token = Annotated[str, Header()]


def accounts_app(accounts: AccountsSecret, hub_url: str) -> FastAPI:
    """Return the service; requests run in threads, because the client of the API server blocks."""
    app = FastAPI(title="Accounts of Nextcloud", docs_url=None, redoc_url=None, openapi_url=None)
    hub_api = f"{hub_url}/hub/api"

    def run(authorization: str, do: Callable[[str], KeptAccount | None]) -> JSONResponse:
        try:
            caller = caller_of_header(hub_api, authorization)
            if caller is None:
                return _answer(HTTPStatus.FORBIDDEN, "only a running lab may ask for its account, with its own token")
            account = do(caller.user)
        except GozenError as error:
            _log.warning("%s", error)
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        found = None if account is None else account.model_dump()
        # No program in between may keep a copy of the password.
        return JSONResponse({"account": found}, headers={"Cache-Control": "no-store"})

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(PATH)
    def get(authorization: Token = "") -> JSONResponse:
        return run(authorization, accounts.read)

    @app.put(PATH)
    def put(account: KeptAccount, authorization: Token = "") -> JSONResponse:
        return run(authorization, lambda user: accounts.write(user, account))

    @app.delete(PATH)
    def delete(authorization: Token = "") -> JSONResponse:
        return run(authorization, lambda user: accounts.forget(user))

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: Any) -> JSONResponse:
        # The values are left out: one of them is the password.
        problems = "; ".join(f"{one['loc'][-1]}: {problem_of(one['msg'])}" for one in error.errors())
        return _answer(HTTPStatus.UNPROCESSABLE_ENTITY, f"this is not an account of Nextcloud: {problems}")

    return app


def _answer(status: HTTPStatus, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status)
