"""The HTTP connection to the API server, used by operator, observer and command line.

The client library gives addresses, credentials and TLS. Its typed verbs are not used: they convert plain data into the
library's models, do not support server-side apply, and repeat some requests without being asked. Here a request is sent
once; the caller decides on a retry, and waits for the time in ``Retry-After`` (`gozen_operator.api_server.responses`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from kubernetes import client, config
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from gozen.errors import ClusterUnavailable
from gozen_operator.api_server.api_request import PAGE, ApiRequest
from gozen_operator.api_server.responses import RefusedError, checked_answer

# A node that vanishes closes no connection: without a limit the thread that reads would never return.
_TIMEOUT = Timeout(connect=5.0, read=30.0)


class ApiConnection:
    """A connection to one API server.

    Parameters
    ----------
    api
        An ApiClient of the library, with address and credentials.

    Attributes
    ----------
    writes
        Number of write requests so far.
    """

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self.writes = 0

    def answer(self, request: ApiRequest) -> dict[str, Any]:
        """Send a request and return the answer of the API server.

        Raises
        ------
        ClusterUnavailable
            There is no answer, or it is not from an API server; `RefusedError` if the API server refuses the request.
        """
        data = None if request.body is None else json.dumps(request.body)
        try:
            _, url, headers, *_ = self._api.param_serialize(
                request.method,
                request.path,
                query_params=list(request.query.items()),
                header_params={"Accept": request.accept, "Content-Type": request.content},
                auth_settings=["BearerToken"],
            )
            # By default urllib3 repeats a PUT or DELETE whose answer was lost, though it may have been carried out.
            answer = self._api.rest_client.pool_manager.request(
                request.method, url, headers=headers, body=data, timeout=_TIMEOUT, retries=False
            )
        except (HTTPError, OSError, config.ConfigException) as error:  # the last two: its token file cannot be read now
            raise ClusterUnavailable(
                f"{request}: the API server does not answer: {error}; check its address and the network"
            ) from error
        wants_json = "json" in request.accept
        found = checked_answer(str(request), answer.status, answer.headers, answer.data, wants_json=wants_json)
        self.writes += request.method != "GET"
        return found

    def unless_gone(self, request: ApiRequest) -> dict[str, Any] | None:
        """Return the same as `answer`; None if the object was deleted (404) or has another uid or version now (409)."""
        try:
            return self.answer(request)
        except RefusedError as refusal:
            if refusal.code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                return None
            raise

    def await_event(self, request: ApiRequest, seconds: int) -> None:
        """Return at the first event of a watch, or after some seconds; the caller lists the objects again.

        Parameters
        ----------
        request
            The request that lists the objects, with the ``resourceVersion`` of its last answer.
        """
        query = {**request.query, "watch": "true", "timeoutSeconds": str(seconds)}
        try:
            _, url, headers, *_ = self._api.param_serialize(
                request.method,
                request.path,
                query_params=list(query.items()),
                auth_settings=["BearerToken"],
                header_params={"Accept": request.accept},
            )
            answer = self._api.rest_client.pool_manager.request(
                request.method,
                url,
                headers=headers,
                timeout=Timeout(connect=5.0, read=seconds + 30.0),
                retries=False,
                preload_content=False,
            )
            try:
                first = answer.readline() if answer.status == HTTPStatus.OK else answer.read()
            finally:
                answer.close()
        except (HTTPError, OSError, config.ConfigException) as error:
            raise ClusterUnavailable(
                f"{request}: the API server does not answer: {error}; check its address and the network"
            ) from error
        if answer.status != HTTPStatus.OK:
            checked_answer(str(request), answer.status, answer.headers, first, wants_json=True)

    def pages(self, request: ApiRequest) -> Iterator[dict[str, Any]]:
        """Yield a list page by page: all objects at once may need a gigabyte."""
        query = {"limit": str(PAGE), **request.query}
        while True:
            found = self.answer(replace(request, query=query))
            # A list of metadata alone that finds nothing has null here.
            yield {**found, "items": found.get("items") or []}
            after = found["metadata"].get("continue")
            if not after:
                return
            query["continue"] = after
            query.pop("resourceVersion", None)  # the token names it; the API server refuses both together


def connect() -> ApiConnection:
    """Return a connection to the cluster that this process runs in, or else to the one that KUBECONFIG names."""
    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except config.ConfigException as error:
            raise ClusterUnavailable(
                f"no cluster is configured: {error}; set KUBECONFIG to the path of a kubeconfig file"
            ) from error
    return ApiConnection(client.ApiClient())
