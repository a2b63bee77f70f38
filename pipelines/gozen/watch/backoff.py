"""How long to wait after trouble: longer each time, and short again when it is over."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 1.0
LONGEST_S = 60.0


@dataclass
class Backoff:
    """The trouble of one kind of work.

    Parameters
    ----------
    message
        What it is; empty when all is well.
    until
        Moment before which the work is not tried again, s.
    """

    message: str = ""
    until: float = 0.0
    _next_s: float = FIRST_S

    def failed(self, message: str, now: float) -> bool:
        """Note trouble; return whether it is another one than before, so that people are told once."""
        new = message != self.message
        self.message, self.until = message, now + self._next_s
        self._next_s = min(2 * self._next_s, LONGEST_S)
        return new

    def succeeded(self) -> bool:
        """Note that the work went well; return whether there was trouble before."""
        before = bool(self.message)
        self.message, self.until, self._next_s = "", 0.0, FIRST_S
        return before
