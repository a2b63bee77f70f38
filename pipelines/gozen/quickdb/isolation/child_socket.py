"""The worker's end of the socket to the child; every wait has a time limit."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence

from gozen.quickdb.isolation import limits as limit
from gozen.quickdb.isolation.child_usage import Watch
from gozen.quickdb.isolation.codec.form import Malformed
from gozen.quickdb.isolation.codec.message_frames import HEAD, VECTORS, Head, read_head, rest
from gozen.quickdb.isolation.limits import Limits

_LOOK_EVERY = 0.02
"""Seconds between two checks of a child's threads and memory; a check reads two files of ``/proc``."""


class Closed(Exception):
    """The child has closed the connection or ended."""


class ChildSocket:
    """The worker's end of a socket to a child that may be hostile.

    Parameters
    ----------
    ours
        The worker's end; this object closes it.
    pid
        Process id of the child.
    limits
        Limits of the child.
    """

    def __init__(self, ours: socket.socket, pid: int, limits: Limits) -> None:
        ours.setblocking(False)
        self._socket = ours
        self._limits = limits
        self._watch = Watch(pid, limits)
        self._ends = 0.0
        self._served_seconds = 0.0
        self._served_bytes = 0
        self._looked = 0.0
        self._poll = select.poll()

    def give(self, seconds: float) -> None:
        """Resume the child, and limit it to `seconds` of wall-clock time from now on."""
        # A monotonic clock: one that is set back would give the function hours.
        self._ends = time.monotonic() + seconds
        self._served_seconds, self._served_bytes = 0.0, 0
        self._watch.begin()
        self._watch.resume()

    def stop(self) -> None:
        """Stop the child until the next `give`, because it has no call to work on.

        Raises
        ------
        LimitExceeded
            If the child exceeds its limit of threads, memory or processor time.
        """
        self._watch.stop()
        self._watch.look()

    def must_be_silent(self) -> None:
        """Raise if the child has sent unexpected bytes, which the next call would read as its answer.

        Raises
        ------
        Malformed
            If there are such bytes.
        """
        with contextlib.suppress(OSError):
            if self._socket.recv(1, socket.MSG_PEEK):
                raise Malformed("there are bytes after its end")

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the child within a ``with`` block; that time is not counted, but the worker's processor time is limited.

        Raises
        ------
        LimitExceeded
            If the child exceeds its limit of threads, memory or processor time, or if the worker has used too much
            processor time for it.
        """
        begun, busy = time.monotonic(), time.thread_time()
        self.stop()
        yield
        self._served_seconds += time.thread_time() - busy
        if self._served_seconds > limit.SERVING * self._limits.seconds:
            raise limit.too_much_served(self._limits)
        self._ends += time.monotonic() - begun
        self._watch.resume()

    def count(self, served: int) -> None:
        """Count bytes that the worker has read for the child; raise `LimitExceeded` if they are too many."""
        self._served_bytes += served
        if self._served_bytes > limit.SERVED * self._limits.memory_bytes:
            raise limit.too_much_served(self._limits)

    def send(self, parts: Sequence[memoryview], descriptor: int | None = None) -> None:
        """Send bytes, and with the first of them a file descriptor.

        Raises
        ------
        Closed
            If the child has ended.
        LimitExceeded
            If the child does not read the bytes in time, or exceeds another limit.
        """
        rights = []
        if descriptor is not None:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))]
        left = list(parts)
        while left:
            try:
                left = rest(left, self._socket.sendmsg(left[:VECTORS], rights, socket.MSG_NOSIGNAL))
                # Sent with the first bytes only: the child would get a second descriptor with the rest.
                rights = []
            except BlockingIOError:
                self._wait(select.POLLOUT)
            except OSError as error:
                raise Closed from error

    def head(self) -> Head:
        """Return the head of the next message.

        Raises
        ------
        Closed
            If the child has ended.
        LimitExceeded
            If the child sends nothing in time, or exceeds another limit.
        ValueError
            If the head is not valid.
        """
        self._look(time.monotonic())  # also if the child sends so fast that the worker never waits
        return read_head(bytes(self.read(HEAD.size)))

    def read(self, count: int) -> bytearray:
        """Return the next `count` bytes.

        Raises
        ------
        Closed
            If the child has ended.
        LimitExceeded
            If the child does not send the bytes in time, or exceeds another limit.
        """
        data = bytearray(count)
        at = 0
        while at < count:
            try:
                got = self._socket.recv_into(memoryview(data)[at:])
            except BlockingIOError:
                self._wait(select.POLLIN)
                continue
            except OSError as error:
                raise Closed from error
            if not got:
                raise Closed
            at += got
        return data

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _wait(self, event: int) -> None:
        self._poll.register(self._socket, event)
        self._poll.poll(1000 * max(min(_LOOK_EVERY, self._ends - time.monotonic()), 0.0))
        self._look(time.monotonic())

    def _look(self, now: float) -> None:
        if now >= self._ends:
            raise limit.too_long(self._limits)
        if now - self._looked > _LOOK_EVERY:
            self._looked = now
            self._watch.look()
