"""The connection to a Nextcloud server: one pool of connections, repeated requests, and errors with names.

Redirects are not followed, so the app password reaches no other server. Cookies are not kept: a session in a cookie
would outlive a revoked app password.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Protocol

import httpx

from gozen.errors import CertificateRefused, CloudUnavailable, RedirectRefused, SharingError, UnexpectedAnswer
from gozen.sharing.account import Account
from gozen.sharing.answers import Answer, error_of
from gozen.sharing.retrying import Failure, Limits, pause_s, retry_after_s

LARGEST = 64 * 2**20
"""Bytes of an answer that is kept in memory; a listing of 100,000 files has 50 MB."""
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "PUT", "DELETE"})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Body(Protocol):
    """The content of a request, which can be read again from its start if the request is repeated."""

    @property
    def length(self) -> int:
        """Number of bytes."""

    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class Clock:
    """Time for pauses between attempts, seconds; tests replace it."""

    now: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep


class Connection:
    """Sends requests of one account; threads may share it. A context manager.

    Parameters
    ----------
    ca_file
        Certificates of the only authorities that are trusted; default: those of the system and of Mozilla.
    log_in
        Whether requests show the app password; without it they are anonymous.
    """

    def __init__(
        self,
        account: Account,
        limits: Limits = Limits(),  # noqa: B008 it is frozen
        *,
        ca_file: str | None = None,
        clock: Clock = Clock(),
        log_in: bool = True,
    ) -> None:
        self.account, self.limits, self._clock = account, limits, clock
        self._gate, self._not_before = threading.Lock(), 0.0
        timeout = httpx.Timeout(limits.read_timeout_s, connect=limits.connect_timeout_s, pool=None)
        pool = httpx.Limits(max_connections=limits.connections, max_keepalive_connections=limits.connections)
        self._client = httpx.Client(
            headers={
                **({"Authorization": account.authorization} if log_in else {}),
                "User-Agent": "gozen",
                "OCS-APIRequest": "true",
                "Accept-Encoding": "identity",
            },
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            timeout=timeout,
            limits=pool,
            verify=_trusted(ca_file) if account.url.startswith("https:") else False,
        )

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
    ) -> Answer:
        """Send a request, repeat it if this may help, and return the answer.

        Parameters
        ----------
        subject, doing
            The file or share, and a verb, for the message of an error.
        accept
            Statuses that are returned although they are not those of success.
        repeatable
            Whether the request may be carried out twice; default: by the method.
        read_timeout_s
            Time for which the server may be silent, if it differs from that of the connection.

        Raises
        ------
        SharingError
            The server cannot be reached, or refuses the request.
        """
        may = method in _REPEATABLE if repeatable is None else repeatable
        attempt, spent = 1, 0.0
        while True:
            self._pass_gate()
            failure, answer, error = self._once(method, url, headers or {}, body, read_timeout_s)
            if answer is not None and (answer.is_good or answer.status in accept):
                return answer
            assert failure is not None
            pause = pause_s(failure, attempt, spent, self.limits, repeatable=may)
            if pause is None:
                raise self._named(answer, error, subject, doing) from error
            self._shut_gate(failure, pause)
            self._clock.wait(pause)
            attempt, spent = attempt + 1, spent + pause

    @contextlib.contextmanager
    def stream(
        self, url: str, *, subject: str, doing: str, headers: Mapping[str, str] | None = None
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Yield the answer to a GET request without its body, and the body in pieces; it is sent once.

        Raises
        ------
        SharingError
            The server cannot be reached, or the body is incomplete. Statuses are for the caller to check.
        """
        self._pass_gate()
        try:
            with self._client.stream("GET", url, headers=dict(headers or {})) as response:
                if response.is_success:
                    yield Answer(response.status_code, _lower(response.headers)), response.iter_raw()
                else:
                    yield self._whole(response), iter(())
        except httpx.HTTPError as error:
            raise self._named(None, error, subject, doing) from error

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Body, read_timeout_s: float | None
    ) -> tuple[Failure | None, Answer | None, httpx.HTTPError | None]:
        content = body if isinstance(body, bytes) else iter(body)
        length = {} if isinstance(body, bytes) else {"Content-Length": str(body.length)}
        timeout = self._client.timeout
        if read_timeout_s is not None:
            timeout = httpx.Timeout(timeout, read=read_timeout_s)
        try:
            with self._client.stream(
                method, url, headers={**headers, **length}, content=content, timeout=timeout
            ) as response:
                answer = self._whole(response)
        except httpx.HTTPError as error:
            return Failure(sent=not isinstance(error, _NOT_SENT)), None, error
        failure = Failure(answer.status, retry_after_s=retry_after_s(answer.headers, time.time()))
        return failure, answer, None

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

    def _pass_gate(self) -> None:
        while (pause := self._not_before - self._clock.now()) > 0:
            self._clock.wait(pause)

    def _shut_gate(self, failure: Failure, pause: float) -> None:
        # The server is overloaded: the other threads wait, too.
        if failure.retry_after_s is not None:
            with self._gate:
                self._not_before = max(self._not_before, self._clock.now() + pause)

    def _named(self, answer: Answer | None, error: httpx.HTTPError | None, subject: str, doing: str) -> SharingError:
        if answer is not None:
            return error_of(answer, subject, doing, self.account.user)
        begin = f"cannot {doing} {subject}: "
        certificate = _cause(error, ssl.SSLError)
        if certificate is not None:
            why = getattr(certificate, "verify_message", "") or getattr(certificate, "reason", "") or str(certificate)
            return CertificateRefused(
                f"{begin}the certificate of {self.account.url} is not accepted ({why}); check the address, or give the "
                "certificate of its authority with sharing.ca_file"
            )
        if isinstance(error, httpx.TooManyRedirects):
            return RedirectRefused(f"{begin}the server redirects without end; check the address")
        why = _in_words(error)
        return CloudUnavailable(
            f"{begin}{self.account.url} {why}; check the network and the address, then run again: what is complete is "
            "not transferred again"
        )


def _in_words(error: httpx.HTTPError | None) -> str:
    match error:
        case httpx.ConnectTimeout() | httpx.ConnectError():
            return f"cannot be reached ({error})"
        case httpx.TimeoutException():
            return "does not answer in time"
        case _:
            return f"broke the connection ({error})"


def _cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _lower(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _trusted(ca_file: str | None) -> ssl.SSLContext:
    """Return the authorities of this system and those of Mozilla, or only those of a file."""
    if ca_file is not None:
        return ssl.create_default_context(cafile=ca_file)
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context
