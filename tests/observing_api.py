"""The Kubernetes API as the observer's connection sees it, for the cluster of `observing_world`, with faults.

It takes the place of ``kubernetes.client.ApiClient``: it gets HTTP requests, and returns status, headers and body;
refusals have the messages of Kubernetes. A fault replaces one call: it determines the answer, and whether the call has
its effect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from urllib3.exceptions import MaxRetryError, ProtocolError, ReadTimeoutError, SSLError

from gozen.resources.exposure import Exposure
from gozen.resources.observation import Claim
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.crds import NOT_OVER
from gozen_operator.observer.cluster_requests import KubernetesCluster

from .observing_world import World

PAGE_OF_A_PROXY = "<html><body><h1>Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class HttpAnswer:
    """An answer as urllib3 gives it."""

    status: int
    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Call = Callable[[], HttpAnswer]
Fault = Callable[[Call], HttpAnswer]


def refusal(code: int, body: str | None = None, **headers: str) -> HttpAnswer:
    """Return a refusal; in Kubernetes' words without a body of its own."""
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": f"it is {HTTPStatus(code).phrase}"}
    text = json.dumps({**said, "code": code}) if body is None else body
    return HttpAnswer(code, text.encode(), {word.replace("_", "-"): value for word, value in headers.items()})


def refuses(code: int, body: str | None = None, **headers: str) -> Fault:
    """Return a fault: the call has no effect."""

    def fault(_: Call) -> HttpAnswer:
        return refusal(code, body, **headers)

    return fault


def breaks(error: Exception, *, after: bool) -> Fault:
    """Return a fault: the connection ends before the call has its effect, or after it."""

    def fault(call: Call) -> HttpAnswer:
        if after:
            call()
        raise error

    return fault


def garbles(answer: str) -> Fault:
    """Return a fault: the call has its effect, and the connection gets something else."""

    def fault(call: Call) -> HttpAnswer:
        call()
        return HttpAnswer(200, answer.encode())

    return fault


