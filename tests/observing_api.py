"""The API server as the observer's client sees it, on the cluster of `observing_world`, and what may go wrong in it.

It speaks like ``kubernetes.client.CustomObjectsApi``: plain data, selectors, pages, and refusals in Kubernetes' words.
A fault replaces one call: it may let the call have its effect, and it says what the client gets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError, ProtocolError, ReadTimeoutError

from gozen.resources.exposure import Exposure
from gozen.resources.observation import Claim
from gozen_operator.crds import NOT_OVER

from .observing_world import World

Call = Callable[[], Any]
Fault = Callable[[Call], Any]
PAGE_OF_A_PROXY = "<html><body><h1>Bad Gateway</h1></body></html>"


def refusal(code: int, body: str | None = None) -> ApiException:
    """Return a refusal as the client raises it; in Kubernetes' words without a body of its own."""
    reason = HTTPStatus(code).phrase
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": f"it is {reason}", "code": code}
    error = ApiException(status=code, reason=reason)
    error.body = json.dumps(said) if body is None else body
    return error


def refuses(code: int, body: str | None = None) -> Fault:
    """Return a fault: the call has no effect."""

    def fault(call: Call) -> Any:
        raise refusal(code, body)

    return fault


def breaks(error: Exception, *, after: bool) -> Fault:
    """Return a fault: the connection ends before the call has its effect, or after it."""

    def fault(call: Call) -> Any:
        if after:
            call()
        raise error

    return fault


def garbles(answer: Any) -> Fault:
    """Return a fault: the call has its effect, and the client gets something else."""

    def fault(call: Call) -> Any:
        call()
        return answer

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
    "TLS": breaks(ApiException(status=0, reason="SSLError: bad record"), after=False),
    "credentials": breaks(RuntimeError("the token file is empty"), after=False),
    "empty": garbles(""),
    "nothing": garbles(None),
    "page": garbles(PAGE_OF_A_PROXY),
    "half": garbles('{"apiVersion": "gozen.astro/v1alpha1", "kind": "Obser'),
    "braces": garbles({}),
    "a Status": garbles({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
    "no uid": garbles({"kind": "Observation", "metadata": {"name": "obs"}, "spec": {}}),
}


class MemoryApi:
    """A ``CustomObjectsApi`` of one namespace.

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
    """

    def __init__(self, world: World, *, knows_over: bool = True) -> None:
        self._cluster, self._knows_over = world.cluster, knows_over
        self.calls, self.listed = 0, 0
        self.faults: dict[int, Fault] = {}

    def list_namespaced_custom_object(
        self,
        *,
        limit: int,
        field_selector: str = "",
        _continue: str = "",
        resource_version: str | None = None,
        **_: Any,
    ) -> Any:
        if field_selector == NOT_OVER:
            assert _continue or resource_version == "0", "this reads everything from etcd"
        assert not (_continue and resource_version), "the API server refuses both"
        return self._call(lambda: self._list(limit, field_selector, int(_continue or 0)))

    def get_namespaced_custom_object(self, *, plural: str, name: str, **_: Any) -> Any:
        return self._call(lambda: self._get(plural, name))

    def create_namespaced_custom_object(self, *, body: Any, **_: Any) -> Any:
        return self._call(lambda: self._create(Exposure.model_validate(body, by_alias=True, by_name=False)))

    def patch_namespaced_custom_object_status(self, *, name: str, body: Any, **_: Any) -> Any:
        return self._call(lambda: self._patch(name, body["metadata"], body["status"]))

    def _call(self, call: Call) -> Any:
        fault = self.faults.get(self.calls)
        self.calls += 1
        return call() if fault is None else fault(call)

    def _list(self, limit: int, selector: str, first: int) -> Any:
        found = sorted(self._cluster.kept.values(), key=lambda one: one.metadata.name)
        if selector == NOT_OVER:
            if not self._knows_over:
                raise refusal(400)
            found = [one for one in found if not one.status.over]
        elif selector:
            field, _, name = selector.partition("=")
            assert field == "metadata.name"
            found = [one for one in found if one.metadata.name == name]
        more = {"continue": str(first + limit)} if len(found) > first + limit else {}
        page = [one.wire() for one in found[first : first + limit]]
        answer = {"kind": "ObservationList", "metadata": {"resourceVersion": "1", **more}, "items": page}
        self.listed += len(json.dumps(answer))
        return answer

    def _get(self, plural: str, name: str) -> Any:
        kept: Mapping[str, Any] = self._cluster.kept if plural == "observations" else self._cluster.exposures
        if name not in kept:
            raise refusal(404)
        return kept[name].wire()

    def _create(self, exposure: Exposure) -> Any:
        if exposure.metadata.name in self._cluster.exposures:
            raise refusal(409)
        return self._cluster.create(exposure).wire()

    def _patch(self, name: str, meta: Mapping[str, Any], status: Mapping[str, Any]) -> Any:
        known = self._cluster.kept.get(name)
        if known is None:
            raise refusal(404)
        if (meta["uid"], meta["resourceVersion"]) != (known.metadata.uid, known.metadata.resource_version):
            raise refusal(409)
        if "conditions" in status:
            made = self._cluster.say(known, status["conditions"][0])
        elif status.get("over") and self._knows_over:
            made = self._cluster.retire(known)
        else:
            claim = status["claim"]
            made = self._cluster.claim(known, claim and Claim.model_validate(claim, by_alias=True, by_name=False))
        return made.wire()
