"""Delays between attempts while storage fails: doubled after each failure, reset by a success."""

from __future__ import annotations

import logging

from gozen.errors import StorageUnavailable

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
        self._pause_s = FIRST_S
        self.message = ""
        """Message of the current error; empty if there is none."""
        self.until = 0.0
        """Time before which the work is not tried again, s of the watch's clock."""

    def failed(self, error: StorageUnavailable, now: float) -> None:
        """Record an error; the next attempt waits twice as long as the last time, up to `LONGEST_S`."""
        if str(error) != self.message:
            log.warning("%s: %s; this watch waits and tries again, nothing is lost", error.name, error)
        self.message, self.until = str(error), now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_S)

    def succeeded(self) -> None:
        """Record a success."""
        if self.message:
            log.info("the trouble of %s is over", self._who)
        self.message, self.until, self._pause_s = "", 0.0, FIRST_S
