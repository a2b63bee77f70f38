"""Read the large body of an answer from its socket into one buffer, which takes less processor time.

`httpx` copies each byte several times, in blocks of at most 64 kB. A connection that is read here cannot be used
again. So only bodies that take much longer than a new connection are read here.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx

LARGE = 16 * 2**20
"""Size in bytes of the smallest body for which this saves more time than the new connection costs."""
_BLOCK = 2**18


def pieces_of(response: httpx.Response) -> Iterator[bytes | memoryview]:
    """Yield the body of an answer; each piece is valid until the next one.

    Raises
    ------
    httpx.HTTPError
        The connection broke, or the server was silent for too long.
    """
    length = _length_of(response)
    line = _socket_of(response)
    pieces = response.iter_raw()
    if line is None or length < LARGE:
        yield from pieces
        return
    # What came with the headers; after it, the client has nothing left in memory.
    yield (first := next(pieces, b""))
    yield from _from_socket(line, length - len(first), response.request)


def _length_of(response: httpx.Response) -> int:
    """Return the number of bytes of the body; 0 if the server did not send it, or sends the body in chunks."""
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() and "transfer-encoding" not in response.headers else 0


def _socket_of(response: httpx.Response) -> socket.socket | None:
    """Return the socket to read the body from; None if its bytes are encrypted (TLS through a proxy with TLS)."""
    stream = response.extensions.get("network_stream")
    if stream is None or isinstance(stream.get_extra_info("ssl_object"), ssl.SSLObject):
        return None
    line = stream.get_extra_info("socket")
    return line if isinstance(line, socket.socket) else None


def _from_socket(line: socket.socket, left: int, request: httpx.Request) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_BLOCK))
    line.settimeout(request.extensions.get("timeout", {}).get("read"))
    while left > 0:
        try:
            count = line.recv_into(buffer[: min(left, _BLOCK)])
        except TimeoutError as error:
            raise httpx.ReadTimeout("the server is silent", request=request) from error
        except OSError as error:
            raise httpx.ReadError(str(error), request=request) from error
        if count == 0:
            raise httpx.RemoteProtocolError("the answer ended early", request=request)
        left -= count
        yield buffer[:count]
