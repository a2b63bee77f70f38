"""Delays between attempts while storage fails: doubled after each failed attempt, reset by a success."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from gozen.errors import StorageUnavailable, UnreadableInput

log = logging.getLogger(__name__)
FIRST_S = 1.0
LONGEST_S = 60.0


class Backoff:
    """The current storage error of one kind of work; it is logged when it begins and when it is over.

    Parameters
    ----------
    who
        Name of the work, for the message when the error is over.
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self._pause_s = 0.0
        self.message = ""
        """Message of the current error; empty if there is none."""
        self.until = 0.0
        """Time before which the work is not tried again, s of the watch's clock."""

    def failed(self, error: StorageUnavailable, now: float, begun: float | None = None) -> None:
        """Record an error; the next attempt waits twice as long as the last time, up to `LONGEST_S`.

        Parameters
        ----------
        begun
            Time at which the attempt began, if it ran in parallel with others. If that was before the end of the
            present pause, the attempt had the same failure as an earlier one, and the pause begins again without being
            doubled.
        """
        if str(error) != self.message:
            log.warning("%s: %s; this watch waits and tries again, nothing is lost", error.name, error)
        if begun is None or begun >= self.until:
            self._pause_s = min(2 * self._pause_s, LONGEST_S) if self._pause_s else FIRST_S
        self.message, self.until = str(error), now + self._pause_s

    def succeeded(self) -> None:
        """Record a success."""
        if self.message:
            log.info("%s: the problem is over", self._who)
        self.message, self.until, self._pause_s = "", 0.0, 0.0


@contextlib.contextmanager
def waiting_for_repair() -> Iterator[None]:
    """Convert an error about a damaged or missing object to an error after which the watch waits and tries again."""
    try:
        yield
    except UnreadableInput as error:
        raise StorageUnavailable(str(error)) from error
