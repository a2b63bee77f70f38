"""KubeSpawner that says why a lab did not start, gives up lost nodes, and leaves namespaces to the service for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import ClientError
from kubernetes_asyncio.client.rest import ApiException
from kubespawner import KubeSpawner
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from traitlets import Unicode

from gozen_hub.lab_start_errors import LabNotStarted, refused, too_late
from gozen_hub.pod_waits import ADVICE, is_overdue, node_is_lost, pending

_PATIENCE_S = 30
_BEFORE_THE_HUB_S = 1.0
"""Seconds before the hub's `start_timeout` at which a start fails with a reason; the hub itself would give none."""
_END_S = 60.0
"""Seconds for which a lab may take to end; after them its node counts as lost."""
_LOOK_S = 1.0
_ASK_S = 5.0
_ASK_AGAIN_S = 0.5


class LabSpawner(KubeSpawner):  # type: ignore[misc]  # kubespawner has no type hints
    """Starts the pod of a lab in the namespace of its user."""

    namespace_service_url = Unicode("", config=True, help="Address of the service that makes users' namespaces.")
    namespace_token_file = Unicode(
        "/var/run/secrets/gozen-namespaces/token", config=True, help="File with the token for that service."
    )

    _watching_again: asyncio.Future[Any] | None = None

    async def _start(self) -> Any:
        """Start the pod and wait for the lab; raise `LabNotStarted` with a sentence for the user if this fails."""
        try:
            async with asyncio.timeout(self.start_timeout - _BEFORE_THE_HUB_S):
                url = await super()._start()
                await self._until_it_answers(url)
                return url
        except TimeoutError as error:
            if not str(error) and self._pod() is None:  # KubeSpawner would do this, but gives up at a random moment
                self._watching_again = asyncio.ensure_future(self._start_watching_pods(replace=True))
            raise too_late(self.start_timeout, self.awaited(), self.events, str(error)) from error
        except (ApiException, ClientError) as error:
            raise refused(error) from error

    async def _until_it_answers(self, url: str) -> None:
        """Wait until the lab answers. JupyterHub itself checks at intervals of up to 5 s: users would wait longer."""
        path = f"{url}{self.server.base_url}api"
        while await self.poll() is None:
            with suppress(OSError, HTTPClientError):
                await AsyncHTTPClient().fetch(path, raise_error=False, connect_timeout=_ASK_S, request_timeout=_ASK_S)
                return
            await asyncio.sleep(_ASK_AGAIN_S)

    def awaited(self) -> str:
        """Return a sentence about what the lab waits for; empty if its pod runs or does not exist."""
        pod = self._pod()
        advice = f"choose a smaller size, or {ADVICE}" if self.profile_list else ADVICE
        return pending(pod, advice) if pod else ""

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of Kubernetes, each followed by what the lab waits for: the page shows the last item."""
        events, shown = super().progress(), ""
        following = asyncio.ensure_future(_next(events))
        try:
            while True:
                done, _ = await asyncio.wait({following}, timeout=_LOOK_S)
                if done:
                    if (event := following.result()) is None:
                        return
                    yield event
                    shown = ""
                    following = asyncio.ensure_future(_next(events))
                if (awaited := self.awaited()) != shown:
                    shown = awaited
                    yield {"message": f"The lab waits: {awaited}" if awaited else "The lab starts"}
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await following

    async def poll(self) -> int | None:
        """Return None while the lab runs. A lab that should have ended long ago counts as ended: its node is lost."""
        status: int | None = await super().poll()
        pod = self._pod()
        if status is None and pod and is_overdue(pod, datetime.now(UTC)):
            self.log.warning(
                "%s/%s: its node has not reported its end in time; the lab counts as ended",
                self.namespace,
                self.pod_name,
            )
            await super().stop(now=True)
            return 1
        return status

    async def stop(self, now: bool = False) -> None:
        """End the lab; if its node is lost, without waiting for it, so that the lab can start on another one."""
        pod = self._pod()
        try:
            async with asyncio.timeout(_END_S):
                await super().stop(now or bool(pod and node_is_lost(pod)))
        except TimeoutError:
            self.log.warning("%s/%s: its node did not end it within %.0f s", self.namespace, self.pod_name, _END_S)
            await super().stop(now=True)

    def _pod(self) -> Any:
        reflector = self.pod_reflector
        return reflector.pods.get(f"{self.namespace}/{self.pod_name}") if reflector else None

    async def _ensure_namespace(self) -> None:
        """Ask the service for the namespace; KubeSpawner itself would make one without limits and policies."""
        try:
            answer = await AsyncHTTPClient().fetch(self._namespace_request(), raise_error=False)
        except (OSError, HTTPClientError) as error:  # the second is a time-out, as where packets are dropped
            message = f"the service for namespaces does not answer: {error}; try again in a minute"
            raise LabNotStarted(message, "namespace") from error
        if answer.code != HTTPStatus.OK:
            raise LabNotStarted(_message(answer), "namespace")

    def _namespace_request(self) -> HTTPRequest:
        # Read at each use: the kubelet renews the file.
        token = Path(self.namespace_token_file).read_text().strip()
        return HTTPRequest(
            f"{self.namespace_service_url}/namespaces/{self.namespace}",
            method="PUT",
            body=json.dumps({"user": self.user.name}),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            request_timeout=_PATIENCE_S,
        )


async def _next(events: AsyncIterator[dict[str, Any]]) -> dict[str, Any] | None:
    return await anext(events, None)


def _message(answer: Any) -> str:
    try:
        return str(json.loads(answer.body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"the service for namespaces answered {answer.code} {answer.reason}"
