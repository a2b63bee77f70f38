"""Processor seconds of a process and its running descendants, read from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_elsewhere_s = 0.0
# Fields of /proc/PID/stat after the name: utime, stime, and those of children that were waited for.
_TIMES = slice(11, 15)


def processor_s(pid: int | None = None) -> float:
    """Return what a process and its descendants have used, s; this one's by default.

    A descendant that ended counts once its parent has waited for it. One whose parent ended first is missed, unless
    an ancestor has made itself the reaper of orphans.
    """
    root = os.getpid() if pid is None else pid
    return _used(root) + sum(_used(child) for child in descendants(root)) + (_elsewhere_s if pid is None else 0.0)


def add_elsewhere(seconds: float) -> None:
    """Count what a process that is not below this one has done for it."""
    global _elsewhere_s
    _elsewhere_s += seconds


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes below one, parents before their children."""
    for child in _children(pid):
        yield child
        yield from descendants(child)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return found
    for thread in threads:
        try:
            found += map(int, (thread / "children").read_text().split())
        except OSError:
            continue
    return found


def _used(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[_TIMES])) / _TICKS
