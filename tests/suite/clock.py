"""Print lines of progress with the time since the start of the run, which all processes of a run share."""

from __future__ import annotations

import os
import sys
import time

BEGAN = "GOZEN_RUN_BEGAN"
"""Names the variable that hands the beginning of a run, seconds of Unix time, to its processes."""


def say(text: str) -> None:
    """Write a line of progress to stderr, with the minutes since the run began where there is a run."""
    began = os.environ.get(BEGAN)
    at = f"[{(time.time() - float(began)) / 60:5.1f} min] " if began else ""
    sys.stderr.write(f"{at}{text}\n")
    sys.stderr.flush()


def since(began: float) -> str:
    """Return how long ago a moment of the monotonic clock was: ``12 s``, ``3.4 min``."""
    seconds = time.monotonic() - began
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
