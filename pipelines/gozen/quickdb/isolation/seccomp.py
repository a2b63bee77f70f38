"""The seccomp filter: the list of system calls that a user's function may make."""

from __future__ import annotations

import ctypes
import errno
import struct

from gozen.quickdb.isolation import syscall_numbers

_FREE = (
    "read write readv writev pread64 preadv recvmsg lseek close fstat newfstatat stat lstat statx statfs fstatfs "
    "access faccessat faccessat2 open openat getdents64 readlink readlinkat getcwd fadvise64 dup dup2 dup3 "
    "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 pipe2 "
    "brk munmap mremap mprotect madvise membarrier "
    "futex set_robust_list set_tid_address rseq sched_yield sched_getaffinity sched_getscheduler sched_getparam "
    "sched_get_priority_max sched_get_priority_min getcpu restart_syscall "
    "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack pause alarm "
    "setitimer getitimer nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times "
    "getrandom getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid "
    "getsid uname sysinfo getrlimit getrusage umask exit exit_group"
)
FREE = tuple(_FREE.split())
"""System calls that affect only the process itself, or files that Landlock allows."""

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x54, 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_SET_FILTER, _GET_ACTION, _ALL_THREADS = 1, 2, 1
_NUMBER, _ARCHITECTURE = 0, 4
_FIRST_PROBED = 424
"""System calls from this number on, such as clone3, get ENOSYS: C libraries try them and then use older ones."""

_THREAD = 0x00010000
_NO_THREAD = 0x7E000000 | 0x00020000 | 0x00800000 | 0x1000 | 0x2000 | 0x4000
"""Flags of clone(2) that are refused: CLONE_NEW*, UNTRACED, PIDFD, PTRACE, VFORK."""
_GROWS_DOWN, _SHARED_ANONYMOUS = 0x100, 0x21
_FILE_COMMANDS = (0, 1, 2, 3, 1030, 1034)
"""F_DUPFD, GETFD, SETFD, GETFL, DUPFD_CLOEXEC, GET_SEALS. F_SETOWN could send signals to other processes."""
_PROCESS_COMMANDS = (15, 16)
"""PR_SET_NAME and PR_GET_NAME; others, such as PR_SET_PDEATHSIG and PR_SET_DUMPABLE, could undo the isolation."""

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, constant (``struct sock_filter``)."""


def allow_list(on: str, pid: int) -> list[Instruction]:
    """Return the filter program of a child process.

    A call that is not on the list fails with EPERM, or with ENOSYS if it is new or of the x32 ABI. A call of another
    architecture (32-bit programs) kills the process.

    Parameters
    ----------
    on
        ``x86_64`` or ``aarch64``.
    pid
        Id of the process itself: the only process that it may send signals to.

    Returns
    -------
    A classic BPF program over ``struct seccomp_data`` (seccomp(2)).
    """
    program = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _ARCHITECTURES[on]), _give(_KILL_PROCESS)]
    program.append((_LOAD, 0, 0, _NUMBER))
    for name in FREE:
        program += _when(name, on, [_give(_ALLOW)])
    for name, rule in _conditions(pid).items():
        program += _when(name, on, rule)
    return [*program, (_AT_LEAST, 0, 1, _FIRST_PROBED), _refuse(errno.ENOSYS), _refuse(errno.EPERM)]


def install(program: list[Instruction]) -> None:
    """Install the filter, irreversibly, on all threads of this process; `no_new_privs` must be set.

    Raises
    ------
    OSError
        If the kernel refuses it.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *one) for one in program))
    header = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code)))
    if syscall_numbers.call("seccomp", _SET_FILTER, _ALL_THREADS, header) != 0:
        raise OSError(errno.ESRCH, "seccomp: a thread could not take the filter")


def supported() -> bool:
    """Tell whether this kernel supports such filters."""
    try:
        syscall_numbers.call("seccomp", _GET_ACTION, 0, ctypes.byref(ctypes.c_uint32(_KILL_PROCESS)))
    except OSError:
        return False
    return True


def _conditions(pid: int) -> dict[str, list[Instruction]]:
    own = _if_one_of(0, (pid,))
    return {
        "mmap": [
            # Refuse memory that RLIMIT_DATA does not count: shared anonymous memory, and stacks that grow.
            (_LOAD, 0, 0, _argument(3)),
            (_ANY_BIT, 3, 0, _GROWS_DOWN),
            (_AND, 0, 0, _SHARED_ANONYMOUS),
            (_EQUAL, 1, 0, _SHARED_ANONYMOUS),
            _give(_ALLOW),
            _refuse(errno.EPERM),
        ],
        "clone": [
            (_LOAD, 0, 0, _argument(0)),
            (_ANY_BIT, 2, 0, _NO_THREAD),
            (_ANY_BIT, 0, 1, _THREAD),
            _give(_ALLOW),
            _refuse(errno.EPERM),
        ],
        "kill": own,
        "tgkill": own,
        "fcntl": _if_one_of(1, _FILE_COMMANDS),
        "prctl": _if_one_of(0, _PROCESS_COMMANDS),
        # The process may read its own limits, not set them: the pointer to new ones must be null, in both halves.
        "prlimit64": [
            (_LOAD, 0, 0, _argument(0)),
            (_EQUAL, 0, 5, 0),
            (_LOAD, 0, 0, _argument(2)),
            (_EQUAL, 0, 3, 0),
            (_LOAD, 0, 0, _argument(2) + 4),
            (_EQUAL, 0, 1, 0),
            _give(_ALLOW),
            _refuse(errno.EPERM),
        ],
        "ioctl": [_refuse(errno.ENOTTY)],  # Python asks for each file that it opens: is it a terminal?
    }


def _if_one_of(position: int, values: tuple[int, ...]) -> list[Instruction]:
    tests = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [(_LOAD, 0, 0, _argument(position)), *tests, _refuse(errno.EPERM), _give(_ALLOW)]


def _when(name: str, on: str, rule: list[Instruction]) -> list[Instruction]:
    number = syscall_numbers.number(name, on)
    return [] if number is None else [(_EQUAL, 0, len(rule), number), *rule]


def _argument(position: int) -> int:
    return 16 + 8 * position  # the lower 32 bits: the kernel uses no more of these arguments


def _give(action: int) -> Instruction:
    return (_RETURN, 0, 0, action)


def _refuse(code: int) -> Instruction:
    return _give(_ERRNO | code)
