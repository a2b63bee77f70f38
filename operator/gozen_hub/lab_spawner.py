"""KubeSpawner whose namespaces are made by the service for them: the hub may not make any."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kubespawner import KubeSpawner
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
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
        url = f"{self.namespace_service_url}/namespaces/{self.namespace}"
        # Read at each use: the kubelet renews the file.
        headers = {"Authorization": f"Bearer {Path(self.namespace_token_file).read_text().strip()}"}
        request = HTTPRequest(
            url,
            method="PUT",
            body=json.dumps({"user": self.user.name}),
            headers={**headers, "Content-Type": "application/json"},
            request_timeout=_PATIENCE_S,
        )
        try:
            answer = await AsyncHTTPClient().fetch(request, raise_error=False)
        except OSError as error:
            raise _visible(f"the service for namespaces does not answer: {error}; try again in a minute") from error
        if answer.code != HTTPStatus.OK:
            raise _visible(_message(answer))


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
