"""An extension of the lab's server: work without requests counts as activity.

JupyterHub ends a lab without activity. By itself a lab reports requests and the output of kernels. A cell that computes
for hours without output, or a script in a terminal, would be ended in the middle of its work. Connections such as SSH
pass through the hub's proxy, which counts them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

INTERVAL = "JUPYTERHUB_ACTIVITY_INTERVAL"
"""Environment variable: seconds between two reports of the lab to the hub, and between two checks here."""
DEFAULT_S = 300
LAB = "JUPYTERHUB_SERVICE_PREFIX"
"""Environment variable with the path of the lab at the hub, such as ``/user/hoshi/``."""
BUSY = 0.05
"""Part of a processor above which something works; an idle kernel or shell uses less than a hundredth."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ProcessSeen:
    """A process at one moment: its identity, and the processor seconds that it and its ended children have used."""

    pid: int
    start: int
    used_s: float


def kernel_is_busy(states: Iterable[str | None]) -> bool:
    """Return whether a kernel executes a cell."""
    return any(state == "busy" for state in states)


def works(before: Iterable[ProcessSeen], now: Iterable[ProcessSeen], passed_s: float) -> bool:
    """Return whether the processes have computed since `before` (in total; a new process counts from its start)."""
    known = {(one.pid, one.start): one.used_s for one in before}
    return sum(one.used_s - known.get((one.pid, one.start), 0.0) for one in now) > BUSY * passed_s


def processes_of(lab: str, without: int, proc: Path = Path("/proc")) -> list[ProcessSeen]:
    """Return the processes that a lab started, directly or not, except its server, which answers requests all the time.

    Parameters
    ----------
    lab
        Value of `LAB` in the environment of the lab; each process inherits it, also one that outlives its terminal.
    """
    mark = f"{LAB}={lab}".encode()
    found = []
    for folder in proc.iterdir():
        if folder.name.isdigit() and int(folder.name) != without:
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(_parsed(int(folder.name), (folder / "stat").read_text()))
            except OSError:  # it belongs to another user, or has ended since the folder was listed
                continue
    return found


def _parsed(pid: int, stat: str) -> ProcessSeen:
    # The name of the program is in parentheses, and may itself contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    # The last two are those of children that have ended: a script of many short programs uses nothing else.
    return ProcessSeen(pid, int(fields[19]), sum(map(int, fields[11:15])) / _TICKS)


class Watch:
    """Marks the lab as active while something works.

    Parameters
    ----------
    settings
        Settings of the server's web application; the lab reports its ``last_activity_times`` to the hub.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._seen = self._processes()
        self._seen_at = time.monotonic()

    def check(self) -> None:
        """Mark the lab as active if a kernel is busy or a process has computed since the last check.

        This is called before each report to the hub.
        """
        kernels = self._settings["kernel_manager"]
        states = [one.get("execution_state") for one in kernels.list_kernels()]
        seen, now = self._processes(), time.monotonic()
        if kernel_is_busy(states) or works(self._seen, seen, now - self._seen_at):
            self._settings["last_activity_times"]["gozen_work"] = datetime.now(UTC)
        self._seen, self._seen_at = seen, now

    def _processes(self) -> list[ProcessSeen]:
        return processes_of(os.environ.get(LAB, ""), without=os.getpid())


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    from tornado.ioloop import PeriodicCallback

    watch = Watch(server.web_app.settings)
    PeriodicCallback(watch.check, float(os.environ.get(INTERVAL, DEFAULT_S)) * 500).start()
