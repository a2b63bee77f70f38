"""Landlock rules: the files that a user's function may read."""

from __future__ import annotations

import ctypes
import os
import site
import struct
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from gozen.quickdb.isolation import syscall_numbers

_READ_FILE, _READ_DIR, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""Number of file rights of each ABI version (linux/landlock.h): 2 added refer, 3 truncate, 5 ioctl."""
_NETWORK, _NETWORK_SINCE = 0b11, 4
_SCOPES, _SCOPES_SINCE = 0b11, 6
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo")
_FILES = (
    *("/etc/ld.so.cache", "/etc/localtime", "/dev/urandom"),
    *("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu/online"),  # libraries read the size of the machine
)
_SINK = "/dev/null"


def abi() -> int:
    """Return the version of Landlock that this kernel supports, 0 if it has none."""
    try:
        return syscall_numbers.call("landlock_create_ruleset", 0, 0, 1)
    except OSError:
        return 0


def library_folders() -> list[Path]:
    """Return the folders that imports read from: the folders of the interpreter, its packages, Gozen and the system."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    python = [Path(sysconfig.get_path(name)) for name in names] + [Path(one) for one in site.getsitepackages()]
    prefixes = [Path(root) / part for root in (sys.prefix, sys.base_prefix) for part in ("lib", "lib64")]
    # Only the package, not its parent folder, which in a checkout may contain other files of the user.
    gozen = Path(__file__).resolve().parents[2]
    system = [Path(one) for one in _SYSTEM]
    return list(dict.fromkeys(one for one in [*python, *prefixes, gozen, *system] if one.is_dir()))


def restrict(folders: Iterable[Path]) -> None:
    """Restrict this thread, irreversibly, to reading the given folders and a few system files.

    The thread can then execute no file, and write only to ``/dev/null``. Further restrictions depend on the kernel's
    Landlock: TCP since ABI 4; abstract sockets and signals to other processes since ABI 6. `no_new_privs` must be set.

    Parameters
    ----------
    folders
        Folders whose contents may be read.

    Raises
    ------
    OSError
        If the kernel refuses the rules.
    """
    version = abi()
    # A kernel refuses a ruleset with a right that it does not know.
    handled = (1 << max(count for since, count in _FILE_RIGHTS.items() if since <= version)) - 1
    fields = [handled, *([_NETWORK] * (version >= _NETWORK_SINCE)), *([_SCOPES] * (version >= _SCOPES_SINCE))]
    attributes = ctypes.create_string_buffer(struct.pack(f"<{len(fields)}Q", *fields))
    rules = syscall_numbers.call("landlock_create_ruleset", attributes, 8 * len(fields), 0)
    try:
        for folder in folders:
            _allow(rules, folder, _READ_FILE | _READ_DIR)
        for name in _FILES:
            _allow(rules, Path(name), _READ_FILE)
        _allow(rules, Path(_SINK), _READ_FILE | _WRITE_FILE)
        syscall_numbers.call("landlock_restrict_self", rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    if not path.exists():
        return
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        syscall_numbers.call(
            "landlock_add_rule", rules, 1, ctypes.create_string_buffer(struct.pack("<Qi", rights, place)), 0
        )
    finally:
        os.close(place)
