"""Test what the user sees if a lab does not start, and how a lab on a lost node ends.

The same with a running hub and an API server: tests/cluster/test_lab_starts.py.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ServerDisconnectedError
from kubernetes_asyncio.client.rest import ApiException
from kubespawner import KubeSpawner
from tests.free_ports import free_port
from tornado.httpclient import HTTPRequest

from gozen_hub.lab_spawner import LabSpawner
from gozen_hub.lab_start_errors import LabNotStarted, refused, too_late
from gozen_hub.pod_waits import FETCHED

PATIENCE_S = 0.3


@contextmanager
def listening(answer: bytes | None, port: int = 0) -> Iterator[str]:
    """Yield the address of a server that gives one answer, or none."""
    with socket.create_server(("127.0.0.1", port)) as server:
        held = []

        def serve() -> None:
            connection = server.accept()[0]
            held.append(connection)
            if answer is not None:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(5)
        for one in held:
            one.close()


def said(url: str) -> str:
    """Return what the hub's page shows when a namespace is requested at an address."""
    request = HTTPRequest(url, method="PUT", body="{}", request_timeout=PATIENCE_S)
    spawner: Any = SimpleNamespace(_namespace_request=lambda: request)
    with pytest.raises(LabNotStarted) as refusal:
        asyncio.run(LabSpawner._ensure_namespace(spawner))
    shown: str = refusal.value.jupyterhub_message
    return shown


def test_a_service_that_answers_nothing_is_named() -> None:
    with listening(None) as url:
        assert said(url).startswith("the service for namespaces does not answer: ")


def test_a_service_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert said(f"http://127.0.0.1:{port}").startswith("the service for namespaces does not answer: ")


def test_a_refusal_is_shown_in_its_own_words() -> None:
    body = b'{"message": "the namespace a belongs to the user \'b\'"}'
    head = f"HTTP/1.1 409 Conflict\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with listening(head + body) as url:
        assert said(url) == "the namespace a belongs to the user 'b'"


