"""Bodies of answers: they arrive whole, directly or through a proxy, and a line that breaks or is silent is named.

Not here: what a download does then (services/test_sharing_downloads.py); how connections are kept
(services/test_sharing_connections.py).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.cluster.certificates import Authority

from gozen.sharing.account import Account
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.http_connections import answer_bodies
from gozen.sharing.retrying import ConnectionLimits

from .nextcloud_server import NextcloudServer
from .nextcloud_server.clients import quick_cloud

SIZE = 3 * 2**20
HEADERS = f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode()


@contextmanager
def answering(act: Callable[[socket.socket], None]) -> Iterator[str]:
    """Answer one request in a way of a test; yield the address."""

    def serve() -> None:
        line, _ = listener.accept()
        with line:
            line.recv(2**16)
            act(line)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@contextmanager
def body_of(url: str, timeout_s: float = 60.0) -> Iterator[Iterator[bytes | memoryview]]:
    """Yield the body of an answer in pieces."""
    limits = ConnectionLimits(read_timeout_s=timeout_s)
    with Connection(Account(url, "anna", "p"), limits) as connection, connection.stream(url, {}) as (_, pieces):
        yield pieces


def read(url: str, timeout_s: float = 60.0) -> bytes:
    """Return the body of an answer."""
    with body_of(url, timeout_s) as pieces:
        return b"".join(bytes(one) for one in pieces)


def test_a_large_body_arrives_whole_also_if_it_begins_with_the_headers() -> None:
    data = os.urandom(SIZE)
    for first in (b"", data[:1000]):

        def act(line: socket.socket, first: bytes = first) -> None:
            line.sendall(HEADERS + first)
            line.sendall(data[len(first) :])

        with answering(act) as url:
            assert read(url) == data


def test_an_answer_without_a_length_arrives_whole() -> None:
    data = os.urandom(SIZE)
    with answering(lambda line: line.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + data)) as url:
        assert read(url) == data


def test_a_body_in_chunks_arrives_whole_also_if_its_length_is_said() -> None:
    data = os.urandom(SIZE)
    half = SIZE // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (data[:half], data[half:], b""))
    headers = HEADERS.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    with answering(lambda line: line.sendall(headers + chunks)) as url:
        assert read(url) == data


def test_a_body_that_ends_early_is_an_error() -> None:
    with (
        answering(lambda line: line.sendall(HEADERS + bytes(2**20))) as url,
        pytest.raises(httpx.RemoteProtocolError, match="ended early"),
    ):
        read(url)


def test_what_arrived_before_a_line_broke_is_not_lost() -> None:
    with answering(lambda line: line.sendall(HEADERS + b"night")) as url:
        found: list[bytes] = []
        with pytest.raises(httpx.RemoteProtocolError, match="ended early"), body_of(url) as pieces:
            found.extend(bytes(one) for one in pieces)
        assert found == [b"night"]


def test_a_slow_line_shows_what_has_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_bodies, "_SHOWN_S", 0.0)
    seen = threading.Event()

    def act(line: socket.socket) -> None:
        line.sendall(HEADERS + b"night")
        assert seen.wait(60)
        line.sendall(bytes(SIZE - len(b"night")))

    with answering(act) as url, body_of(url) as pieces:
        assert bytes(next(pieces)) == b"night"
        seen.set()
        assert sum(map(len, pieces)) == SIZE - len(b"night")


def test_a_line_that_breaks_in_the_body_is_an_error() -> None:
    def act(line: socket.socket) -> None:
        line.sendall(HEADERS + bytes(2**20))
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # with RST

    with answering(act) as url, pytest.raises(httpx.TransportError):
        read(url)


def test_a_server_that_is_silent_in_the_body_is_an_error() -> None:
    over = threading.Event()

    def act(line: socket.socket) -> None:
        line.sendall(HEADERS + bytes(2**20))
        over.wait(60)

    with answering(act) as url:
        with pytest.raises(httpx.ReadTimeout, match="silent"):
            read(url, timeout_s=0.3)
        over.set()


def test_a_large_file_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    data = os.urandom(SIZE)
    (tmp_path / "cube.fits").write_bytes(data)
    with (
        NextcloudServer(tmp_path / "server", tls=authority.server("cloud", ["127.0.0.1"], [])) as server,
        quick_cloud(server.account(), tmp_path / "notes", ca_file=authority.certificate, chunk=8 * 2**20) as cloud,
    ):
        cloud.put(tmp_path / "cube.fits")
        cloud.get("cube.fits", tmp_path / "back")
    assert (tmp_path / "back" / "cube.fits").read_bytes() == data


@contextmanager
def tls_proxy(certificate: Path, key: Path) -> Iterator[str]:
    """Run a proxy that is reached over TLS and connects clients with any server; yield its address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=connect, args=[listener.accept()[0]], daemon=True).start()

    def connect(line: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(line, server_side=True) as client:
            host, port = client.recv(2**16).split()[1].decode().split(":")
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            with socket.create_connection((host, int(port))) as server:
                exchange(client, server)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def exchange(client: ssl.SSLSocket, server: socket.socket) -> None:
    """Send on what each of the two sends, until one of them ends."""
    while True:
        ready = [client] if client.pending() else select.select([client, server], [], [])[0]
        for one in ready:
            if not (data := one.recv(2**16)):
                return
            (server if one is client else client).sendall(data)


def test_a_large_file_over_tls_inside_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    tls = authority.server("cloud", ["127.0.0.1"], [])
    data = os.urandom(SIZE)
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with tls_proxy(*tls) as proxy, NextcloudServer(tmp_path / "server", tls=tls) as server:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        account = server.account()
        server.state.file(account.id, "cube.fits").write_bytes(data)
        with quick_cloud(account, tmp_path / "notes", ca_file=authority.certificate, chunk=8 * 2**20) as cloud:
            cloud.get("cube.fits", tmp_path / "back")
    assert (tmp_path / "back" / "cube.fits").read_bytes() == data
