"""Test the filter of system calls, run as the kernel runs it, for both architectures.

Covered: calls that are allowed and refused by number and by argument, and the numbers in the kernel's own headers. The
filter in the kernel: tests/services/test_isolation.py.
"""

import errno
import os
import re
import struct
from pathlib import Path

import pytest

from gozen.quickdb.isolation import seccomp, syscall_numbers

PID = 4242
ALLOWED, KILLED = "allowed", "killed"
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(on: str, number: int, *arguments: int, architecture: int | None = None) -> str:
    """Run the filter on one call: the part of classic BPF that it uses."""
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", number, architecture or ARCHITECTURES[on], 0, *words)
    program, at, held = seccomp.allow_list(on, PID), 0, 0
    while True:
        code, true, false, constant = program[at]
        at += 1
        if code == 0x20:
            (held,) = struct.unpack_from("<I", data, constant)
        elif code == 0x54:
            held &= constant
        elif code == 0x06:
            kind = {0x7FFF0000: ALLOWED, 0x80000000: KILLED}
            return kind.get(constant) or errno.errorcode[constant & 0xFFFF]
        else:
            holds = {0x15: held == constant, 0x45: bool(held & constant), 0x35: held >= constant}[code]
            at += true if holds else false


def call(on: str, name: str, *arguments: int) -> str:
    number = syscall_numbers.number(name, on)
    assert number is not None
    return verdict(on, number, *arguments)


HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}
"""Of the kernel, in the Debian package linux-libc-dev."""


def numbers_of(header: Path) -> dict[str, int]:
    """Return the calls of a header; those with sizes of 64 bits have another prefix in the generic one."""
    found = re.findall(r"#define\s+__NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    numbers = {name: int(number) for name, number in found}
    return {"newfstatat": numbers.get("fstatat", -1), **numbers}


@pytest.mark.parametrize("on", HEADERS)
def test_numbers_are_those_of_the_kernel_s_headers(on):
    header = Path(HEADERS[on])
    if not header.is_file() and not os.environ.get("CI"):
        pytest.skip(f"{header} is missing: sudo apt install linux-libc-dev")
    known = numbers_of(header)
    ours = {name: syscall_numbers.number(name, on) for name in known.keys() & syscall_numbers._NUMBERS.keys()}
    assert ours == {name: known[name] for name in ours}
    # What the header has and the table leaves out would be a call that is allowed under a name and never reached.
    missing = {
        name for name in syscall_numbers._NUMBERS if syscall_numbers.number(name, on) not in (None, known.get(name))
    }
    assert missing == set()


both = pytest.mark.parametrize("on", ARCHITECTURES)


@both
def test_named_calls_are_allowed(on):
    assert {call(on, name) for name in seccomp.FREE if syscall_numbers.number(name, on) is not None} == {ALLOWED}


@both
def test_all_others_are_refused(on):
    named = {syscall_numbers.number(name, on) for name in (*seccomp.FREE, *seccomp._conditions(PID))}
    said = {number: verdict(on, number) for number in range(600) if number not in named}
    assert {what for number, what in said.items() if number < 424} == {"EPERM"}
    assert {what for number, what in said.items() if number >= 424} == {"ENOSYS"}


@pytest.mark.parametrize(
    ("on", "number"),
    [("x86_64", 41), ("x86_64", 57), ("x86_64", 59), ("x86_64", 101), ("x86_64", 319), ("x86_64", 47 - 1),
     ("aarch64", 198), ("aarch64", 203), ("aarch64", 221), ("aarch64", 117), ("aarch64", 279), ("aarch64", 211)],
    ids=lambda one: str(one),
)  # fmt: skip
def test_calls_that_must_never_be_named(on, number):
    # socket, fork, execve, ptrace, memfd_create, sendmsg; socket, connect, execve, ptrace, memfd_create, sendmsg
    assert verdict(on, number) == "EPERM"


@both
def test_the_other_interfaces_of_the_machine(on):
    other = ARCHITECTURES["aarch64" if on == "x86_64" else "x86_64"]
    for architecture in (other, 0x40000003, 0x40000028):  # i386, 32-bit ARM
        assert verdict(on, 0, architecture=architecture) == KILLED
    assert verdict(on, 0x40000000 | 1) == "ENOSYS"  # x32
    assert verdict(on, -1) == "ENOSYS"


@both
def test_threads_and_nothing_else(on):
    thread = 0x3D0F00  # what the C library asks for
    assert call(on, "clone", thread) == ALLOWED
    assert call(on, "clone", 17) == "EPERM"
    for flag in (0x00020000, 0x10000000, 0x20000000, 0x40000000, 0x4000, 0x1000):
        assert call(on, "clone", thread | flag) == "EPERM"


@both
def test_memory_that_is_counted(on):
    assert call(on, "mmap", 0, 4096, 3, 0x22) == ALLOWED  # private, anonymous
    assert call(on, "mmap", 0, 4096, 1, 0x01) == ALLOWED  # shared, of a file
    assert call(on, "mmap", 0, 4096, 3, 0x21) == "EPERM"
    assert call(on, "mmap", 0, 4096, 3, 0x23) == "EPERM"
    assert call(on, "mmap", 0, 4096, 3, 0x122) == "EPERM"


@both
def test_signals_to_itself_alone(on):
    for name in ("kill", "tgkill"):
        assert call(on, name, PID, 9) == ALLOWED
        for other in (0, 1, PID + 1, 2**32 - 1):
            assert call(on, name, other, 9) == "EPERM"


@both
def test_limits_are_read_and_not_set(on):
    assert call(on, "prlimit64", 0, 7, 0, 0x7F00) == ALLOWED
    assert call(on, "prlimit64", 1, 7, 0, 0x7F00) == "EPERM"
    assert call(on, "prlimit64", 0, 7, 0x7F00, 0) == "EPERM"
    assert call(on, "prlimit64", 0, 7, 0x7F00_0000_0000, 0) == "EPERM"


@both
def test_descriptors_and_names(on):
    assert call(on, "fcntl", 3, 1030) == ALLOWED
    assert call(on, "fcntl", 3, 8, 1) == "EPERM"  # F_SETOWN
    assert call(on, "prctl", 15) == ALLOWED
    assert {call(on, "prctl", option) for option in (1, 4, 22, 38, 59)} == {"EPERM"}
    assert call(on, "ioctl", 0, 0x5412) == "ENOTTY"  # TIOCSTI
