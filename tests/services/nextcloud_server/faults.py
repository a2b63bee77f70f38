"""Faults of requests that a test chooses by number or at random."""

from __future__ import annotations

import contextlib
import io
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .http import App, Environ, Reply, Start, refusal


class Fault(StrEnum):
    """What befalls a request."""

    SLOW = "answered late"
    CUT_BEFORE = "cut before it is read"
    CUT_INSIDE = "cut in the middle of its body"
    CUT_AFTER = "carried out, cut before the answer"
    CUT_ANSWER = "carried out, cut in the middle of the answer"
    LATE = "cut, and carried out later"
    ERROR = "500 instead of doing it"
    WRONGED = "carried out, 500 instead of the answer"
    GATEWAY = "carried out, 504 instead of the answer"
    LOCKED = "423 instead of doing it"
    MANY = "429 with Retry-After instead of doing it"
    THROTTLED = "429 without Retry-After instead of doing it"
    BUSY = "503 with Retry-After instead of doing it"
    MAINTENANCE = "503, the server is in maintenance"
    SILENT = "not answered until the test releases it"
    FULL = "507 instead of doing it"
    REVOKED = "401 instead of doing it"


PASSING = tuple(one for one in Fault if one not in (Fault.SILENT, Fault.FULL, Fault.REVOKED))
"""Faults after which the same request may succeed."""
CHANGING = frozenset({Fault.CUT_INSIDE, Fault.CUT_AFTER, Fault.LATE, Fault.WRONGED})
"""Faults that differ from a plain `CUT_BEFORE` or `ERROR` only for requests that change something."""
READS = frozenset({"GET", "PROPFIND"})
Choose = Callable[[int, str, str], Fault | None]
"""Says what befalls a request, by its number, method and path."""


@dataclass
class Plan:
    """Faults by the number of the request, counted from 1."""

    faults: dict[int, Fault]

    def __call__(self, number: int, method: str, path: str) -> Fault | None:
        """Choose."""
        return self.faults.get(number)


@dataclass
class OneRequest:
    """One fault for one request.

    Parameters
    ----------
    number
        Of the request, counted from 1.
    only_changes
        Whether only requests that change something count.
    """

    number: int
    fault: Fault
    only_changes: bool = False
    counted: int = 0

    def __call__(self, number: int, method: str, path: str) -> Fault | None:
        """Choose."""
        if self.only_changes and method in READS:
            return None
        self.counted += 1
        return self.fault if self.counted == self.number else None


@dataclass
class Dice:
    """Faults at random, as a seed decides: the n-th request for one thing meets the same one in every run.

    Parameters
    ----------
    share
        Of requests that meet a fault.
    most
        Faults that the requests for one thing meet, so that everything comes to an end.
    """

    seed: str
    share: float
    most: int = 3
    kinds: Sequence[Fault] = PASSING
    met: Counter[Fault] = field(default_factory=Counter)
    _asked: Counter[str] = field(default_factory=Counter)
    _troubled: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, number: int, method: str, path: str) -> Fault | None:
        """Choose."""
        thing = f"{method} {path}"
        with self._lock:
            self._asked[thing] += 1
            dice = random.Random(f"{self.seed} {thing} {self._asked[thing]}")
            if self._troubled[thing] >= self.most or dice.random() >= self.share:
                return None
            self._troubled[thing] += 1
            fault = dice.choice(self.kinds)
            self.met[fault] += 1
        return fault


class Faulty:
    """An application of which some requests break.

    Parameters
    ----------
    app
        What answers the others.
    """

    def __init__(self, app: App) -> None:
        self._app, self._lock = app, threading.Lock()
        self.choose: Choose = lambda *_: None
        self.log: list[tuple[str, str]] = []
        self._late: list[threading.Thread] = []
        self.silent, self.released = threading.Event(), threading.Event()
        """Whether a request is not answered now, and what ends that."""

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request, or break it."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._lock:
            self.log.append((method, path))
            fault = self.choose(len(self.log), method, path)
        if fault is None:
            return self._app(environ, start)
        return self._break(fault, environ, start)

    def settle(self) -> None:
        """Return when everything that was to be carried out later is."""
        while True:
            with self._lock:
                late = self._late.pop() if self._late else None
            if late is None:
                return
            late.join()

    def _break(self, fault: Fault, environ: Environ, start: Start) -> Iterable[bytes]:
        if fault is Fault.SLOW:
            time.sleep(0.02)
            return self._app(environ, start)
        if fault is Fault.SILENT:
            self.silent.set()
            self.released.wait()
            return _cut(environ)
        if fault in _REFUSALS:
            _drain(environ)
            return _REFUSALS[fault].send(start)
        if fault is Fault.CUT_BEFORE:
            return _cut(environ)
        if fault is Fault.CUT_INSIDE:
            environ["wsgi.input"].read(_length(environ) // 2)
            return _cut(environ)
        if fault is Fault.LATE:
            return self._do_late(environ)
        kept = _Kept()
        kept.body = b"".join(self._app(environ, kept.start))
        if fault in (Fault.WRONGED, Fault.GATEWAY):
            return refusal(500 if fault is Fault.WRONGED else 504, "Internal error").send(start)
        if fault is Fault.CUT_ANSWER and kept.body:
            start(kept.status, kept.headers)
            return _half(environ, kept.body)
        return _cut(environ)

    def _do_late(self, environ: Environ) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(_length(environ))
        later = {**environ, "wsgi.input": io.BytesIO(body)}

        def act() -> None:
            time.sleep(0.02)
            list(self._app(later, _Kept().start))

        thread = threading.Thread(target=act, daemon=True)
        with self._lock:  # a thread that is not started cannot be waited for
            self._late.append(thread)
            thread.start()
        return _cut(environ)


@dataclass
class _Kept:
    """An answer that is not sent."""

    status: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        """Keep it."""
        self.status, self.headers = status, headers


_REFUSALS: dict[Fault, Reply] = {
    Fault.ERROR: refusal(500, "An unexpected error occurred"),
    Fault.LOCKED: refusal(423, '"files/anna/a" is locked, existing lock on file: 1 shared locks'),
    Fault.MANY: refusal(429, "Reached maximum delay", Retry_After="1"),
    Fault.THROTTLED: refusal(429, "Reached maximum delay"),
    Fault.BUSY: refusal(503, "The server is overloaded", Retry_After="1"),
    Fault.MAINTENANCE: refusal(503, "System is in maintenance mode."),  # the header is on other pages only
    Fault.FULL: refusal(507, "Insufficient space in /, 10 required, 0 available"),
    Fault.REVOKED: refusal(401, "No public access to this resource., Username or password was incorrect"),
}


def _length(environ: Environ) -> int:
    return int(environ.get("CONTENT_LENGTH") or 0)


def _drain(environ: Environ) -> None:
    left = _length(environ)
    while left > 0 and (data := environ["wsgi.input"].read(min(left, 2**16))):
        left -= len(data)


def _half(environ: Environ, body: bytes) -> Iterable[bytes]:
    yield body[: len(body) // 2]
    with contextlib.suppress(OSError):
        environ["gozen.socket"].shutdown(socket.SHUT_RDWR)  # with FIN, so that the client gets this half
    raise ConnectionResetError("cut")


def _cut(environ: Environ) -> Iterable[bytes]:
    """End the connection at once, with RST."""
    line: socket.socket = environ["gozen.socket"]
    with contextlib.suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("cut")
