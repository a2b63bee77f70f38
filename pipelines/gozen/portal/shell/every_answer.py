"""What happens to every request and every answer: headers, metrics, and a page for an error of our own."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gozen.portal.shell.metrics import Metrics
from gozen.portal.shell.security_headers import PRIVATE

_log = logging.getLogger(__name__)
Apologise = Callable[[Scope, Receive, Send], Awaitable[None]]


class EveryAnswer:
    """The outermost layer: nothing is answered without passing it.

    Parameters
    ----------
    app
        The pages.
    metrics
        Where requests are counted.
    headers
        Headers of every answer.
    apologise
        Answers a request after an error that no page expected.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, headers: Mapping[str, str], apologise: Apologise) -> None:
        self._app, self._metrics, self._headers, self._apologise = app, metrics, headers, apologise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

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
        except Exception:
            _log.exception("%s %s", scope["method"], scope["path"])  # the path only: the query may have a code
            if status:
                raise
            await self._apologise(scope, receive, with_headers)
        finally:
            self._metrics.count(_route(scope), status, began)


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "")) or "none"
