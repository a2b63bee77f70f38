"""Half-written files of a directory store: their names, and which of them no process writes any more."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

from gozen.archive.stores.store import named_errors

LEFT_S = 86400.0
"""Age at which the writer of another machine's file is over: Jobs end in hours, an object takes minutes."""
_COUNT = itertools.count()
"""Threads of one process write at once; the process number alone would give them one file."""


def partial_name() -> str:
    """Return a new name for a half-written file, which tells a later run whose it is."""
    return f"{this_machine()}-{os.getpid()}-{next(_COUNT)}"


def this_machine() -> str:
    """Return a name for all processes that see the same numbers of processes: of the host and its PID namespace."""
    try:
        namespace = (
            Path("/proc/self/ns/pid").stat().st_ino
        )  # pods in the host's network share its name, not its processes
    except OSError:
        namespace = 0  # this system has none
    return f"{socket.gethostname()}.{namespace}"


def sweep(folder: Path, left_s: float = LEFT_S) -> int:
    """Remove what killed writers left in a folder of half-written files; return how many files went.

    Those of this machine go when their process is over. Nobody can tell that of other machines, and each pod is one:
    their files go when they are old. Should such a writer live all the same, its write fails as a whole.

    Parameters
    ----------
    left_s
        Seconds since another machine last wrote to its file, by the clock of the file server.

    Raises
    ------
    StorageUnavailable
        A file cannot be removed now.
    """
    gone, others = [], []
    for partial in folder.glob("*-*-*"):
        machine, pid, _ = partial.name.rsplit("-", 2)
        if machine != this_machine():
            others.append(partial)
        elif pid.isdecimal() and not is_alive(int(pid)):
            # Where another process has got the number since, the file stays until that one ends: no harm.
            gone.append(partial)
    if others:
        now = _server_time(folder)
        gone += [one for one in others if now - _written(one, now) > left_s]
    for partial in gone:
        with named_errors(str(partial), "delete"):
            partial.unlink(missing_ok=True)
    return len(gone)


def _server_time(folder: Path) -> float:
    """Return the present moment by the clock that dates the files: a file server's may be another than ours."""
    probe = folder / partial_name()
    with named_errors(str(probe), "write"):
        try:
            probe.write_bytes(b"?")
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)


def _written(path: Path, gone: float) -> float:
    """Return when a file was last written to, s since 1970; `gone` where it is not there any more."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return gone


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that was killed and that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # After the last bracket: a process's name may itself hold brackets and blanks.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # it has just ended, or this system has no /proc
