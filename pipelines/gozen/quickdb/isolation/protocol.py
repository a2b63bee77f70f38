"""Messages between a worker and its isolated child; the worker validates all that it receives."""

from __future__ import annotations

import contextlib
import math
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from gozen.errors import BadRequest, FunctionFailed, LimitExceeded, UnreadableInput
from gozen.quickdb.isolation import limits as limit
from gozen.quickdb.isolation.child_socket import ChildSocket
from gozen.quickdb.isolation.codec import wire
from gozen.quickdb.isolation.codec.form import Malformed
from gozen.quickdb.isolation.codec.message_frames import Head, MessageKind
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.isolation.shared_memory import SharedMemory

Serve = Callable[[Any], object]
_INLINE = 1 << 16
_MOST = {
    MessageKind.REQUEST: 1 << 18,
    MessageKind.FAILURE: 1 << 20,
    MessageKind.FREE: 1 << 18,
    MessageKind.TOO_LARGE: 20,
}
_SHOWN = 50_000
"""Maximum number of characters that are used of a failure's type name, of its message and of its traceback."""


class Said(Exception):
    """An error that the function raised; its process can be used again."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Conversation:
    """A child process, the connection to it, and the shared memory that it reads.

    Parameters
    ----------
    process
        The process, which runs `gozen.quickdb.isolation.child_main`.
    connection
        The worker's end of the socket to it.
    limits
        Limits of one call of a user's function.
    """

    def __init__(self, process: subprocess.Popen[bytes], connection: ChildSocket, limits: Limits) -> None:
        self.process = process
        self.connection = connection
        self._limits = limits
        self._shared = SharedMemory(limits.memory_bytes)
        self._name: str | None = None
        self._code: int | None = None

    def load(self, program: bytes) -> None:
        """Send the user's program, which the next call unpickles."""
        self.connection.give(self._limits.seconds)
        self.send(MessageKind.PROGRAM, [program])

    def call(self, name: str, argument: object, serve: Serve) -> Any:
        """Call a function and answer its requests; raise `Said` if the function raises an error."""
        self.connection.must_be_silent()  # it may have sent something just before it was stopped
        self.connection.give(self._limits.seconds)
        if name != self._name:
            self.send(MessageKind.NAME, [name.encode()])
            self._name = name
        self.send(MessageKind.CALL, wire.parts(argument))
        refused: BadRequest | None = None
        for _ in range(limit.REQUESTS + 1):
            kind, data = self._receive()
            if kind is not MessageKind.REQUEST:
                return self._given(kind, data, refused)
            with self.connection.stopped():
                answer, refused = self._answer(data, serve, refused)
            self.send(*answer)
        raise limit.too_many_requests()

    def _given(self, kind: MessageKind, data: bytearray, refused: BadRequest | None) -> Any:
        """Stop the process, and return the result of the function or raise its error."""
        self.connection.stop()
        self.connection.must_be_silent()
        if kind is MessageKind.RESULT:
            return _decoded(data, shown=True, seconds=limit.SERVING * self._limits.seconds)
        failure = _checked_failure(_decoded(data, plain=True))
        raise limit.too_much_memory(self._limits) if failure[3] else Said(_as_error(failure, refused))

    def _answer(
        self, data: bytearray, serve: Serve, refused: BadRequest | None
    ) -> tuple[tuple[MessageKind, list[wire.Buffer]], BadRequest | None]:
        """Return the answer to a request, and the error of the latest refusal."""
        request = _decoded(data, plain=True)
        try:
            answer = wire.parts(serve(request))
        except LimitExceeded:
            raise
        except BadRequest as error:
            return (MessageKind.REFUSAL, wire.parts((type(error).__name__, str(error)))), error
        self.connection.count(sum(len(part) for part in answer))
        return (MessageKind.ANSWER, answer), refused

    def send(self, kind: MessageKind, parts: Sequence[wire.Buffer]) -> None:
        """Send a message: a small one on the connection, a large one through shared memory."""
        pieces = [memoryview(part).cast("B") for part in parts if len(part)]
        length = sum(len(piece) for piece in pieces)
        if length > _INLINE and not self._shared.room_for(length):
            for number in self._shared.unused():
                self.connection.send([memoryview(Head(MessageKind.FORGET, number, 0).packed())])
        if length <= _INLINE or not self._shared.takes(length):  # inline: in the child's own memory, which is limited
            self.connection.send([memoryview(Head(kind, 0, length).packed()), *pieces])
            return
        try:
            number, descriptor = self._shared.fill(pieces, length)
        except MemoryError:
            raise limit.too_much_memory(self._limits) from None
        self.connection.send([memoryview(Head(kind, number, length).packed())], descriptor)
        self._shared.sent(number)

    def _receive(self) -> tuple[MessageKind, bytearray]:
        """Return the next request, result or failure; of its content only the length has been checked."""
        while (head := self.connection.head()).kind is MessageKind.FREE:
            self._shared.released(_numbers(_decoded(self._body(head), plain=True)))
        if head.kind is MessageKind.RESULT and head.length > self._limits.result_bytes:
            raise limit.too_large(head.length, self._limits)
        data = self._body(head)
        if head.kind is MessageKind.TOO_LARGE:
            raise limit.too_large(_digits(data), self._limits)
        return head.kind, data

    def _body(self, head: Head) -> bytearray:
        most = self._limits.result_bytes if head.kind is MessageKind.RESULT else _MOST.get(head.kind, -1)
        # Checked before memory is allocated: a head may declare more bytes than the worker has.
        if head.length > most or head.shared:
            raise Malformed(f"a message {head.kind.name} has {head.length} bytes, which is not allowed for this kind")
        return self.connection.read(head.length)

    def end(self) -> Exception:
        """Return the error of a process that ended or closed its connection during a call."""
        code = self._code
        if code is None or code >= 0:
            how = "closed its connection" if code is None else end_of(code)
            return FunctionFailed(
                f"the function ended its process ({how}): remove calls that end the process or close its files"
            )
        name = _signal_name(-code)
        if -code == signal.SIGKILL:
            return LimitExceeded(
                f"the function's process was killed ({name}), probably because the machine ran out of memory: work on "
                "fewer rows or columns at a time, or give the workers more memory"
            )
        return FunctionFailed(
            f"the function's process crashed ({name}): compiled code failed, recursed too deep, or needed more than "
            f"{limit.size(self._limits.memory_bytes)} of memory; work on fewer rows or columns at a time, recurse "
            "less, or raise the setting quickdb.memory_mb"
        )

    def close(self, patience: float = 0.0) -> None:
        """End the process; it is killed if it has not ended by itself after `patience` seconds."""
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._code = self.process.wait(patience)
        # SIGKILL: a stopped process receives any other signal only when it is resumed.
        self.process.kill()
        self.process.wait()
        self._shared.close()


