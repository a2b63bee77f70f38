"""Delays between attempts while storage fails: longer each time, short again after a success."""

from __future__ import annotations

import logging

from gozen.errors import StorageUnavailable

log = logging.getLogger(__name__)
FIRST_S = 1.0
LONGEST_S = 60.0


class Backoff:
    """The trouble of one kind of work, said once when it begins and once when it is over.

    Parameters
    ----------
    who
        Whose trouble it is, for the message at its end.
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self._pause_s = FIRST_S
        self.message = ""
        """What it is; empty when all is well."""
        self.until = 0.0
        """Moment before which the work is not tried again, s."""

    def failed(self, error: StorageUnavailable, now: float) -> None:
        """Note trouble and wait for longer than the last time."""
        if str(error) != self.message:
            log.warning("%s: %s; this watch waits and tries again, nothing is lost", error.name, error)
        self.message, self.until = str(error), now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_S)

    def succeeded(self) -> None:
        """Note that the work went well."""
        if self.message:
            log.info("the trouble of %s is over", self._who)
        self.message, self.until, self._pause_s = "", 0.0, FIRST_S
