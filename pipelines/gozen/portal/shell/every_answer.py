"""Count every request, and add headers to every answer."""

from __future__ import annotations

import time
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gozen.portal.shell.metrics import Metrics
from gozen.portal.shell.security_headers import PRIVATE


class EveryAnswer:
    """The outermost layer of the portal: every answer passes through this layer, also the page of an error.

    Parameters
    ----------
    app
        The application with the pages.
    metrics
        Counts the requests.
    headers
        Headers of every answer.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, headers: Mapping[str, str]) -> None:
        self._app, self._metrics, self._headers = app, metrics, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", PRIVATE)
                headers.update(self._headers)
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        finally:
            self._metrics.count(_route(scope), status, began)


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "")) or "none"
