"""Measure a child's threads, memory and processor time from outside, and stop it.

The kernel's own limits do not suffice: RLIMIT_NPROC counts the threads of all of a user's processes, and RLIMIT_DATA
does not count pages that were filled and then made read-only.
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
"""Indexes of fields of ``/proc/pid/stat`` (proc(5)), counted after the process's name, which may contain any bytes."""


@dataclass(frozen=True)
class ChildUsage:
    """Threads, processor time and memory of a process at one moment.

    Parameters
    ----------
    threads
        Number of threads.
    processor_seconds
        Processor time of all its threads since its start.
    memory_bytes
        Resident memory without mapped files and shared memory.
    """

    threads: int
    processor_seconds: float
    memory_bytes: int


def read_seen(stat: bytes, statm: bytes) -> ChildUsage:
    """Return the usage from the contents of ``/proc/pid/stat`` and ``statm``.

    Raises
    ------
    ValueError, IndexError
        If the contents are empty, which means that the process has ended.
    """
    fields = stat.rpartition(b")")[2].split()
    _, resident, shared = (int(one) for one in statm.split()[:3])
    seconds = (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS
    return ChildUsage(int(fields[_THREADS]), seconds, max(resident - shared, 0) * _PAGE)


def broken(seen: ChildUsage, begun: float, limits: Limits) -> LimitExceeded | None:
    """Return the error of a process that exceeds a limit; None if it exceeds none.

    Parameters
    ----------
    seen
        The present usage of the child.
    begun
        Processor time of the child when the call began, in seconds.
    limits
        Limits of the call: time, memory and data.
    """
    if seen.threads > limit.THREADS:
        return limit.too_many_threads(seen.threads)
    if seen.memory_bytes > limits.memory_bytes + limit.BARE_BYTES:
        return limit.too_much_memory(limits)
    if seen.processor_seconds - begun > limit.PROCESSORS * limits.seconds:
        return limit.too_long(limits)
    return None


class Watch:
    """Checks the usage of a child, and stops and resumes it.

    Parameters
    ----------
    pid
        Process id of the child. The child must not be reaped before this object's last use: its id could be reused.
    limits
        Limits of one call of a user's function.
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
        """Raise `LimitExceeded` if the child exceeds a limit."""
        seen = self._seen()
        error = broken(seen, self._begun, self._limits) if seen else None
        if error is not None:
            raise error

    def stop(self) -> None:
        """Stop all threads of the child."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume all threads of the child."""
        self._signal(signal.SIGCONT)

    def _seen(self) -> ChildUsage | None:
        try:
            return read_seen(self._stat.read_bytes(), self._statm.read_bytes())
        except (OSError, ValueError, IndexError):
            return None  # it has just ended; the socket will report that

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)
