"""The worker's end: a child process that is locked before it hears of the user, and whose words are never trusted."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from gozen.errors import BadRequest, FunctionFailed, IsolationUnavailable, LimitExceeded, UnreadableInput
from gozen.quickdb.isolation import limits as limit
from gozen.quickdb.isolation import wire
from gozen.quickdb.isolation.connection import Closed, Connection
from gozen.quickdb.isolation.frames import Head, Kind
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.isolation.lockdown import available
from gozen.quickdb.isolation.shared import SharedMemory

Serve = Callable[[Any], object]
_START = "import sys; sys.path.append(sys.argv[1]); from gozen.quickdb.isolation.inside import main; main()"
_START_SECONDS = 60.0
_INLINE = 1 << 16
_MOST = {Kind.REQUEST: 1 << 20, Kind.FAILURE: 1 << 20, Kind.FREE: 1 << 20, Kind.TOO_LARGE: 20}
_LAST_BREATH_SECONDS = 1.0
"""In which a process that has closed its connection shows how it ended."""
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "TZ")


class Child:
    """A process that runs one user's program without network, files and credentials, and within limits.

    It starts at the first call. A call that breaks a limit, or with which the process ends, leaves none; the next call
    starts another. It serves one program: another one gets a process of its own, with nothing left of the first. It
    belongs to the thread that calls it and ends when that thread, or the whole worker, ends.

    Parameters
    ----------
    limits
        What a call may take.
    preload
        Modules that the process imports before it is told of the program.
    """

    def __init__(self, limits: Limits = Limits(), preload: Sequence[str] = ("numpy",)) -> None:  # noqa: B008  # frozen
        self._limits = limits
        self._preload = tuple(preload)
        self._running: _Running | None = None
        self._program: bytes | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def limits(self) -> Limits:
        """What a call may take."""
        return self._limits

    @property
    def pid(self) -> int | None:
        """The number of the process that runs now, None between two."""
        return self._running.process.pid if self._running else None

    def start(self) -> None:
        """Start the process now rather than at the first call.

        Raises
        ------
        IsolationUnavailable
            When this machine cannot keep it apart.
        """
        if self._running is not None and self._running.process.poll() is not None:
            self.close()
        if self._running is None:
            self._running = _start(self._limits, self._preload)

    def call(self, program: bytes, name: str, argument: object, serve: Serve) -> Any:
        """Call a function of the user's.

        Parameters
        ----------
        program
            A pickled object (cloudpickle). Only the child unpickles it, once.
        name
            Which attribute of the object is called, as ``f(argument, ask)``.
        argument
            Plain data (`wire.decode`); arrays reach the function without a copy and cannot be written to there.
        serve
            Answers what the function asks for with ``ask(request)``. A `BadRequest` that it raises is raised in
            the function, and again here when the function lets it through; everything else ends the call at once.

        Returns
        -------
        What the function gave, as plain data of the worker's own.

        Raises
        ------
        FunctionFailed
            With the function's traceback; also when its process crashed, or its result is no plain data.
        LimitExceeded
            When it took more memory, time, threads or room for its result than it may.
        IsolationUnavailable
            When this machine cannot keep it apart; the function has not run then.
        """
        if self._program not in (None, program):
            self.close()
        self.start()
        running = self._running
        assert running is not None
        try:
            if program != self._program:
                running.send(Kind.PROGRAM, [program])
                self._program = program
            return running.call(name, argument, serve)
        except _Said as said:
            raise said.error from None
        except Closed:
            raise self._lost() from None
        except BaseException as error:
            self.close()
            if isinstance(error, UnreadableInput | ValueError):
                raise FunctionFailed(printable(f"the function's process sent what is no answer: {error}")) from error
            raise

    def close(self) -> None:
        """End the process; nothing of it is left."""
        running, self._running, self._program = self._running, None, None
        if running is not None:
            running.close()

    def _lost(self) -> Exception:
        running, self._running, self._program = self._running, None, None
        assert running is not None
        running.close(_LAST_BREATH_SECONDS)
        return running.end()


class _Said(Exception):
    """The function failed in good order: its process lives on."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Running:
    """A process, the connection to it, and the memory that it reads."""

    def __init__(self, process: subprocess.Popen[bytes], connection: Connection, limits: Limits) -> None:
        self.process = process
        self._connection = connection
        self._limits = limits
        self._shared = SharedMemory(limits.memory_bytes)
        self._name: str | None = None
        self._code: int | None = None

    def call(self, name: str, argument: object, serve: Serve) -> Any:
        self._connection.give(self._limits.seconds)
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
                raise _Said(_as_error(value, refused)) if not value[3] else limit.too_much_memory(self._limits)
            try:
                with self._connection.stopped():
                    answer = wire.parts(serve(value))
            except BadRequest as error:
                refused = error
                self.send(Kind.REFUSAL, wire.parts((type(error).__name__, str(error))))
            else:
                self.send(Kind.ANSWER, answer)
        raise limit.too_many_requests()

    def send(self, kind: Kind, parts: Sequence[wire.Buffer]) -> None:
        pieces = [memoryview(part).cast("B") for part in parts if len(part)]
        length = sum(len(piece) for piece in pieces)
        if length <= _INLINE:
            self._connection.send([memoryview(Head(kind, 0, length).packed()), *pieces])
            return
        if not self._shared.room_for(length):
            for number in self._shared.unused():
                self._connection.send([memoryview(Head(Kind.FORGET, number, 0).packed())])
        try:
            number, descriptor = self._shared.fill(pieces, length)
        except MemoryError:
            raise limit.too_much_memory(self._limits) from None
        self._connection.send([memoryview(Head(kind, number, length).packed())], descriptor)

    def _receive(self) -> tuple[Kind, Any]:
        while (head := self._connection.head()).kind is Kind.FREE:
            self._shared.released(_numbers(wire.decode(self._connection.read(min(head.length, _MOST[Kind.FREE])))))
        most = self._limits.result_bytes if head.kind is Kind.RESULT else _MOST.get(head.kind, -1)
        if head.kind is Kind.RESULT and head.length > most:
            raise limit.too_large(head.length, self._limits)
        if head.length > most or head.shared:
            raise ValueError(f"a message {head.kind.name} of {head.length} bytes")
        data = self._connection.read(head.length)
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
        self._connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._code = self.process.wait(patience)
        self.process.kill()
        self.process.wait()
        self._shared.close()


