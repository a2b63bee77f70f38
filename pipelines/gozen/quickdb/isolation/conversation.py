"""What a worker and the process of a user's function say to each other; the worker never trusts what it hears."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from gozen.errors import BadRequest, FunctionFailed, LimitExceeded
from gozen.quickdb.isolation import limits as limit
from gozen.quickdb.isolation import wire
from gozen.quickdb.isolation.connection import Connection
from gozen.quickdb.isolation.frames import Head, Kind
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.isolation.shared import SharedMemory

Serve = Callable[[Any], object]
_INLINE = 1 << 16
_MOST = {Kind.REQUEST: 1 << 20, Kind.FAILURE: 1 << 20, Kind.FREE: 1 << 20, Kind.TOO_LARGE: 20}


class Said(Exception):
    """The function failed in good order: its process lives on."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Conversation:
    """A process, the connection to it, and the memory that it reads.

    Parameters
    ----------
    process
        Runs `gozen.quickdb.isolation.inside`.
    connection
        To it.
    limits
        What a call may take.
    """

    def __init__(self, process: subprocess.Popen[bytes], connection: Connection, limits: Limits) -> None:
        self.process = process
        self.connection = connection
        self._limits = limits
        self._shared = SharedMemory(limits.memory_bytes)
        self._name: str | None = None
        self._code: int | None = None

    def call(self, name: str, argument: object, serve: Serve) -> Any:
        """Call a function and answer what it asks; `Said` where it fails in good order."""
        self.connection.give(self._limits.seconds)
        if name != self._name:
            self.send(Kind.NAME, [name.encode()])
            self._name = name
        self.send(Kind.CALL, wire.parts(argument))
        refused: BadRequest | None = None
        for _ in range(limit.REQUESTS + 1):
            kind, value = self._receive()
            if kind is Kind.RESULT:
                return value
            if kind is Kind.FAILURE:
                raise Said(_as_error(value, refused)) if not value[3] else limit.too_much_memory(self._limits)
            try:
                with self.connection.stopped():
                    answer = wire.parts(serve(value))
            except BadRequest as error:
                refused = error
                self.send(Kind.REFUSAL, wire.parts((type(error).__name__, str(error))))
            else:
                self.send(Kind.ANSWER, answer)
        raise limit.too_many_requests()

    def send(self, kind: Kind, parts: Sequence[wire.Buffer]) -> None:
        """Send a message: a small one on the connection, a large one through shared memory."""
        pieces = [memoryview(part).cast("B") for part in parts if len(part)]
        length = sum(len(piece) for piece in pieces)
        if length <= _INLINE:
            self.connection.send([memoryview(Head(kind, 0, length).packed()), *pieces])
            return
        if not self._shared.room_for(length):
            for number in self._shared.unused():
                self.connection.send([memoryview(Head(Kind.FORGET, number, 0).packed())])
        try:
            number, descriptor = self._shared.fill(pieces, length)
        except MemoryError:
            raise limit.too_much_memory(self._limits) from None
        self.connection.send([memoryview(Head(kind, number, length).packed())], descriptor)

    def _receive(self) -> tuple[Kind, Any]:
        while (head := self.connection.head()).kind is Kind.FREE:
            self._shared.released(_numbers(wire.decode(self.connection.read(min(head.length, _MOST[Kind.FREE])))))
        most = self._limits.result_bytes if head.kind is Kind.RESULT else _MOST.get(head.kind, -1)
        if head.kind is Kind.RESULT and head.length > most:
            raise limit.too_large(head.length, self._limits)
        if head.length > most or head.shared:
            raise ValueError(f"a message {head.kind.name} of {head.length} bytes")
        data = self.connection.read(head.length)
        if head.kind is Kind.TOO_LARGE:
            raise limit.too_large(int(data), self._limits)
        value = wire.decode(data)
        return head.kind, _checked_failure(value) if head.kind is Kind.FAILURE else value

    def end(self) -> Exception:
        """Return the error of a process that ended, or closed its connection, in the middle of a call."""
        code = self._code
        if code is None or code >= 0:
            how = "closed its connection" if code is None else f"exit code {code}"
            return FunctionFailed(f"the function ended its process ({how}): leave out calls that end or close things")
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL:
            return LimitExceeded(
                f"the function's process was killed ({name}), which is what a machine does that runs out of memory: "
                "work on fewer rows or columns at a time, or ask for more memory for the workers"
            )
        return FunctionFailed(
            f"the function's process crashed ({name}): compiled code failed, recursed too deep, or could not have "
            f"more than {limit.size(self._limits.memory_bytes)} of memory"
        )

    def close(self, patience: float = 0.0) -> None:
        """End the process, which has so many seconds to end by itself."""
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._code = self.process.wait(patience)
        self.process.kill()
        self.process.wait()
        self._shared.close()


def _numbers(free: Any) -> list[int]:
    if type(free) is not list or any(type(one) is not int for one in free):
        raise ValueError("no list of numbers")
    return free


def _checked_failure(value: Any) -> tuple[str, str, str, bool, bool]:
    if type(value) is not tuple or [type(one) for one in value] != [str, str, str, bool, bool]:
        raise ValueError("no failure")
    return value


def _as_error(failure: tuple[str, str, str, bool, bool], refused: BadRequest | None) -> BaseException:
    name, message, trace, _, was_refused = failure
    if was_refused and refused is not None:
        refused.add_note(printable(trace))
        return refused
    return FunctionFailed(printable(f"{name}: {message}" + (f"\n\n{trace}" if trace else "")))


def printable(text: str) -> str:
    """Return a child's text without what would move a terminal's cursor or colour it."""
    return "".join(one for one in text if one in "\n\t" or one.isprintable())
