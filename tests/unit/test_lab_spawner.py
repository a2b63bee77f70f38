"""What the user sees if the service for namespaces refuses, is away, or answers nothing."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest

from gozen_hub.lab_spawner import LabSpawner

PATIENCE_S = 0.3


@contextmanager
def listening(answer: bytes | None) -> Iterator[str]:
    """Yield the address of a server that gives one answer, or none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
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
    with pytest.raises(RuntimeError) as refusal:
        asyncio.run(LabSpawner._ensure_namespace(spawner))
    shown: str = refusal.value.jupyterhub_message  # type: ignore[attr-defined]
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
