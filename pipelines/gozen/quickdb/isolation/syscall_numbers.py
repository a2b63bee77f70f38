"""Numbers of the system calls that the filter names or that Gozen makes, for both architectures.

The list of allowed calls is in `seccomp`.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

_NUMBERS = {  # name: (x86-64, aarch64); None if the architecture does not have it
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67), "preadv": (295, 69),
    "lseek": (8, 62), "close": (3, 57), "close_range": (436, 436), "fstat": (5, 80), "newfstatat": (262, 79),
    "stat": (4, None), "lstat": (6, None), "statx": (332, 291), "statfs": (137, 43), "fstatfs": (138, 44),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "open": (2, None), "openat": (257, 56),
    "getdents64": (217, 61), "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17),
    "fadvise64": (221, 223), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "poll": (7, None),
    "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22), "eventfd2": (290, 19),
    "pipe2": (293, 59), "brk": (12, 214), "munmap": (11, 215), "mremap": (25, 216), "mprotect": (10, 226),
    "madvise": (28, 233), "membarrier": (324, 283), "mmap": (9, 222), "ioctl": (16, 29), "fcntl": (72, 25),
    "recvmsg": (47, 212), "clone": (56, 220), "prctl": (157, 167), "prlimit64": (302, 261), "kill": (62, 129),
    "tgkill": (234, 131), "futex": (202, 98), "set_robust_list": (273, 99), "set_tid_address": (218, 96),
    "rseq": (334, 293), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "sched_getscheduler": (145, 120),
    "sched_getparam": (143, 121), "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "getcpu": (309, 168), "restart_syscall": (219, 128), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136), "rt_sigsuspend": (130, 133), "rt_sigtimedwait": (128, 137),
    "sigaltstack": (131, 132), "pause": (34, None), "alarm": (37, None), "setitimer": (38, 103),
    "getitimer": (36, 102), "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153),
    "getrandom": (318, 278), "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174),
    "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getresuid": (118, 148),
    "getresgid": (120, 150), "getgroups": (115, 158), "getpgrp": (111, None), "getpgid": (121, 155),
    "getsid": (124, 156), "uname": (63, 160), "sysinfo": (99, 179), "getrlimit": (97, 163), "getrusage": (98, 165),
    "umask": (95, 166), "exit": (60, 93), "exit_group": (231, 94), "seccomp": (317, 277), "capset": (126, 91),
    "landlock_create_ruleset": (444, 444), "landlock_add_rule": (445, 445), "landlock_restrict_self": (446, 446),
}  # fmt: skip
_MACHINES = ("x86_64", "aarch64")


def machine() -> str | None:
    """Return ``x86_64`` or ``aarch64`` in a 64-bit process on Linux; None on all others."""
    name = platform.machine()
    known = sys.platform == "linux" and name in _MACHINES and sys.maxsize > 2**32 and sys.byteorder == "little"
    return name if known else None


def number(name: str, on: str) -> int | None:
    """Return the number of a system call.

    Parameters
    ----------
    name
        The kernel's name of the call, e.g. ``openat``.
    on
        ``x86_64`` (``arch/x86/entry/syscalls/syscall_64.tbl`` of Linux) or ``aarch64`` (``asm-generic/unistd.h``).

    Returns
    -------
    The number; None if the architecture does not have the call.
    """
    return _NUMBERS[name][_MACHINES.index(on)]


def call(name: str, *arguments: object) -> int:
    """Make a system call on this machine.

    Raises
    ------
    OSError
        If the call fails, or the architecture does not have it.
    """
    on = machine()
    where = number(name, on) if on else None
    if where is None:
        raise OSError(38, f"this machine has no system call {name}")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    answer = int(libc.syscall(ctypes.c_long(where), *words))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return answer