def _start(limits: Limits, preload: Sequence[str]) -> _Running:
    reason = available()
    if reason is not None:
        raise IsolationUnavailable(f"{reason}; run without isolation only what you trust")
    ours, theirs = socket.socketpair()
    with theirs:
        numbers = (theirs.fileno(), os.getpid(), limits.memory_bytes, limits.seconds, limits.result_bytes)
        root = str(Path(__file__).parents[3])
        command = [sys.executable, "-I", "-B", "-c", _START, root, *map(str, numbers), *preload]
        process = subprocess.Popen(  # noqa: S603  # our own interpreter
            command,
            env=_environment(os.environ),
            cwd="/",
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the worker
        )
    running = _Running(process, Connection(ours, process.pid, limits), limits)
    try:
        _await_ready(running._connection)
    except BaseException:
        running.close()
        raise
    return running


def _await_ready(connection: Connection) -> None:
    try:
        connection.give(_START_SECONDS)
        head = connection.head()
        said = connection.read(min(head.length, 4096))
    except (Closed, LimitExceeded) as error:
        raise IsolationUnavailable("the interpreter for the function's process does not start") from error
    if head.kind is not Kind.READY:
        raise IsolationUnavailable(
            f"the function's process could not be locked: {printable(str(said, errors='replace'))}"
        )


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return all that a function may know of the environment: the pool of workers is the parallelism."""
    kept = {name: ours[name] for name in _KEPT_VARIABLES if name in ours}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    # Matplotlib is content with a folder that seems to be writable, and does not start without one.
    fixed = {"HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "PATH": "", "MPLCONFIGDIR": "/tmp"}  # noqa: S108  # as above
    return {**fixed, **threads, **kept}


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
