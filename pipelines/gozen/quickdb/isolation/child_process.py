"""The worker's handle of an isolated child process; `protocol` has its messages."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from gozen.errors import FunctionFailed
from gozen.quickdb.isolation.child_socket import Closed
from gozen.quickdb.isolation.codec.form import Malformed
from gozen.quickdb.isolation.limits import Limits
from gozen.quickdb.isolation.protocol import Conversation, Said, Serve, printable
from gozen.quickdb.isolation.spawn import started

_LAST_BREATH_SECONDS = 1.0
"""Seconds in which a process that has closed its connection can end, so that its exit code is known."""


class Child:
    """An isolated process that runs a user's program within limits, without network, credentials or the user's files.

    The process starts at the first call. A crash or an exceeded limit ends it; the next call then starts a new one.
    Each program gets a new process, in which nothing of the previous program is left. The process belongs to the thread
    that calls it, and ends when that thread or the worker ends.

    Parameters
    ----------
    limits
        Limits of one call of a user's function.
    preload
        Modules that the process imports before it receives the program.
    """

    def __init__(self, limits: Limits = Limits(), preload: Sequence[str] = ("numpy",)) -> None:  # noqa: B008  # frozen
        self._limits = limits
        self._preload = tuple(preload)
        self._running: Conversation | None = None
        self._program: bytes | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def limits(self) -> Limits:
        """Limits of time, memory and data of one call of a user's function."""
        return self._limits

    @property
    def pid(self) -> int | None:
        """Id of the running process; None if no process runs."""
        return self._running.process.pid if self._running else None

    def start(self) -> None:
        """Start the process now rather than at the first call.

        Raises
        ------
        IsolationUnavailable
            If this machine cannot isolate a process.
        """
        # The kernel may have killed it between two calls: it is the first to be killed when memory is short.
        if self._running is not None and self._running.process.poll() is not None:
            self.close()
        if self._running is None:
            self._running = started(self._limits, self._preload)

    def call(self, program: bytes, name: str, argument: object, serve: Serve) -> Any:
        """Call a function of the user's program in the child.

        Parameters
        ----------
        program
            A pickled object (cloudpickle). Only the child unpickles it, and only once.
        name
            The attribute of the object to call, as ``f(argument, ask)``.
        argument
            Plain data (`wire.decode`). Its arrays are read-only in the function; large ones are in shared memory.
        serve
            Answers the requests that the function makes with ``ask(request)``. If it raises a `BadRequest`, the
            error is raised in the function, and again here if the function does not catch it. Any other error ends
            the call at once.

        Returns
        -------
        The return value of the function: plain data in the worker's memory.

        Raises
        ------
        FunctionFailed
            If the function raised an error (with its traceback), its process crashed, or its result is not plain
            data.
        LimitExceeded
            If the function used too much memory, time, threads or requests, or its result is too large.
        IsolationUnavailable
            If this machine cannot isolate a process; the function has not run.
        """
        if self._program not in (None, program):
            self.close()
        self.start()
        running = self._running
        assert running is not None
        try:
            if program != self._program:
                running.load(program)
                self._program = program
            return running.call(name, argument, serve)
        except Said as said:
            raise said.error from None
        except Closed:
            raise self._lost() from None
        except BaseException as error:
            # Ctrl-C too: a process left in the middle of a call would send the answer of that call to the next one.
            self.close()
            if isinstance(error, Malformed):
                raise FunctionFailed(
                    printable(
                        f"the function's process sent an invalid answer: {error}. The function, or a library that it "
                        "calls, has changed the memory or the connection of its process; correct the function"
                    )
                ) from error
            raise

    def close(self) -> None:
        """End the process and release its shared memory."""
        running, self._running, self._program = self._running, None, None
        if running is not None:
            running.close()

    def _lost(self) -> Exception:
        running, self._running, self._program = self._running, None, None
        assert running is not None
        running.close(_LAST_BREATH_SECONDS)
        return running.end()