def test_an_answer_that_is_not_that_of_the_service_is_named() -> None:
    with listening(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno") as url:
        assert said(url) == "the service for namespaces answered 502 Bad Gateway"


def refusal(status: int, message: str, reason: str = "Forbidden") -> ApiException:
    """Return what KubeSpawner raises if the API server refuses a pod or a home."""
    error = ApiException(status=status, reason=reason)
    error.body = json.dumps({"kind": "Status", "message": message}) if message else "<html>"
    return error


EXCEEDED = (
    'pods "jupyter-hoshi" is forbidden: exceeded quota: user, requested: limits.memory=4G, used: limits.memory=30Gi, '
    "limited: limits.memory=32Gi"
)


@pytest.mark.parametrize(
    ("error", "said", "reason"),
    [
        (
            refusal(403, EXCEEDED),
            "your quota is used up (needed: limits.memory=4G; used: limits.memory=30Gi; at most: limits.memory=32Gi): "
            "wait a minute until your workers have ended, choose a smaller size, or ask your administrator",
            "quota",
        ),
        (
            refusal(403, 'pods "a" is forbidden: violates PodSecurity "restricted:latest"'),
            'Kubernetes refuses the lab: pods "a" is forbidden: violates PodSecurity "restricted:latest"; show this to '
            "your administrator",
            "refused",
        ),
        (
            refusal(503, "", "Service Unavailable"),
            "the cluster does not answer (Service Unavailable); try again in a minute",
            "cluster",
        ),
        (
            ServerDisconnectedError(),
            "the cluster does not answer (Server disconnected); try again in a minute",
            "cluster",
        ),
    ],
)
def test_a_refusal_of_the_cluster_is_a_sentence(error: Exception, said: str, reason: str) -> None:
    found = refused(error)
    assert (found.jupyterhub_message, found.reason) == (said, reason)


WARNING = {"type": "Warning", "message": "Multi-Attach error for volume pvc-1"}


@pytest.mark.parametrize(
    ("awaited", "events", "error", "said"),
    [
        (
            "no node has room (0/2); ask",
            [WARNING],
            "",
            "the lab did not start within 300 s: no node has room (0/2); ask",
        ),
        (
            FETCHED,
            [{"type": "Normal", "message": "Scheduled"}, WARNING, {"type": "Normal", "message": "Pulled"}],
            "",
            f"the lab did not start within 300 s: {FETCHED}, but: Multi-Attach error for volume pvc-1; try again in "
            "some minutes, or ask your administrator",
        ),
        (FETCHED, [], "", f"the lab did not start within 300 s: {FETCHED}"),
        ("", [], "Could not create pod a/b", "the lab did not start: Could not create pod a/b; try again in a minute"),
        ("", [], "", "the lab did not start: the cluster does not answer; try again in a minute"),
    ],
)
def test_a_lab_that_is_late_says_what_it_waits_for(
    awaited: str, events: list[dict[str, Any]], error: str, said: str
) -> None:
    assert too_late(300, awaited, events, error).jupyterhub_message == said


READY = {"type": "Ready", "status": "True"}
CONTAINERS = [{"name": "notebook", "ready": True, "state": {"running": {}}}]


def lab(due_s: float | None = None, ready: str = "True") -> dict[str, Any]:
    """Return the pod of a lab that runs, as far as is known; it should have ended so many seconds ago."""
    meta = {} if due_s is None else {"deletionTimestamp": (datetime.now(UTC) - timedelta(seconds=due_s)).isoformat()}
    return {
        "metadata": meta,
        "status": {"conditions": [READY | {"status": ready}], "containerStatuses": CONTAINERS},
    }


class Ends:
    """Stands for what KubeSpawner does to end a lab; each call is noted.

    Parameters
    ----------
    hangs
        Whether a lab that may end in its own time never does.
    """

    def __init__(self, hangs: bool) -> None:
        self.calls: list[bool] = []
        self._hangs = hangs

    async def stop(self, now: bool = False) -> None:
        self.calls.append(now)
        if self._hangs and not now:
            await asyncio.Event().wait()


def spawned(
    monkeypatch: pytest.MonkeyPatch, pod: dict[str, Any] | None, hangs: bool = False
) -> tuple[LabSpawner, list[bool]]:
    """Return the spawner of a lab that KubeSpawner takes for running, and the calls that ended it."""
    ends = Ends(hangs)

    async def runs(_: KubeSpawner) -> None:
        return None

    monkeypatch.setattr("kubespawner.spawner.load_config", lambda **_: None)
    monkeypatch.setattr("kubespawner.spawner.shared_client", lambda *_: None)
    monkeypatch.setattr(KubeSpawner, "poll", runs)
    monkeypatch.setattr(KubeSpawner, "stop", lambda _, now=False: ends.stop(now))
    monkeypatch.setattr(LabSpawner, "_pod", lambda _: pod)
    return LabSpawner(_mock=True), ends.calls


@pytest.mark.parametrize(
    ("pod", "ended"),
    [
        (lambda: None, False),
        (lab, False),
        (lambda: lab(ready="False"), False),
        (lambda: lab(30), False),
        (lambda: lab(86400), True),
    ],
    ids=["not there", "runs", "lost since a moment", "ends", "should have ended yesterday"],
)
def test_a_lab_that_kubernetes_ended_on_a_lost_node_has_ended(
    monkeypatch: pytest.MonkeyPatch, pod: Callable[[], dict[str, Any] | None], ended: bool
) -> None:
    spawner, calls = spawned(monkeypatch, pod())
    assert asyncio.run(spawner.poll()) == (1 if ended else None)
    assert calls == ([True] if ended else [])


@pytest.mark.parametrize(
    ("pod", "hangs", "expected"),
    [(lab(), False, [False]), (lab(ready="False"), True, [True]), (lab(), True, [False, True])],
    ids=["as usual", "known to be lost", "lost without a word"],
)
def test_the_end_of_a_lab_does_not_wait_for_a_lost_node(
    monkeypatch: pytest.MonkeyPatch, pod: dict[str, Any], hangs: bool, expected: list[bool]
) -> None:
    monkeypatch.setattr("gozen_hub.lab_spawner._END_S", 0.1)
    spawner, calls = spawned(monkeypatch, pod, hangs)
    asyncio.run(spawner.stop())
    assert calls == expected


@pytest.mark.parametrize(
    ("pod", "raised", "said", "watched"),
    [
        (None, None, "the cluster does not answer", [True]),
        (None, TimeoutError("Could not create pod a/b"), "Could not create pod a/b", []),
        ({"metadata": {}, "status": {"phase": "Pending"}}, None, "a node is being chosen", []),
    ],
    ids=["no pod is seen", "no pod is made", "the pod waits"],
)
def test_a_start_that_is_given_up_gives_the_reason_before_the_hub_gives_up_without_one(
    monkeypatch: pytest.MonkeyPatch,
    pod: dict[str, Any] | None,
    raised: Exception | None,
    said: str,
    watched: list[bool],
) -> None:
    """If no pod was ever seen, the hub may have lost its view of all pods: it looks again."""
    seen: list[bool] = []

    async def start(_: KubeSpawner) -> None:
        if raised:
            raise raised
        await asyncio.Event().wait()

    async def watch(_: KubeSpawner, replace: bool = False) -> None:
        seen.append(replace)

    async def given_up() -> str:
        spawner, _ = spawned(monkeypatch, pod)
        spawner.start_timeout = 1
        with pytest.raises(LabNotStarted) as error:
            await asyncio.wait_for(spawner._start(), spawner.start_timeout)
        await asyncio.sleep(0)
        return str(error.value.jupyterhub_message)

    monkeypatch.setattr(KubeSpawner, "_start", start)
    monkeypatch.setattr(KubeSpawner, "_start_watching_pods", watch)
    assert said in asyncio.run(given_up())
    assert seen == watched


def asked(url: str, ends: list[int | None], before: Callable[[], object] = lambda: None) -> int:
    """Wait for a lab whose pod is looked at before each question; return how often it was looked at."""
    looks = 0

    async def poll() -> int | None:
        nonlocal looks
        looks += 1
        if looks == 2:
            before()
        return ends[min(looks, len(ends)) - 1]

    spawner: Any = SimpleNamespace(server=SimpleNamespace(base_url="/user/ada/"), poll=poll)
    asyncio.run(asyncio.wait_for(LabSpawner._until_it_answers(spawner, url), 10))
    return looks


def test_a_start_is_over_as_soon_as_the_lab_answers() -> None:
    with ExitStack() as stack:
        port = free_port()

        def open_lab() -> None:
            body = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            assert stack.enter_context(listening(body, port)).endswith(f":{port}")

        assert asked(f"http://127.0.0.1:{port}", [None], open_lab) == 2


def test_nobody_waits_for_a_lab_that_has_ended() -> None:
    assert asked(f"http://127.0.0.1:{free_port()}", [None, 1]) == 2
