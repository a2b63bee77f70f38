"""Pauses between attempts, which end at once if the user interrupts the work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


class Stopped(Exception):
    """The user has interrupted the work of which this request is a part."""


@dataclass(frozen=True)
class Clock:
    """The clock (seconds) and the wait function for pauses; tests replace them."""

    now: Callable[[], float] = time.monotonic
    wait: Callable[[float, threading.Event], object] = lambda seconds, stop: stop.wait(seconds)


class Gate:
    """Delays requests as long as an overloaded server has requested; threads share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock, self._opens = clock, threading.Lock(), 0.0

    def shut(self, seconds: float) -> None:
        """Delay all requests for some time."""
        with self._lock:
            self._opens = max(self._opens, self._clock.now() + seconds)

    def wait(self, stop: threading.Event, seconds: float = 0.0) -> None:
        """Wait for some time, and until the gate is open; raise `Stopped` if the event is set."""
        check(stop)
        while (pause := max(seconds, self._opens - self._clock.now())) > 0:
            self._clock.wait(pause, stop)
            check(stop)
            seconds = 0.0


def check(stop: threading.Event) -> None:
    """Raise `Stopped` if the event is set."""
    if stop.is_set():
        raise Stopped
