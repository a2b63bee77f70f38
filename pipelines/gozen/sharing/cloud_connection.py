"""The connection to a Nextcloud server: one pool of connections, repeated requests, pauses, and errors with names."""

from __future__ import annotations

import contextlib
import copy
import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from types import TracebackType
from typing import Protocol, TypeVar

import httpx

from gozen.errors import SharingError, UnexpectedAnswer
from gozen.sharing.account import Account
from gozen.sharing.answers import Answer, error_of
from gozen.sharing.broken_lines import failure_of, named_error
from gozen.sharing.http_connections.answer_bodies import pieces_of
from gozen.sharing.http_connections.http_client import new_client, timeouts
from gozen.sharing.pauses import Clock, Gate, check
from gozen.sharing.retrying import LOCKED_ATTEMPTS, ConnectionLimits, FailedAttempt, pause_s, retry_after_s

log = logging.getLogger(__name__)
_LONG_S = 3.0
Piece = TypeVar("Piece", bound=bytes | memoryview)
LARGEST = 64 * 2**20
"""Size in bytes of the largest answer that is read into memory; a listing of 100,000 files has 50 MB."""
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "PUT", "DELETE"})


class Body(Protocol):
    """The content of a request, which can be read again from its start if the request is repeated."""

    @property
    def length(self) -> int:
        """Number of bytes."""

    def __iter__(self) -> Iterator[bytes]: ...


class Connection:
    """Sends requests of one account; threads may share it. A context manager.

    Parameters
    ----------
    ca_file
        Certificates of the only authorities that are trusted; default: the authorities of the system and of Mozilla.
    log_in
        Whether requests show the app password; without it they are anonymous.
    """

    def __init__(
        self,
        account: Account,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 it is frozen
        *,
        ca_file: str | None = None,
        clock: Clock = Clock(),  # noqa: B008 it is frozen
        log_in: bool = True,
    ) -> None:
        self.account, self.limits = account, limits
        self._gate, self._stop = Gate(clock), threading.Event()
        # A request has its turn before it looks at the gate: meanwhile the server may have asked for a pause.
        self._turns = threading.BoundedSemaphore(limits.connections)
        self._client = new_client(account, limits, ca_file, log_in=log_in)

    def __repr__(self) -> str:
        return f"Connection({self.account.user!r} at {self.account.url!r})"

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def stoppable(self, stop: threading.Event) -> Connection:
        """Return this connection for one piece of work: when the event is set, its requests raise `Stopped`."""
        other = copy.copy(self)
        other._stop = stop
        return other

    @property
    def stop(self) -> threading.Event:
        """The event that is set when the user has interrupted the work."""
        return self._stop

    def check_running(self) -> None:
        """Raise `Stopped` if the user has interrupted the work."""
        check(self._stop)

    def request(
        self,
        method: str,
        url: str,
        *,
        subject: str,
        doing: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Body = b"",
        accept: Collection[int] = (),
        repeatable: bool | None = None,
        read_timeout_s: float | None = None,
        locked_attempts: int = LOCKED_ATTEMPTS,
    ) -> Answer:
        """Send a request, repeat it if this may help, and return the answer.

        Parameters
        ----------
        subject, doing
            The file or share, and a verb, for the message of an error.
        accept
            Statuses that are returned although they do not mean success.
        repeatable
            Whether the request may be carried out twice; default: by the method.
        read_timeout_s
            Time for which the server may be silent, if it differs from the connection's setting.
        locked_attempts
            Number of attempts if the file is locked.

        Raises
        ------
        SharingError
            The server cannot be reached, or refuses the request.
        """
        may = method in _REPEATABLE if repeatable is None else repeatable
        attempt, spent = 1, 0.0
        while True:
            with self._turns:
                self._gate.wait(self._stop)
                failure, answer, error = self._once(method, url, headers or {}, body, read_timeout_s)
                self._heed(failure)
            if answer is not None and (answer.is_good or answer.status in accept):
                return answer
            pause = pause_s(failure, attempt, spent, self.limits, repeatable=may, locked_attempts=locked_attempts)
            if pause is None:
                raise self.named(answer, error, subject, doing) from error
            self.pause(failure, pause, subject)
            attempt, spent = attempt + 1, spent + pause

    @contextlib.contextmanager
    def stream(self, url: str, headers: Mapping[str, str]) -> Iterator[tuple[Answer, Iterator[bytes | memoryview]]]:
        """Send a GET request once; yield the answer without its body, and the body in pieces.

        Each piece is valid until the next one.

        The caller checks the status, and catches ``httpx.HTTPError``, which `failure_of` explains.
        """
        with self._turns:
            self._gate.wait(self._stop)
            with self._client.stream("GET", url, headers=dict(headers or {})) as response:
                if response.is_success:
                    yield Answer(response.status_code, _lower(response.headers)), self._guarded(pieces_of(response))
                else:
                    self._heed(refusal_of(answer := self._whole(response)))
                    yield answer, iter(())

    def wait(self, seconds: float) -> None:
        """Wait for some time; raise `Stopped` if the user interrupts the work."""
        self._gate.wait(self._stop, seconds)

    def pause(self, failure: FailedAttempt, seconds: float, subject: str) -> None:
        """Wait before the next attempt; log a message if the wait is long."""
        if seconds >= _LONG_S:
            log.warning("%s: %s; next attempt in %.0f s", subject, failure.in_words, seconds)
        self.wait(seconds)

    def _heed(self, failure: FailedAttempt) -> None:
        """Make all threads wait if the server is overloaded and asks for a pause that is not too long."""
        if failure.retry_after_s is not None and failure.retry_after_s <= self.limits.patience_s:
            self._gate.shut(failure.retry_after_s)

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Body, read_timeout_s: float | None
    ) -> tuple[FailedAttempt, Answer | None, httpx.HTTPError | None]:
        content = body if isinstance(body, bytes) else self._guarded(iter(body))
        length = {} if isinstance(body, bytes) else {"Content-Length": str(body.length)}
        timeout = timeouts(self.limits, read_timeout_s) if read_timeout_s else self._client.timeout
        try:
            with self._client.stream(
                method, url, headers={**headers, **length}, content=content, timeout=timeout
            ) as response:
                answer = self._whole(response)
        except httpx.HTTPError as error:
            return failure_of(error), None, error
        return refusal_of(answer), answer, None

    def _guarded(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            self.check_running()
            yield piece

    def _whole(self, response: httpx.Response) -> Answer:
        parts, size = [], 0
        for part in response.iter_raw():
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                raise UnexpectedAnswer(
                    f"the answer of {response.url} has more than {LARGEST // 2**20} MB; a folder may have too many "
                    "files: divide it into several folders"
                )
        return Answer(response.status_code, _lower(response.headers), b"".join(parts))

    def named(self, answer: Answer | None, error: httpx.HTTPError | None, subject: str, doing: str) -> SharingError:
        """Return the error of Gozen for the last attempt, which ended with an answer or without one."""
        if answer is not None:
            return error_of(answer, subject, doing, self.account.user)
        return named_error(error or httpx.HTTPError("no answer"), self.account.url, subject, doing)


def refusal_of(answer: Answer) -> FailedAttempt:
    """Return the failed attempt that ended with an answer."""
    return FailedAttempt(answer.status, retry_after_s=retry_after_s(answer.headers, time.time()))


def _lower(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
