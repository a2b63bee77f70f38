"""Send the requests of an HTTP client over connections of the standard library: half the processor time of `httpcore`.

The connections are kept and used again. Proxies are left to `httpcore`.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, RemoteDisconnected
from typing import TypeAlias

import httpx

from gozen.sharing.http_connections.answer_bodies import AnswerBody

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port."""
_KEPT_S = 5.0
"""Idle seconds after which a connection is not used again: many servers close it then, without an answer."""
_PORTS = {"http": 80, "https": 443}


class DirectTransport(httpx.BaseTransport):
    """A pool of connections; threads share it. It opens as many connections as there are requests at the same time.

    Parameters
    ----------
    trusted
        Authorities of certificates.
    """

    def __init__(self, trusted: ssl.SSLContext | None) -> None:
        self._trusted, self._lock, self._is_closed = trusted, threading.Lock(), False
        self._idle: defaultdict[Origin, list[tuple[HTTPConnection, float]]] = defaultdict(list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return the answer; its body is not yet read."""
        url, patience = request.url, request.extensions.get("timeout", {})
        origin = (url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme])
        line = self._kept(origin) or self._connected(origin, request)
        try:
            line.sock.settimeout(patience.get("write"))
            is_sent = _send(line, request)
            line.sock.settimeout(patience.get("read"))
            answer = _answer(line, request)
        except BaseException:
            line.close()
            raise
        body = AnswerBody(answer, request, partial(self._give_back, origin, line, is_sent))
        headers = [
            (name.encode("latin-1"), value.strip(" \t").encode("latin-1")) for name, value in answer.getheaders()
        ]
        return httpx.Response(answer.status, headers=headers, stream=body, extensions={"body": body})

    def close(self) -> None:
        """Close all connections that are idle; the others are closed when their answer has been read."""
        with self._lock:
            self._is_closed = True
            lines = [line for kept in self._idle.values() for line, _ in kept]
            self._idle.clear()
        for line in lines:
            line.close()

    def _kept(self, origin: Origin) -> HTTPConnection | None:
        """Return an idle connection that still works, None if there is none."""
        while True:
            with self._lock:
                if not self._idle[origin]:
                    return None
                line, since = self._idle[origin].pop()
            if time.monotonic() - since < _KEPT_S and not _is_readable(line.sock):
                return line
            line.close()

    def _connected(self, origin: Origin, request: httpx.Request) -> HTTPConnection:
        scheme, host, port = origin
        patience = request.extensions.get("timeout", {}).get("connect")
        if scheme == "https":
            line: HTTPConnection = HTTPSConnection(host, port, timeout=patience, context=self._trusted)
        else:
            line = HTTPConnection(host, port, timeout=patience)
        try:
            line.connect()
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error), request=request) from error
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        return line

    def _give_back(self, origin: Origin, line: HTTPConnection, is_sent: bool, is_usable: bool) -> None:
        with self._lock:
            if is_sent and is_usable and not self._is_closed and line.sock is not None:
                self._idle[origin].append((line, time.monotonic()))
                return
        line.close()


def _send(line: HTTPConnection, request: httpx.Request) -> bool:
    """Send a request; return whether it was sent to its end."""
    try:
        path = request.url.raw_path.decode("ascii")
        line.putrequest(request.method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.raw:
            line.putheader(name, value)
    except (HTTPException, ValueError) as error:
        raise httpx.LocalProtocolError(str(error), request=request) from error
    assert isinstance(request.stream, httpx.SyncByteStream)
    return _is_written(line.endheaders, request) and all(
        _is_written(partial(_write, line.sock, piece), request) for piece in request.stream
    )


def _is_written(write: Callable[[], object], request: httpx.Request) -> bool:
    """Write to a connection; return whether the other end still reads it."""
    try:
        write()
    except TimeoutError as error:
        raise httpx.WriteTimeout("the server is silent", request=request) from error
    except OSError:
        return False  # the server may have refused the request before its end, and have answered
    return True


def _write(line: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[line.send(left) :]


def _answer(line: HTTPConnection, request: httpx.Request) -> HTTPResponse:
    try:
        return _final(line.getresponse())
    except TimeoutError as error:
        raise httpx.ReadTimeout("the server is silent", request=request) from error
    except RemoteDisconnected as error:
        raise httpx.RemoteProtocolError(str(error), request=request) from error
    except OSError as error:
        raise httpx.ReadError(str(error), request=request) from error
    except HTTPException as error:
        raise httpx.RemoteProtocolError(f"the answer cannot be read ({error})", request=request) from error


def _final(answer: HTTPResponse) -> HTTPResponse:
    """Return the answer after those that only announce it (statuses below 200)."""
    # The standard library skips 100, but not 102 and 103; what follows would be taken for the answer of the next one.
    while answer.status < HTTPStatus.OK:
        answer.headers = answer.msg = None  # type: ignore[assignment]
        answer.begin()
    return answer


def _is_readable(line: socket.socket) -> bool:
    """Tell whether an idle connection has something to read: then the server has closed it."""
    poll = select.poll()
    poll.register(line, select.POLLIN)
    return bool(poll.poll(0))
