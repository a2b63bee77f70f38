"""Measure a child's threads, memory and processor time from outside, and stop it.

The kernel's own limits count neither the threads of one process alone (RLIMIT_NPROC counts all of a user's) nor pages
that were filled and then made read-only (RLIMIT_DATA counts what can be written to).
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from gozen.errors import LimitExceeded
from gozen.quickdb.isolation import limits as limit
from gozen.quickdb.isolation.limits import Limits

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME, _THREADS = 11, 12, 17
"""Fields of ``/proc/pid/stat`` after the name (proc(5)), which may be any bytes."""


@dataclass(frozen=True)
class ChildUsage:
    """What a process has at a moment.

    Parameters
    ----------
    threads
        How many.
    processor_seconds
        Of all its threads, since it began.
    memory_bytes
        Resident, without files and shared memory.
    """

    threads: int
    processor_seconds: float
    memory_bytes: int


def read_seen(stat: bytes, statm: bytes) -> ChildUsage:
    """Return what ``/proc/pid/stat`` and ``statm`` say.

    Raises
    ------
    ValueError, IndexError
        When they say nothing, as those of a process that has ended.
    """
    fields = stat.rpartition(b")")[2].split()
    _, resident, shared = (int(one) for one in statm.split()[:3])
    seconds = (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS
    return ChildUsage(int(fields[_THREADS]), seconds, max(resident - shared, 0) * _PAGE)


def broken(seen: ChildUsage, begun: float, limits: Limits) -> LimitExceeded | None:
    """Return the error of a process that has more than it may.

    Parameters
    ----------
    seen
        What it has now.
    begun
        Its processor seconds when the call began.
    limits
        What it may have.
    """
    if seen.threads > limit.THREADS:
        return limit.too_many_threads(seen.threads)
    if seen.memory_bytes > limits.memory_bytes + limit.BARE_BYTES:
        return limit.too_much_memory(limits)
    if seen.processor_seconds - begun > limit.PROCESSORS * limits.seconds:
        return limit.too_long(limits)
    return None


class Watch:
    """Looks at a child, and lets it run only while it has something to do.

    Parameters
    ----------
    pid
        The child, which is not waited for before this object's last use.
    limits
        What it may have.
    """

    def __init__(self, pid: int, limits: Limits) -> None:
        self._pid = pid
        self._limits = limits
        self._stat, self._statm = Path(f"/proc/{pid}/stat"), Path(f"/proc/{pid}/statm")
        self._begun = 0.0

    def begin(self) -> None:
        """Count processor time from now on."""
        seen = self._seen()
        self._begun = seen.processor_seconds if seen else 0.0

    def look(self) -> None:
        """Raise `LimitExceeded` where it has more than it may."""
        seen = self._seen()
        error = broken(seen, self._begun, self._limits) if seen else None
        if error is not None:
            raise error

    def stop(self) -> None:
        """Let none of its threads run."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run."""
        self._signal(signal.SIGCONT)

    def _seen(self) -> ChildUsage | None:
        try:
            return read_seen(self._stat.read_bytes(), self._statm.read_bytes())
        except (OSError, ValueError, IndexError):
            return None  # it has just ended, which the socket will tell

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)
