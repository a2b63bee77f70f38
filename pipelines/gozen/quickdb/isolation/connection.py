"""The worker's end of the socket: every wait has an end, whatever the child does or leaves undone."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gozen.quickdb.isolation import limits as limit
from gozen.quickdb.isolation.frames import HEAD, VECTORS, Head, read_head, rest
from gozen.quickdb.isolation.limits import Limits

_LOOK_EVERY = 0.02


class Closed(Exception):
    """The other end is gone."""


class Connection:
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
        self._about = Path(f"/proc/{pid}/stat")
        self._ends = 0.0
        self._looked = 0.0
        self._poll = select.poll()

    def give(self, seconds: float) -> None:
        """Say how long the child may take from now on, in seconds of the clock on the wall."""
        self._ends = time.monotonic() + seconds

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Do not count the time that the worker itself takes."""
        begun = time.monotonic()
        yield
        self._ends += time.monotonic() - begun

    def send(self, parts: Sequence[memoryview], descriptor: int | None = None) -> None:
        """Send bytes, with a descriptor at their first.

        Raises
        ------
        Closed, LimitExceeded
            When the child is gone; when it does not read in time.
        """
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))] if descriptor else []
        left = list(parts)
        while left:
            try:
                left = rest(left, self._socket.sendmsg(left[:VECTORS], rights, socket.MSG_NOSIGNAL))
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
            self._count_threads()

    def _count_threads(self) -> None:
        # No limit of the kernel's counts the threads of one process alone: RLIMIT_NPROC counts all of the user's.
        try:
            threads = int(self._about.read_text("ascii").rpartition(")")[2].split()[17])
        except (OSError, IndexError):
            return  # it has just ended, which the socket will tell
        if threads > limit.THREADS:
            raise limit.too_many_threads(threads)
