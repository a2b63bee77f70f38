"""Run the stages of a test run at the same time, and stop all processes that they started at the end.

`__main__` defines the stages. This module starts them, prints when each begins and ends, and handles Ctrl-C.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from .clock import BEGAN, say, since
from .costs import write
from .processor_time import descendants

PR_SET_CHILD_SUBREAPER = 36
SECONDS_TO_END = 60
INTERRUPTED = 130
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Stage:
    """One command of a run.

    Parameters
    ----------
    after
        Names of the stages that must have succeeded before it begins.
    nice
        How much it gives way to the others, as in the command ``nice``.
    """

    name: str
    command: tuple[str | Path, ...]
    after: tuple[str, ...] = ()
    nice: int = 0


@dataclass
class Memory:
    """How much of the machine's memory a run takes at its peak, GB; measured by a thread."""

    before: float = field(default_factory=lambda: _used_gb())
    peak_gb: float = 0.0

    def watch(self) -> None:
        """Look every second until the process ends."""
        while True:
            self.peak_gb = max(self.peak_gb, _used_gb() - self.before)
            time.sleep(1)


def _used_gb() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    words = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return (words["MemTotal"] - words["MemAvailable"]) / 2**20


class Run:
    """Stages on their way; `go` returns the exit code of the whole."""

    def __init__(self, stages: Sequence[Stage], environment: Mapping[str, str]) -> None:
        unknown = {name for stage in stages for name in stage.after} - {stage.name for stage in stages}
        if unknown:
            raise ValueError(f"stages wait for {', '.join(sorted(unknown))}, and there is no such stage")
        self._waiting = list(stages)
        self._environment = {**environment, BEGAN: os.environ.get(BEGAN, str(time.time()))}
        self._running: dict[int, tuple[Stage, float]] = {}
        self._codes: dict[str, int] = {}
        os.environ[BEGAN] = self._environment[BEGAN]

    def go(self) -> int:
        """Run all stages; say when each begins and ends, and what the whole has cost."""
        _adopt_orphans()
        for number in INTERRUPTS:
            signal.signal(number, _interrupt)
        memory = Memory()
        threading.Thread(target=memory.watch, daemon=True).start()
        try:
            self._start_what_may()
            while self._running:
                self._reap()
                self._start_what_may()
        except KeyboardInterrupt:
            say("interrupted: ending what runs")
            self._interrupt_stages()
            return INTERRUPTED
        finally:
            _ignore_interrupts()
            end_descendants()
        self._sum_up(memory)
        return int(any(self._codes.values()) or bool(self._waiting))

    def _start_what_may(self) -> None:
        for stage in list(self._waiting):
            if any(self._codes.get(name, 0) for name in stage.after):
                self._waiting.remove(stage)
                self._codes[stage.name] = 1
                say(f"{stage.name}: not begun, because {' or '.join(stage.after)} failed")
            elif all(self._codes.get(name) == 0 for name in stage.after):
                self._waiting.remove(stage)
                self._start(stage)

    def _start(self, stage: Stage) -> None:
        say(f"{stage.name}: begins")
        command = ["setpriv", "--pdeathsig", "TERM", "nice", f"-n{stage.nice}", *map(str, stage.command)]
        # A session of its own: Ctrl-C reaches this process, which passes it on once.
        started = subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True)
        started.returncode = 0  # it is waited for by `_reap`, together with orphans
        self._running[started.pid] = stage, time.monotonic()

    def _reap(self) -> None:
        pid, status, used = os.wait4(-1, 0)
        if pid in self._running:
            stage, began = self._running.pop(pid)
            write("stage", stage.name, time.monotonic() - began, used.ru_utime + used.ru_stime)
            self._codes[stage.name] = code = os.waitstatus_to_exitcode(status)
            how = "done" if code == 0 else f"FAILED with exit code {code}"
            say(f"{stage.name}: {how} after {since(began)}")

    def _interrupt_stages(self) -> None:
        _ignore_interrupts()
        for pid in self._running:
            # To the whole group, as a terminal does: a shell among them waits for its children.
            os.killpg(pid, signal.SIGINT)
        deadline = time.monotonic() + SECONDS_TO_END
        while self._running and time.monotonic() < deadline:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            self._running.pop(pid, None)
            time.sleep(0.05)

    def _sum_up(self, memory: Memory) -> None:
        used = os.times()
        core_minutes = (used.children_user + used.children_system) / 60
        failed = [name for name, code in self._codes.items() if code]
        say(f"{core_minutes:.1f} core-minutes, {memory.peak_gb:.1f} GB of memory at the peak")
        if failed:
            say(f"FAILED: {', '.join(failed)}")


def end_descendants() -> None:
    """Kill every process that this one and its stages have left running; none outlives the run."""
    while left := list(descendants(os.getpid())):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def _ignore_interrupts() -> None:
    """Let a second Ctrl-C not stop what stops the processes."""
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _adopt_orphans() -> None:
    """Become the parent of every process below whose own parent ends, so that its time counts and it can be ended."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit(f"cannot adopt orphans: {os.strerror(ctypes.get_errno())}")
