"""The operator with answers that are not from an API server: each request ends in a named error or without effect.

Covered: empty bodies, HTML, JSON that is not an object, and Kubernetes errors, with statuses from 200 to 504, for every
verb; the time after which a server asks to try again; the uid of an earlier object. Not covered: a real API server
(tests/cluster).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from kubernetes import client

from gozen.errors import BadRequest, ClusterUnavailable, GozenError
from gozen_operator.api_server.client import KubeApi
from gozen_operator.api_server.connection import ApiConnection
from gozen_operator.api_server.lease import Tenure
from gozen_operator.api_server.responses import RefusedError, checked_answer, retry_after_s
from gozen_operator.reconcile.facts import JobSeen
from gozen_operator.reconcile.object_fields import Key
from gozen_operator.reconcile.reconcile_plan import Event

KEY = Key("Exposure", "night", "field")
JOB = {"kind": "Job", "metadata": {"name": "field", "namespace": "night"}}
LEASE = {"metadata": {"name": "gozen-operator", "resourceVersion": "1"}}
VERBS: dict[str, Callable[[KubeApi], object]] = {
    "list": lambda api: api.all_of("Exposure", "night"),
    "pods": lambda api: api.pods_of("night", "uid"),
    "create": lambda api: api.create_job(JOB),
    "status": lambda api: api.write_status(KEY, "1", {}),
    "expire": lambda api: api.expire_job("night", JobSeen("field", "uid"), 1),
    "delete": lambda api: api.delete(KEY, "uid"),
    "tell": lambda api: api.tell(KEY, "uid", Event("Launched", "m"), "2030-01-01T00:00:00Z", "e"),
    "apply": lambda api: api.apply({"kind": "Exposure", "metadata": {"name": "field"}}, "night", "m"),
    "get": lambda api: api.get(KEY),
    "table": lambda api: api.table("Exposure", "night"),
    "events": lambda api: api.events_of(KEY, "uid"),
    "log": lambda api: api.log_of("night", "pod"),
    "lease": lambda api: api.lease("night", "gozen-operator"),
    "write lease": lambda api: api.write_lease("night", LEASE),
}
BODIES = {
    "nothing": b"",
    "HTML": b"<html><body>502 Bad Gateway</body></html>",
    "half": b'{"kind": "Status", "mess',
    "a list": b"[1]",
    "not text": b"\xff\xfe\x00",
}
STATUSES = (200, 301, 400, 403, 404, 409, 422, 429, 503)


@pytest.fixture(scope="module")
def door() -> Iterator[tuple[KubeApi, dict[str, Any]]]:
    """Return a client, and what the server that it asks answers."""
    says: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(says["status"])
            for name, value in {"Content-Type": "application/json", **says.get("headers", {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(says["body"])))
            self.end_headers()
            self.wfile.write(says["body"])

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - names of the library

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield (
            KubeApi(
                ApiConnection(client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{server.server_port}")))
            ),
            says,
        )
        server.shutdown()


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("verb", VERBS)
def test_an_answer_that_is_no_api_servers_is_a_named_error(
    door: tuple[KubeApi, dict[str, Any]], verb: str, body: str
) -> None:
    api, says = door
    for status in STATUSES:
        says |= {"status": status, "body": BODIES[body], "headers": {}}
        found = outcome(VERBS[verb], api)
        if isinstance(found, ClusterUnavailable):
            assert str(found).startswith(("GET /", "POST /", "PUT /", "PATCH /", "DELETE /"))
        else:
            is_log = verb == "log" and status == 200
            assert is_log or (status in (404, 409) and not found), f"{verb} makes {found!r} of {status}"


def outcome(verb: Callable[[KubeApi], object], api: KubeApi) -> object:
    """Return what a verb gives, or the named error that it raises."""
    try:
        return verb(api)
    except GozenError as error:
        return error


@pytest.mark.parametrize("body", BODIES)
def test_a_lease_is_not_held_whatever_the_answer(door: tuple[KubeApi, dict[str, Any]], body: str) -> None:
    api, says = door
    tenure = Tenure(api, "night", "me")
    for status in STATUSES:
        says |= {"status": status, "body": BODIES[body], "headers": {}}
        assert not tenure.hold(0.0, 1.8e9)


def failure(**what: Any) -> bytes:
    return json.dumps({"kind": "Status", "status": "Failure", "message": "because", **what}).encode()


def test_a_refusal_says_what_the_server_says_and_how_long_to_wait(door: tuple[KubeApi, dict[str, Any]]) -> None:
    api, says = door
    says |= {"status": 429, "body": failure(), "headers": {"Retry-After": "7"}}
    with pytest.raises(RefusedError, match="because") as refusal:
        api.all_of("Exposure", "night")
    assert (refusal.value.code, retry_after_s(refusal.value)) == (429, 7.0)
    says |= {"status": 422, "body": failure()}
    with pytest.raises(BadRequest, match="because"):
        api.create_job(JOB)


@pytest.mark.parametrize("code", [400, 422])
def test_only_the_api_server_itself_refuses_for_good(door: tuple[KubeApi, dict[str, Any]], code: int) -> None:
    api, says = door
    says |= {"status": code, "body": b'{"error": "bad gateway", "message": "of a proxy"}', "headers": {}}
    with pytest.raises(RefusedError, match=f"the API server says {code}: of a proxy") as refusal:
        api.create_job(JOB)
    assert refusal.value.name == "ClusterUnavailable"


@pytest.mark.parametrize(
    ("asked", "waits_s"), [("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("-3", 0), ("nan", 0), ("1e9", 300)]
)
def test_a_wait_that_makes_no_sense_is_bounded(asked: str, waits_s: float) -> None:
    with pytest.raises(RefusedError) as refusal:
        checked_answer("GET /", 503, {"Retry-After": asked}, b"")
    assert retry_after_s(refusal.value) == waits_s


def test_a_change_of_an_earlier_object_of_the_name_changes_nothing(door: tuple[KubeApi, dict[str, Any]]) -> None:
    api, says = door
    causes = [{"reason": "FieldValueInvalid", "message": "field is immutable", "field": "metadata.uid"}]
    says |= {"status": 422, "body": failure(details={"causes": causes}), "headers": {}}
    assert VERBS["expire"](api) is None
    assert VERBS["status"](api) is None