def _decoded(data: bytearray, *, plain: bool = False, shown: bool = False, seconds: float = math.inf) -> Any:
    try:
        return wire.decode(data, plain=plain, shown=shown, seconds=seconds)
    except UnreadableInput as error:  # UnreadableInput would be reported as an unreadable file of the archive
        raise Malformed(str(error)) from None


def end_of(code: int) -> str:
    """Return how a process ended: its exit code, or the name of the signal that ended it."""
    return _signal_name(-code) if code < 0 else f"exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals between SIGRTMIN and SIGRTMAX have no name
        return f"signal {number}"


def _digits(data: bytearray) -> int:
    if not (data.isascii() and data.isdigit()):
        raise Malformed("the size of a result is not a number")
    return int(data)


def _numbers(free: Any) -> list[int]:
    if type(free) is not list or any(type(one) is not int for one in free):
        raise Malformed("a list of released columns is not a list of numbers")
    return free


def _checked_failure(value: Any) -> tuple[str, str, str, bool, bool]:
    if type(value) is not tuple or [type(one) for one in value] != [str, str, str, bool, bool]:
        raise Malformed("the description of an error is not valid")
    return value


def _as_error(failure: tuple[str, str, str, bool, bool], refused: BadRequest | None) -> BaseException:
    name, message, trace = (one[:_SHOWN] for one in failure[:3])
    if failure[4] and refused is not None:
        refused.add_note(printable(trace))
        return refused
    return FunctionFailed(printable(f"{name}: {message}" + (f"\n\n{trace}" if trace else "")))


def printable(text: str) -> str:
    """Return a child's text without control characters, which could move a terminal's cursor or change its colours.

    All lines but the first are indented, so that none of them can pass for a separate line of a log.
    """
    shown = "".join(one for one in text if one in "\n\t" or one.isprintable())
    return shown.replace("\n", "\n  ").replace("\n  \n", "\n\n")
