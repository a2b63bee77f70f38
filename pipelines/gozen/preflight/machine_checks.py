"""Check processor, memory, kernel and browser of this machine."""

from __future__ import annotations

import os
import shutil

from gozen.preflight.finding import Finding

_GB = 1e9
_MINIMUM_MEMORY_GB = 2.0


def cores() -> Finding:
    """Count the processor cores that this process may use."""
    return Finding("processor cores", "ok", str(len(os.sched_getaffinity(0))))


def memory() -> Finding:
    """Check the memory of the machine."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GB
    if total < _MINIMUM_MEMORY_GB:
        return Finding("memory", "optional", f"{total:.1f} GB", "set workers = 1: each worker takes about 1 GB")
    return Finding("memory", "ok", f"{total:.1f} GB")


def isolation() -> Finding:
    """Check whether the kernel can isolate user-defined functions."""
    from gozen.quickdb.isolation import available

    reason = available()
    if reason is not None:
        return Finding("isolated functions", "optional", reason, "only a service that users share needs them")
    return Finding("isolated functions", "ok", "Landlock and seccomp")


def chromium() -> Finding:
    """Check whether a Chromium browser is installed."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return Finding("browser", "ok", path)
    return Finding("browser", "optional", "no chromium", "apt install chromium: only the tests of the report need it")
