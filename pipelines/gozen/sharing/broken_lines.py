"""Name the error of a request that got no answer, with advice; tell whether the server may have received it."""

from __future__ import annotations

import ssl

import httpx

from gozen.errors import CertificateRefused, CloudUnavailable, SharingError
from gozen.sharing.answers import advised
from gozen.sharing.retrying import FailedAttempt

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def failure_of(error: httpx.HTTPError) -> FailedAttempt:
    """Return the failed attempt for an error of the HTTP client."""
    return FailedAttempt(sent=not isinstance(error, _NOT_SENT))


def named_error(error: httpx.HTTPError, url: str, subject: str, doing: str) -> SharingError:
    """Return the error of Gozen for an error of the HTTP client.

    Parameters
    ----------
    url
        Address of the server.
    subject, doing
        The file or share, and a verb.
    """
    certificate = _cause(error, ssl.SSLError)
    if certificate is not None:
        why = getattr(certificate, "verify_message", "") or getattr(certificate, "reason", "") or str(certificate)
        return CertificateRefused(
            f"cannot {doing} {subject}: the certificate of {url} is not accepted ({why}); check the address, or give "
            "the certificate of its authority with sharing.ca_file"
        )
    advice = advised("check the network and the address, then run again", doing)
    return CloudUnavailable(f"cannot {doing} {subject}: {url} {_in_words(error)}; {advice}")


def _in_words(error: httpx.HTTPError) -> str:
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
