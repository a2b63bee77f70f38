"""Read the body of an answer into one buffer, from a connection that is used again if the body was read to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from io import DEFAULT_BUFFER_SIZE

import httpx

_BLOCK = 2**19
"""Bytes of a piece. If all pieces of a file are whole pages, the system writes them with less work."""
_SHOWN_S = 1.0
"""Seconds after which a slow line yields a smaller piece, so that progress is shown and the user can interrupt it."""
_UNKNOWN = 2**16
"""Bytes that are read at once of a body whose length the server does not say."""


class AnswerBody(httpx.SyncByteStream):
    """The body of an answer.

    Parameters
    ----------
    end
        Is called once, with whether the connection can be used again.
    """

    def __init__(self, answer: HTTPResponse, request: httpx.Request, end: Callable[[bool], None]) -> None:
        self._answer, self._request, self._end = answer, request, end
        self._left, self._is_begun, self._is_ended, self._is_over = answer.length, False, False, False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces(_UNKNOWN):
            yield bytes(piece)

    def pieces(self, block: int = _BLOCK) -> Iterator[memoryview]:
        """Yield the body in pieces of this many bytes, on a slow line of fewer; each piece is valid until the next one.

        Raises
        ------
        httpx.HTTPError
            The connection broke, or the server was silent for too long. What arrived before was yielded.
        """
        buffer = memoryview(bytearray(block if self._left is None else min(block, self._left)))
        filled, since = 0, time.monotonic()
        while True:
            try:
                count = self._read(buffer[filled:])
            except httpx.HTTPError:
                if filled:
                    yield buffer[:filled]
                raise
            filled += count
            if filled and (count == 0 or filled == len(buffer) or time.monotonic() - since > _SHOWN_S):
                yield buffer[:filled]
                filled, since = 0, time.monotonic()
            if count == 0:
                return

    def close(self) -> None:
        """Give the connection back."""
        if self._is_over:
            return
        self._is_over = True
        is_read = self._is_ended if self._left is None else self._left == 0
        self._answer.close()
        self._end(is_read and not self._answer.will_close)

    def _read(self, buffer: memoryview) -> int:
        try:
            return self._read_unknown(buffer) if self._left is None else self._read_known(buffer[: self._left])
        except TimeoutError as error:
            raise httpx.ReadTimeout("the server is silent", request=self._request) from error
        except OSError as error:
            raise httpx.ReadError(str(error), request=self._request) from error
        except HTTPException as error:
            raise httpx.RemoteProtocolError(f"the answer ended early ({error})", request=self._request) from error

    def _read_known(self, buffer: memoryview) -> int:
        if not self._left:
            return 0
        if not self._is_begun:
            self._is_begun, buffer = True, buffer[:DEFAULT_BUFFER_SIZE]  # else it waits for more than what is in memory
        count = self._answer.fp.readinto1(buffer)
        if count == 0:
            raise httpx.RemoteProtocolError("the answer ended early", request=self._request)
        self._left -= count
        return count

    def _read_unknown(self, buffer: memoryview) -> int:
        data = self._answer.read1(min(_UNKNOWN, len(buffer)))
        self._is_ended = not data
        buffer[: len(data)] = data
        return len(data)


def pieces_of(response: httpx.Response) -> Iterator[bytes | memoryview]:
    """Yield the body of an answer, also of one that came through a proxy; each piece is valid until the next one.

    Raises
    ------
    httpx.HTTPError
        The connection broke, or the server was silent for too long.
    """
    body = response.extensions.get("body")
    yield from body.pieces() if isinstance(body, AnswerBody) else response.iter_raw()