_TIMEOUT = ReadTimeoutError(None, "/apis", "Read timed out.")  # type: ignore[arg-type]
FAULTS: Mapping[str, Fault] = {
    **{f"{code}": refuses(code) for code in (401, 403, 404, 409, 410, 429, 500, 503, 504)},
    **{f"{code} of a proxy": refuses(code, PAGE_OF_A_PROXY) for code in (400, 404, 409, 422, 502)},
    **{f"{code} without a word": refuses(code, "") for code in (400, 404, 500)},
    "unreachable": breaks(MaxRetryError(None, "/apis", OSError("refused")), after=False),  # type: ignore[arg-type]
    "timeout before": breaks(_TIMEOUT, after=False),
    "timeout after": breaks(_TIMEOUT, after=True),
    "reset before": breaks(ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")), after=False),
    "reset after": breaks(ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")), after=True),
    "TLS": breaks(SSLError("bad record"), after=False),
    "429 that says when": refuses(429, Retry_After="1"),
    "credentials": breaks(RuntimeError("the token file is empty"), after=False),
    "empty": garbles(""),
    "nothing": garbles("null"),
    "page": garbles(PAGE_OF_A_PROXY),
    "half": garbles('{"apiVersion": "gozen.astro/v1alpha1", "kind": "Obser'),
    "braces": garbles("{}"),
    "a Status": garbles('{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}'),
    "no uid": garbles('{"kind": "Observation", "metadata": {"name": "obs"}, "spec": {}}'),
}


class RefusesCall(Exception):
    """A refusal of the cluster, by its status."""


class MemoryApi:
    """An ``ApiClient`` of one namespace.

    Parameters
    ----------
    knows_over
        Whether the CustomResourceDefinition is of this version.

    Attributes
    ----------
    calls
        How many were made.
    listed
        Bytes of all lists that were sent.
    faults
        By the number of the call that they replace, from 0.
    odd
        Further objects that stand in each list.
    """

    def __init__(self, world: World, *, knows_over: bool = True) -> None:
        self._cluster, self._knows_over = world.cluster, knows_over
        self.calls, self.listed = 0, 0
        self.faults: dict[int, Fault] = {}
        self.odd: list[Any] = []
        self.rest_client = self.pool_manager = self  # where the connection looks for what sends

    def cluster(self) -> KubernetesCluster:
        """Return the observer's verbs on it."""
        connection: Any = self
        return KubernetesCluster(ApiConnection(connection), "default")

    def param_serialize(self, method: str, path: str, **parts: Any) -> tuple[str, str, dict[str, str]]:
        return method, f"{path}?{urlencode(parts['query_params'])}", parts["header_params"]

    def request(self, method: str, url: str, *, headers: Any, body: Any, timeout: Any, retries: Any) -> HttpAnswer:
        assert timeout is not None, "an API server that hangs would hang the observer"
        assert retries is False, "a request that is repeated hides a fault"
        number, self.calls = self.calls, self.calls + 1
        fault = self.faults.get(number)

        def call() -> HttpAnswer:
            try:
                return HttpAnswer(200, json.dumps(self._found(method, url, body)).encode())
            except RefusesCall as refused:
                return refusal(*refused.args)

        return call() if fault is None else fault(call)

    def _found(self, method: str, url: str, body: str | None) -> Any:
        path, query = urlsplit(url).path, dict(parse_qsl(urlsplit(url).query))
        assert path.startswith("/apis/gozen.astro/v1alpha1/namespaces/default/")
        plural, *name = path.split("/")[6:]
        if method == "GET":
            return self._get(plural, *name) if name else self._list(query)
        assert query["fieldManager"] == "gozen-observer"
        sent = json.loads(body or "")
        if method == "POST":
            return self._create(Exposure.model_validate(sent, by_alias=True, by_name=False))
        assert (method, name[1:]) == ("PATCH", ["status"])
        return self._patch(name[0], sent["metadata"], sent["status"])

    def _list(self, query: Mapping[str, str]) -> Any:
        limit, first = int(query["limit"]), int(query.get("continue", 0))
        selector = query.get("fieldSelector", "")
        if selector == NOT_OVER:
            assert first or query.get("resourceVersion") == "0", "this reads everything from etcd"
        assert not (first and "resourceVersion" in query), "the API server refuses both"
        found = sorted(self._cluster.kept.values(), key=lambda one: one.metadata.name)
        if selector == NOT_OVER:
            if not self._knows_over:
                raise RefusesCall(400)
            found = [one for one in found if not one.status.over]
        elif selector:
            word, _, name = selector.partition("=")
            assert word == "metadata.name"
            found = [one for one in found if one.metadata.name == name]
        more = {"continue": str(first + limit)} if len(found) > first + limit else {}
        page = [one.wire() for one in found[first : first + limit]]
        answer = {"kind": "ObservationList", "metadata": {"resourceVersion": "1", **more}, "items": page + self.odd}
        self.listed += len(json.dumps(answer))
        return answer

    def _get(self, plural: str, name: str) -> Any:
        kept: Mapping[str, Any] = self._cluster.kept if plural == "observations" else self._cluster.exposures
        if name not in kept:
            raise RefusesCall(404)
        return kept[name].wire()

    def _create(self, exposure: Exposure) -> Any:
        if exposure.metadata.name in self._cluster.exposures:
            raise RefusesCall(409)
        return self._cluster.create(exposure).wire()

    def _patch(self, name: str, meta: Mapping[str, Any], status: Mapping[str, Any]) -> Any:
        known = self._cluster.kept.get(name)
        if known is None:
            raise RefusesCall(404)
        if (meta["uid"], meta["resourceVersion"]) != (known.metadata.uid, known.metadata.resource_version):
            raise RefusesCall(409)
        if "conditions" in status:
            made = self._cluster.say(known, status["conditions"][0])
        elif status.get("over") and self._knows_over:
            made = self._cluster.retire(known)
        else:
            claim = status["claim"]
            made = self._cluster.claim(known, claim and Claim.model_validate(claim, by_alias=True, by_name=False))
        return made.wire()
