"""Connections to a server: they are used again if they can be, and a refusal in the middle of an upload is heard.

Not here: bodies of answers (services/test_sharing_answer_bodies.py); which requests are repeated
(unit/test_sharing_answers.py).
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import pytest

from gozen.errors import CloudUnavailable
from gozen.sharing.account import Account
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.http_connections import answer_bodies, direct_transport
from gozen.sharing.retrying import ConnectionLimits

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"


@dataclass
class Lines:
    """What a server has seen: its address, and the first lines of the requests of each connection."""

    url: str
    requests: list[list[str]] = field(default_factory=list)


Act = Callable[[socket.socket, str], bool]
"""Answers a request, of which it gets the head; returns whether the connection stays open."""


@contextmanager
def serving(act: Act) -> Iterator[Lines]:
    """Run a server that answers in a way of a test."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lines = Lines(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def serve() -> None:
            with suppress(OSError):
                while True:
                    lines.requests.append([])
                    threading.Thread(target=talk, args=(listener.accept()[0], lines.requests[-1]), daemon=True).start()

        def talk(line: socket.socket, seen: list[str]) -> None:
            with line, suppress(OSError):
                while head := head_of(line):
                    seen.append(head.partition("\r\n")[0])
                    if not act(line, head):
                        return

        threading.Thread(target=serve, daemon=True).start()
        yield lines
        listener.shutdown(socket.SHUT_RDWR)


