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
"""Seconds in which a child may start threads or fill memory unseen; a look reads two files of ``/proc``."""


class Closed(Exception):
    """The other end is gone."""


class ChildSocket:
    """A socket to a child that may be hostile.

    Parameters
    ----------
    ours
        The worker's end, from now on this object's.
    pid
        The child.
    limits
        What it may take, for the messages.
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
        """Let the child run, and say how long it may take from now on, in seconds of the clock on the wall."""
        # A clock that only grows: one that is set back would give the function hours.
        self._ends = time.monotonic() + seconds
        self._served_seconds, self._served_bytes = 0.0, 0
        self._watch.begin()
        self._watch.resume()

    def stop(self) -> None:
        """Let the child stand still until it is given time again: it has no call.

        Raises
        ------
        LimitExceeded
            When it has more threads or memory than it may.
        """
        self._watch.stop()
        self._watch.look()

    def must_be_silent(self) -> None:
        """See that the child has said nothing that nobody waits for: the next call would take it for its answer.

        Raises
        ------
        ValueError
            When it has.
        """
        with contextlib.suppress(OSError):
            if self._socket.recv(1, socket.MSG_PEEK):
                raise Malformed("something after it")

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Let the child stand still and do not count the time, but what the worker itself does for it.

        Raises
        ------
        LimitExceeded
            When the child has more threads or memory than it may; when it has kept the worker busy for too long.
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
        """Count bytes that the worker has read for the child; `LimitExceeded` when they are too many."""
        self._served_bytes += served
        if self._served_bytes > limit.SERVED * self._limits.memory_bytes:
            raise limit.too_much_served(self._limits)

    def send(self, parts: Sequence[memoryview], descriptor: int | None = None) -> None:
        """Send bytes, with a descriptor at their first.

        Raises
        ------
        Closed, LimitExceeded
            When the child is gone; when it does not read in time.
        """
        rights = []
        if descriptor is not None:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))]
        left = list(parts)
        while left:
            try:
                left = rest(left, self._socket.sendmsg(left[:VECTORS], rights, socket.MSG_NOSIGNAL))
                # Sent with the first bytes alone: with the rest the child would get a second descriptor.
                rights = []
            except BlockingIOError:
                self._wait(select.POLLOUT)
            except OSError as error:
                raise Closed from error

    def head(self) -> Head:
        """Return the head of the next message.

        Raises
        ------
        Closed, LimitExceeded, ValueError
            When the child is gone; when it sends nothing in time; when it is no head.
        """
        self._look(time.monotonic())  # also when the child sends so fast that nothing is ever waited for
        return read_head(bytes(self.read(HEAD.size)))

    def read(self, count: int) -> bytearray:
        """Return the next bytes.

        Raises
        ------
        Closed, LimitExceeded
            When the child is gone; when it does not send them in time.
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
