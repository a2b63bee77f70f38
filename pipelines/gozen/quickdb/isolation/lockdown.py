"""Drop the rights of a process, and test whether the kernel supports that."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from gozen.errors import IsolationUnavailable
from gozen.quickdb.isolation import landlock, seccomp, syscall_numbers
from gozen.quickdb.isolation.limits import Limits

_SET_DEATH_SIGNAL, _SET_DUMPABLE, _NO_NEW_RIGHTS, _AMBIENT, _AMBIENT_CLEAR = 1, 4, 38, 47, 4
_OPEN_FILES = 1024
_STANDARD_ERROR = 2
_CAPABILITIES_V3 = 0x20080522
ADVICE = "use another machine; or, if all users trust one another, call quickdb.connect(isolate=False)"
"""What to do if a user's function cannot be isolated, for messages."""


def available() -> str | None:
    """Tell why this machine cannot isolate a user's function.

    Returns
    -------
    None if it can; else a sentence with the reason.
    """
    if syscall_numbers.machine() is None:
        return "isolation needs 64-bit Linux on x86-64 or ARM"
    if not seccomp.supported():
        return "this kernel, or the container's own filter, has no seccomp filters"
    if landlock.abi() < 1:
        return "this kernel, or the container's own filter, has no Landlock (Linux 5.13 and later have it)"
    if not sys.executable:
        return "the path of the Python interpreter is unknown (sys.executable is empty)"
    return None


def lock_down(parent: int, keep: int, limits: Limits) -> None:
    """Drop, irreversibly, all rights of this process that a user's function does not need.

    Parameters
    ----------
    parent
        Id of the parent process; this process is killed when the parent's thread that started it ends.
    keep
        The one descriptor beyond 0, 1 and 2 that is not closed.
    limits
        Limits of the memory of this process.

    Raises
    ------
    IsolationUnavailable
        If a right cannot be dropped, or a test shows that the process still has it.
    """
    try:
        _end_with(parent)
        if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208  # Landlock restricts only the calling thread
            raise IsolationUnavailable("another thread ran in it before; this is a bug in Gozen")
        _be_the_first_to_go()
        _close_all_but(keep)
        _set_limits(limits)
        _drop_capabilities()
        landlock.restrict(landlock.library_folders())
        # Last: the filter refuses the system calls that drop the other rights.
        seccomp.install(seccomp.allow_list(str(syscall_numbers.machine()), os.getpid()))
    except OSError as error:
        raise IsolationUnavailable(f"the system refuses a step of the isolation: {error}; {ADVICE}") from error
    # Tested: an emulated kernel may accept the rules and not enforce them.
    _must_be_refused("open files", lambda: os.open("/proc/self/environ", os.O_RDONLY))
    _must_be_refused("start processes", os.fork)


def _end_with(parent: int) -> None:
    _control(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the line above
        os._exit(1)


def _close_all_but(keep: int) -> None:
    # Only open descriptors are visited: in some containers their limit is a thousand million.
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # iterdir may keep a descriptor open during the loop
        if int(name) > _STANDARD_ERROR and int(name) != keep:
            with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed already
                os.close(int(name))


def _be_the_first_to_go() -> None:
    """Have the kernel kill this process, not its worker, if the machine runs out of memory."""
    with contextlib.suppress(OSError):  # /proc may be read-only
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")


def _set_limits(limits: Limits) -> None:
    """Limit private writable memory (RLIMIT_DATA, exact) and address space (RLIMIT_AS, loose); forbid file writes."""
    data = int(Path("/proc/self/statm").read_text("ascii").split()[5]) * resource.getpagesize()
    for which, value in (
        (resource.RLIMIT_DATA, data + limits.memory_bytes),
        (resource.RLIMIT_AS, (4 << 30) + 3 * limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        most = resource.getrlimit(which)[1]
        least = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(which, (least, least))


def _drop_capabilities() -> None:
    _control(_NO_NEW_RIGHTS, 1)
    _control(_SET_DUMPABLE, 0)
    _control(_AMBIENT, _AMBIENT_CLEAR)
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITIES_V3, 0))
    syscall_numbers.call("capset", header, ctypes.create_string_buffer(24))


def _control(option: int, value: int) -> None:
    syscall_numbers.call("prctl", option, value, 0, 0, 0)


def _must_be_refused(what: str, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except PermissionError:
        return
    raise IsolationUnavailable(
        f"it can still {what}: the kernel accepted the rules and does not enforce them, as an emulated one may do; "
        f"{ADVICE}"
    )
