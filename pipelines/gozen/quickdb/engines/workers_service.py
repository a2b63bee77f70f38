"""Ask the hub's service for the user's own workers, from a lab, with the token of the lab."""

from __future__ import annotations

import json
import os
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from gozen.errors import BadRequest, ClusterUnavailable

URL = "GOZEN_WORKERS_URL"
"""Environment variable with the address of the service; the hub sets it in labs."""
TOKEN = "JUPYTERHUB_API_TOKEN"  # noqa: S105 - the name of the variable in which the hub gives a lab its token
_PATH = "/services/workers/cluster"
_PATIENCE_S = 30
State = dict[str, Any]


class NoServiceError(Exception):
    """There is no such service at the address."""


class WorkersService:
    """A client of the hub's service for workers, for one lab.

    Parameters
    ----------
    url
        Address of the service.
    token
        The token of this lab.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/") + _PATH
        self._token = token

    @classmethod
    def of_this_lab(cls) -> WorkersService | None:
        """Return the service that the hub names to this lab; None outside of a lab."""
        url = os.environ.get(URL)
        return cls(url, os.environ.get(TOKEN, "")) if url else None

    def state(self) -> State:
        """Return the state of the user's workers, and the reasons why some do not run yet.

        Raises
        ------
        NoServiceError
            Nothing answers at the address.
        BadRequest
            The hub does not allow the request.
        ClusterUnavailable
            The service, the hub or the cluster cannot answer now.
        """
        return self._ask("GET")

    def make(self, workers: int) -> State:
        """Start scheduler and workers, unless they run; raises the errors of `state`."""
        return self._ask("PUT", workers)

    def scale(self, workers: int) -> State:
        """Set the number of workers; raises the errors of `state`."""
        return self._ask("PATCH", workers)

    def remove(self) -> State:
        """End scheduler and workers; raises the errors of `state`."""
        return self._ask("DELETE")

    def _ask(self, method: str, workers: int | None = None) -> State:
        body = None if workers is None else json.dumps({"workers": workers}).encode()
        headers = {"Authorization": f"token {self._token}", "Content-Type": "application/json"}
        request = Request(self._url, body, headers, method=method)  # noqa: S310 - the address is the hub's
        try:
            with urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310
                found = json.load(answer)
        except HTTPError as error:
            with error:
                raise _refusal(error.code, _message(error)) from error
        except (URLError, OSError) as error:
            raise NoServiceError(f"{self._url}: {getattr(error, 'reason', error)}") from error
        except ValueError as error:
            raise NoServiceError(f"the answer of {self._url} is not JSON; check whether a proxy answers") from error
        if not isinstance(found, dict) or "phase" not in found:
            raise NoServiceError(f"the answer of {self._url} is not from this service; check whether a proxy answers")
        return found


def _message(error: HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _refusal(status: int, message: str) -> Exception:
    if not message or status == HTTPStatus.NOT_FOUND:
        return NoServiceError(f"the service for workers answers {status}")
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return BadRequest(message)
    if status == HTTPStatus.FORBIDDEN:
        return ClusterUnavailable(f"{message}: stop the lab on the hub's page and start it again")
    return ClusterUnavailable(message)