def head_of(line: socket.socket) -> str:
    """Return the head of the next request, empty if the client has closed the connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (byte := line.recv(1)):
            return ""
        head += byte
    return head.decode()


def good(line: socket.socket, _head: str) -> bool:
    """Answer as a server that keeps the connection."""
    line.sendall(GOOD)
    return True


@contextmanager
def connected(url: str, **limits: float) -> Iterator[Connection]:
    """Connect to a server, with one attempt for each request."""
    with Connection(Account(url, "anna", "p"), ConnectionLimits(attempts=1, **limits)) as connection:  # type: ignore[arg-type]
        yield connection


def ask(connection: Connection, method: str = "GET", **options: object) -> bytes:
    """Send a request, and return the body of the answer."""
    url = connection.account.url
    return connection.request(method, url, subject="a.fits", doing="read", **options).body  # type: ignore[arg-type]


def used(lines: Lines) -> list[int]:
    """Return the number of requests of each connection that had some."""
    return [len(seen) for seen in lines.requests if seen]


def test_requests_one_after_the_other_share_a_connection() -> None:
    with serving(good) as lines, connected(lines.url) as connection:
        assert [ask(connection), ask(connection, "PROPFIND"), ask(connection)] == [b"good"] * 3
        assert used(lines) == [3]


def test_a_connection_is_used_again_after_a_large_body() -> None:
    size = 20 * 2**20

    def act(line: socket.socket, _head: str) -> bool:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        return True

    with serving(act) as lines, connected(lines.url) as connection:
        for _ in range(2):
            with connection.stream(lines.url, {}) as (_, pieces):
                assert sum(map(len, pieces)) == size
        assert used(lines) == [2]


def test_after_a_body_that_was_not_read_to_its_end_another_connection_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_bodies, "_SHOWN_S", 0.0)

    def act(line: socket.socket, _head: str) -> bool:
        line.sendall(GOOD.replace(b": 4", b": 1000000"))  # the rest would come later
        return True

    with serving(act) as lines, connected(lines.url) as connection:
        for _ in range(2):
            with connection.stream(lines.url, {}) as (_, pieces):
                next(pieces)
        assert used(lines) == [1, 1]


def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    def announced(line: socket.socket, _head: str) -> bool:
        line.sendall(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        return False

    closed = threading.Event()

    def silent(line: socket.socket, _head: str) -> bool:
        line.sendall(GOOD)
        line.close()
        closed.set()
        return False

    for act in (announced, silent):
        with serving(act) as lines, connected(lines.url) as connection:
            assert ask(connection) == b"good"
            assert act is announced or closed.wait(60)
            assert ask(connection) == b"good"
            assert used(lines) == [1, 1]


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
def test_an_answer_that_only_announces_another_one_is_skipped(more: bytes) -> None:
    def act(line: socket.socket, head: str) -> bool:
        early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n" + more + b"\r\nHTTP/1.1 102 Processing\r\n\r\n"
        name = head.split()[0].encode()
        line.sendall(early + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(name) + name)
        return True

    with serving(act) as lines, connected(lines.url) as connection:
        assert [ask(connection), ask(connection, "PROPFIND"), ask(connection)] == [b"GET", b"PROPFIND", b"GET"]


def test_after_a_body_whose_form_is_damaged_another_connection_is_used() -> None:
    def act(line: socket.socket, _head: str) -> bool:
        line.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\nno number\r\n")
        return True

    with serving(act) as lines, connected(lines.url) as connection:
        for _ in range(2):
            with pytest.raises(CloudUnavailable):
                ask(connection)
        assert used(lines) == [1, 1]


def test_blanks_around_a_header_do_not_belong_to_it() -> None:
    def act(line: socket.socket, _head: str) -> bool:
        line.sendall(GOOD.replace(b"Content-Length", b'ETag:  "a" \t\r\nContent-Length'))
        return True

    with serving(act) as lines, connected(lines.url) as connection:
        answer = connection.request("GET", lines.url, subject="a", doing="read")
        assert answer.headers["etag"] == '"a"'


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_transport, "_KEPT_S", 0.0)
    with serving(good) as lines, connected(lines.url) as connection:
        assert [ask(connection), ask(connection)] == [b"good", b"good"]
        assert used(lines) == [1, 1]


def test_a_refusal_in_the_middle_of_an_upload_is_heard_and_the_connection_not_used_again() -> None:
    class Large:
        length = 64 * 2**20

        def __iter__(self) -> Iterator[bytes]:
            return iter([bytes(2**20)] * 64)

    def act(line: socket.socket, head: str) -> bool:
        if head.startswith("PUT"):
            line.sendall(b"HTTP/1.1 507 Full\r\nContent-Length: 4\r\n\r\nfull")
            line.shutdown(socket.SHUT_RD)
            return False
        return good(line, head)

    with serving(act) as lines, connected(lines.url) as connection:
        answer = connection.request("PUT", lines.url, subject="a", doing="send", body=Large(), accept=(507,))
        assert (answer.status, answer.body) == (507, b"full")
        assert ask(connection) == b"good"


def test_a_server_that_says_nothing_or_nonsense_is_named() -> None:
    def reset(line: socket.socket, _head: str) -> bool:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def nonsense(line: socket.socket, _head: str) -> bool:
        line.sendall(b"220 mail.example.org ESMTP\r\n\r\n")
        return False

    for act in (lambda *_: False, reset, nonsense):
        with (
            serving(act) as lines,
            connected(lines.url) as connection,
            pytest.raises(CloudUnavailable, match=r"cannot read a\.fits: .* broke the connection"),
        ):
            ask(connection)
    over = threading.Event()
    with serving(lambda *_: over.wait(60)) as lines, connected(lines.url, read_timeout_s=0.2) as connection:
        with pytest.raises(CloudUnavailable, match="does not answer in time"):
            ask(connection)
        over.set()


def test_a_header_that_would_become_two_is_not_sent() -> None:
    with serving(good) as lines, connected(lines.url) as connection:
        with pytest.raises(httpx.LocalProtocolError), connection.stream(lines.url, {"If-Match": '"a"\r\nX: b'}):
            pass
        assert used(lines) == []


def test_a_proxy_is_used_unless_the_environment_excepts_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "all_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(good) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with connected("http://localhost:1/cloud") as connection:
            assert ask(connection) == b"good"
        assert proxy.requests[0] == ["GET http://localhost:1/cloud HTTP/1.1"]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with serving(good) as lines, connected(lines.url) as connection:
            assert ask(connection) == b"good"
            assert used(lines) == [1]
