"""Processes that tests start: each logs to a file and ends with its parent; waits have a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

POLL_SECONDS = 0.1
ENDS_WITH_ITS_STARTER = ("setpriv", "--pdeathsig", "KILL")
"""Words before a command that the kernel is to kill when the thread that started it ends, however that ends."""
TAIL_LINES = 25


class StartError(Exception):
    """Something did not start; the message ends with the log of the culprit."""


class Process:
    """One process, killed by the kernel when the thread that started it ends.

    Parameters
    ----------
    name
        How messages call it.
    argv
        The command.
    log
        The file that takes its output.
    within
        Words put before the command, as ``nsenter ...``.
    environment
        The whole environment; None for that of this process.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        log: Path,
        within: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._within = bool(within)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as handle:
            self._popen = subprocess.Popen(
                [*ENDS_WITH_ITS_STARTER, *within, *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C is for us: we stop them in their order
            )

    @property
    def pid(self) -> int:
        """The process that was started; with `within` it may only hold the command."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def require_running(self) -> None:
        """Raise StartError with the end of the log where it has ended."""
        if not self.running:
            raise StartError(f"{self.name} ended with code {self._popen.returncode}\n{self.tail()}")

    def tail(self) -> str:
        """Return the last lines of its log."""
        with self.log.open(encoding="utf-8", errors="replace") as handle:
            lines = deque(handle, TAIL_LINES)
        return f"the end of {self.log}:\n{''.join(lines)}"

    def stop(self, seconds: float = 10) -> None:
        """Ask it to end, and kill it when it has not ended in time."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.running:
                return
            self._signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(seconds)

    def kill(self, seconds: float = 10) -> None:
        """Kill it without asking, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self._popen.wait(seconds)

    def _signal(self, number: int) -> None:
        # What holds the command does not pass signals on, but ends with it.
        for pid in (self._within and children(self.pid)) or [self.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def wait_until(ready: Callable[[], bool], what: str, seconds: float, processes: Iterable[Process] = ()) -> None:
    """Poll until something holds.

    Parameters
    ----------
    ready
        Asked again and again.
    what
        What is waited for, for the message.
    seconds
        The longest time to wait.
    processes
        Those that must go on running; the first is the culprit if the time runs out.

    Raises
    ------
    StartError
        When a process ends or the time is over.
    """
    needed = list(processes)
    deadline = time.monotonic() + seconds
    while not ready():
        for process in needed:
            process.require_running()
        if time.monotonic() > deadline:
            tail = f"\n{needed[0].tail()}" if needed else ""
            raise StartError(f"{what}: not within {seconds:g} s{tail}")
        time.sleep(POLL_SECONDS)
