"""The loop of the isolated child: receive a program, call it, request columns, send results."""

from __future__ import annotations

import array
import gc
import mmap
import os
import pickle
import socket
import traceback
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np

from gozen import errors
from gozen.quickdb.isolation.codec import wire
from gozen.quickdb.isolation.codec.message_frames import HEAD, VECTORS, Head, MessageKind, read_head, rest

_TRACEBACK = 48_000
_COLLECT_ABOVE = 64 << 20
"""Bytes of columns still referenced after a call, above which the garbage collector runs to free reference cycles."""


class Serving:
    """The child's end of the connection to the worker.

    Parameters
    ----------
    descriptor
        The socket: the one descriptor beyond 0, 1 and 2 that is open.
    most
        Size of the largest result that is sent, in bytes.
    """

    def __init__(self, descriptor: int, most: int) -> None:
        self._descriptor = descriptor
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)
        self._most = most
        self._shared: dict[int, mmap.mmap] = {}
        self._leased: dict[int, int] = {}
        self._watched: dict[int, weakref.ref[np.ndarray[Any, Any]]] = {}
        self._free: list[int] = []
        self._refused: BaseException | None = None
        self._program: object = None

    def run(self) -> None:
        """Serve until the worker closes the connection."""
        self._send(MessageKind.READY, [])
        program, name = b"", ""
        while True:
            head, data = self._receive()
            if head.kind is MessageKind.PROGRAM:
                program = bytes(data)
            elif head.kind is MessageKind.NAME:
                name = str(data, "utf-8")
            else:
                self._answer(program, name, data)
            del data
            if sum(self._leased.values()) > _COLLECT_ABOVE:
                gc.collect()

    def _answer(self, program: bytes, name: str, data: memoryview) -> None:
        try:
            self._program = self._program or pickle.loads(program)  # noqa: S301  # the user's own program, in an isolated process
            given = getattr(self._program, name)(wire.decode(data), self.ask)
        except BaseException as error:  # SystemExit too: the user's code must not end this process
            self._fail(error, error.__traceback__ and error.__traceback__.tb_next)
            return
        try:
            found = wire.parts(given)
        except Exception as error:
            self._fail(error, None)
            return
        size = sum(len(part) for part in found)
        if size > self._most:
            self._send(MessageKind.TOO_LARGE, [str(size).encode()])
        else:
            self._send(MessageKind.RESULT, found)

    def ask(self, request: object) -> Any:
        """Return the worker's answer to a request.

        Raises
        ------
        BadRequest
            If the worker refuses the request: the same error as in the worker.
        """
        self._send(MessageKind.REQUEST, wire.parts(request))
        head, data = self._receive()
        if head.kind is MessageKind.ANSWER:
            return wire.decode(data)
        name, message = wire.decode(data)
        self._refused = getattr(errors, name, errors.BadRequest)(message)
        raise self._refused

    def _fail(self, error: BaseException, trace: TracebackType | None) -> None:
        try:
            lines = traceback.format_exception(type(error), error, trace) if trace else []
            said = (type(error).__name__[:200], _shortened(str(error)), _shortened("".join(lines)))
        except BaseException:  # the user's exceptions may themselves raise when formatted
            said = (type(error).__name__, "(its message cannot be shown)", "")
        found = (*said, isinstance(error, MemoryError), error is self._refused)
        self._send(MessageKind.FAILURE, wire.parts(found))

    def _send(self, kind: MessageKind, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        if self._free:
            # Replaced before it is sent: during the send, a weak reference's callback may add another number.
            freed, self._free = self._free, []
            self._send(MessageKind.FREE, wire.parts(freed))
        head = Head(kind, 0, sum(len(part) for part in parts)).packed()
        left = [memoryview(part) for part in (head, *parts) if len(part)]
        while left:
            left = rest(left, os.writev(self._descriptor, left[:VECTORS]))

    def _receive(self) -> tuple[Head, memoryview]:
        while True:
            head, descriptor = self._head()
            if head.kind is not MessageKind.FORGET:
                break
            del self._shared[head.shared]
        if descriptor is not None:
            self._shared[head.shared] = mmap.mmap(descriptor, 0, mmap.MAP_SHARED, mmap.PROT_READ)
            os.close(descriptor)
        if head.shared:
            return head, self._lease(head.shared, head.length)
        return head, memoryview(self._read(head.length)).toreadonly()

    def _head(self) -> tuple[Head, int | None]:
        descriptors = array.array("i")
        data, ancillary, _, _ = self._socket.recvmsg(HEAD.size, socket.CMSG_SPACE(descriptors.itemsize))
        if not data:
            # The worker is gone. `_exit`: exit handlers that the user's code has registered must not run.
            os._exit(0)
        for _, _, content in ancillary:
            descriptors.frombytes(content)
        data += self._read(HEAD.size - len(data))
        return read_head(data), descriptors[0] if descriptors else None

    def _read(self, count: int) -> bytearray:
        data = bytearray(count)
        at = 0
        while at < count:
            got = os.readv(self._descriptor, [memoryview(data)[at:]])
            if not got:
                os._exit(0)
            at += got
        return data

    def _lease(self, number: int, length: int) -> memoryview:
        """Return the shared memory of a message; the worker is notified when nothing refers to it any more."""
        lease = np.frombuffer(self._shared[number], np.uint8, length)
        self._leased[number] = length
        self._watched[number] = weakref.ref(lease, lambda _: self._released(number))
        return lease.data

    def _released(self, number: int) -> None:
        del self._leased[number]
        self._free.append(number)


def _shortened(text: str) -> str:
    half = _TRACEBACK // 2
    return text if len(text) <= _TRACEBACK else f"{text[:half]}\n  [...]\n{text[-half:]}"
