"""List the processes whose end a test awaits, tell whether one has ended, and wait with a time limit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

PATIENT_S = 60
START_S = 240
"""For what starts many processes on two cores that build images and run a node beside the test."""


def session_of(leader: int) -> set[int]:
    """Return the processes of a session."""
    found = set()
    for about in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(about.read_text(errors="replace").rpartition(")")[2].split()[3]) == leader:
                found.add(int(about.parent.name))
    return found


def wait_until(true: Callable[[], bool], within: float = PATIENT_S) -> None:
    """Return when something is so; fail when it is not within so many seconds."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(process: int) -> bool:
    """Tell whether a process has ended, also when its parent has not looked."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
