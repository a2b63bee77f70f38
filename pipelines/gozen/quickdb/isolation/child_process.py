"""The worker's handle of an isolated child process. Messages: `protocol`."""

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
"""In which a process that has closed its connection shows how it ended."""


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
        # The kernel may have killed it between two calls: it is the first to go when memory is short.
        if self._running is not None and self._running.process.poll() is not None:
            self.close()
        if self._running is None:
            self._running = started(self._limits, self._preload)

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
                running.load(program)
                self._program = program
            return running.call(name, argument, serve)
        except Said as said:
            raise said.error from None
        except Closed:
            raise self._lost() from None
        except BaseException as error:
            # Ctrl-C too: left in the middle of a call, the process would give its answer to the next one.
            self.close()
            if isinstance(error, Malformed):
                raise FunctionFailed(
                    printable(f"the function's process sent what is not an answer: {error}")
                ) from error
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
