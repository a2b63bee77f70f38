"""Half-written files of a directory store: name them, and remove the ones that no process writes any more."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

from gozen.archive.stores.store import named_errors

LEFT_S = 86400.0
"""Age (s) after which a file of another machine counts as abandoned: Jobs end in hours, a write takes minutes."""
_COUNT = itertools.count()
"""Part of the name: threads of one process write at the same time, and their files need different names."""


def partial_name() -> str:
    """Return a new name for a half-written file; it contains the machine and the id of the process."""
    return f"{this_machine()}-{os.getpid()}-{next(_COUNT)}"


def this_machine() -> str:
    """Return a name for the host and its PID namespace: processes with the same name see the same process ids."""
    try:
        namespace = (
            Path("/proc/self/ns/pid").stat().st_ino
        )  # pods in the host's network have the host's name but separate process ids
    except OSError:
        namespace = 0  # this system has no PID namespaces
    return f"{socket.gethostname()}.{namespace}"


def sweep(folder: Path, left_s: float = LEFT_S) -> int:
    """Remove the half-written files of killed writers from a folder; return the number of files removed.

    Files of this machine are removed if their process has ended. The processes of other machines
    cannot be checked, so their files are removed when they are old. Each pod counts as a machine. If the writer of a
    removed file still runs, its write fails and leaves no partial object.

    Parameters
    ----------
    left_s
        Age in seconds of a file of another machine, since its last change, by the clock of the file server.

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
            # If another process has the same id by now, the file is removed only after that process has ended.
            gone.append(partial)
    if others:
        now = _server_time(folder)
        gone += [one for one in others if now - _written(one, now) > left_s]
    for partial in gone:
        with named_errors(str(partial), "delete"):
            partial.unlink(missing_ok=True)
    return len(gone)


def _server_time(folder: Path) -> float:
    """Return the time of the clock that dates the files: a file server's clock may differ from this machine's."""
    probe = folder / partial_name()
    with named_errors(str(probe), "write"):
        try:
            probe.write_bytes(b"?")
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)


def _written(path: Path, gone: float) -> float:
    """Return the time when a file was last written, s since 1970; ``gone`` if it does not exist any more."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return gone


def is_alive(pid: int) -> bool:
    """Tell whether a process is running; a zombie is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # After the last bracket, because the name of a process may contain brackets and blanks.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # the process has just ended, or this system has no /proc
