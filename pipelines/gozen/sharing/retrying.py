"""Decide which failed requests are repeated, and after which pause. No I/O."""

from __future__ import annotations

import email.utils
import random
from collections.abc import Mapping
from dataclasses import dataclass

FIRST_S, LONGEST_S = 0.5, 30.0
_NOT_DONE = frozenset({429, 503})
"""HTTP statuses of a server that did not begin the request, so every request can be repeated."""
_UNCERTAIN = frozenset({408, 500, 502, 504})
"""HTTP statuses after which the server may have carried out the request."""
_LOCKED = 423
LOCKED_ATTEMPTS = 5
"""Attempts at a locked file. Nextcloud locks it for the time of a request, an editor for hours; more would not help."""


@dataclass(frozen=True)
class ConnectionLimits:
    """How long a connection waits, and how often it tries.

    Parameters
    ----------
    connections
        Requests at the same time.
    attempts
        Attempts at one request.
    patience_s
        Time for all attempts at one request, without the transfer itself, seconds.
    """

    connections: int = 8
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    attempts: int = 8
    patience_s: float = 300.0


@dataclass(frozen=True)
class FailedAttempt:
    """A request that did not succeed.

    Parameters
    ----------
    status
        Status of the answer; None if there is none.
    sent
        Whether the server may have received the request.
    retry_after_s
        Pause for which the server asks.
    """

    status: int | None = None
    sent: bool = True
    retry_after_s: float | None = None

    @property
    def in_words(self) -> str:
        """The failure, in words."""
        if self.status is not None:
            return f"the server answers with status {self.status}"
        return "the connection broke" if self.sent else "the server cannot be reached"


def pause_s(
    failure: FailedAttempt,
    attempt: int,
    spent_s: float,
    limits: ConnectionLimits,
    *,
    repeatable: bool,
    locked_attempts: int = LOCKED_ATTEMPTS,
) -> float | None:
    """Return the pause before the next attempt, or None if there is none.

    Parameters
    ----------
    attempt
        Number of the attempt that failed, from 1.
    spent_s
        Pauses so far, seconds.
    repeatable
        Whether a request that has been carried out may be repeated.
    locked_attempts
        Number of attempts if the file is locked.
    """
    most = min(limits.attempts, locked_attempts) if failure.status == _LOCKED else limits.attempts
    if attempt >= most or not _may_repeat(failure, repeatable):
        return None
    pause = failure.retry_after_s if failure.retry_after_s is not None else _growing(attempt)
    return pause if spent_s + pause <= limits.patience_s else None


def _may_repeat(failure: FailedAttempt, repeatable: bool) -> bool:
    if failure.status in _NOT_DONE or not failure.sent:
        return True
    return repeatable and (failure.status is None or failure.status == _LOCKED or failure.status in _UNCERTAIN)


def _growing(attempt: int) -> float:
    # With a random part, so that many clients do not come back at the same moment.
    return min(FIRST_S * 2.0 ** (attempt - 1), LONGEST_S) * random.uniform(0.5, 1.0)  # noqa: S311 not for security


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the pause in seconds for which an answer asks, None if it does not.

    Parameters
    ----------
    headers
        Headers with names in lower case.
    now
        The present time, seconds since 1970: the header may be a date.
    """
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, until.timestamp() - now)
