"""KubeSpawner whose namespaces are made by the service for them: the hub may not make any."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kubespawner import KubeSpawner
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from traitlets import Unicode

_PATIENCE_S = 30


class LabSpawner(KubeSpawner):  # type: ignore[misc]  # kubespawner has no type hints
    """Starts the pod of a lab in the namespace of its user."""

    namespace_service_url = Unicode("", config=True, help="Address of the service that makes users' namespaces.")
    namespace_token_file = Unicode(
        "/var/run/secrets/gozen-namespaces/token", config=True, help="File with the token for that service."
    )

    async def _ensure_namespace(self) -> None:
        """Ask the service for the namespace; KubeSpawner itself would make one without limits and policies."""
        try:
            answer = await AsyncHTTPClient().fetch(self._namespace_request(), raise_error=False)
        except (OSError, HTTPClientError) as error:  # the second is a time-out, as where packets are dropped
            raise _visible(f"the service for namespaces does not answer: {error}; try again in a minute") from error
        if answer.code != HTTPStatus.OK:
            raise _visible(_message(answer))

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


def _message(answer: Any) -> str:
    try:
        return str(json.loads(answer.body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"the service for namespaces answered {answer.code} {answer.reason}"


def _visible(message: str) -> Exception:
    """Return an error whose message the hub's page shows."""
    error = RuntimeError(message)
    error.jupyterhub_message = message  # type: ignore[attr-defined]
    return error
