"""Limits of a call of a user's function, and the errors raised when one is exceeded."""

from __future__ import annotations

from dataclasses import dataclass

from gozen.errors import BadRequest, LimitExceeded

THREADS = 64
"""Maximum number of threads of a function at a time."""
REQUESTS = 10_000
"""Maximum number of requests for columns in one call."""
BARE_BYTES = 96 << 20
"""Resident memory of a Python process that has only imported NumPy and Arrow, in bytes."""
PROCESSORS = 4
"""Processors that the threads of a function may keep busy for its full time limit."""
SERVING = 3
"""Maximum processor time of the worker for the requests of a call, as a multiple of `Limits.seconds`.

Decoding the result may take as much again.
"""
SERVED = 16
"""Maximum number of bytes of all columns that one call receives, as a multiple of `Limits.memory_bytes`."""


@dataclass(frozen=True)
class Limits:
    """Limits of one call of a user's function.

    Parameters
    ----------
    memory_bytes
        Memory of the child process in addition to the memory of a bare Python process, in bytes. Columns in shared
        memory may take
        the same amount in addition.
    seconds
        Wall-clock time of a call, in seconds. The time in which the worker reads columns for it does not count; the
        worker's processor time is limited separately (`SERVING`).
    result_bytes
        Size of the encoded result, in bytes.

    Raises
    ------
    BadRequest
        If a limit is not positive.
    """

    memory_bytes: int = 2 << 30
    seconds: float = 60.0
    result_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise BadRequest(f"the limit {name} of isolated functions is {value!r}; give a number above 0")


def too_much_memory(limits: Limits) -> LimitExceeded:
    """Return the error of a call that needs too much memory."""
    return LimitExceeded(
        f"the function used more than {size(limits.memory_bytes)} of memory: work on fewer rows or columns at a time, "
        "or raise the setting quickdb.memory_mb"
    )


def too_long(limits: Limits) -> LimitExceeded:
    """Return the error of a call that takes too long."""
    return LimitExceeded(
        f"the function ran longer than {limits.seconds:g} s and was stopped: make it faster, or raise the setting "
        "quickdb.seconds"
    )


def too_large(found: int, limits: Limits) -> LimitExceeded:
    """Return the error of a call whose result is too large."""
    return LimitExceeded(
        f"the function's result has {size(found)}, more than {size(limits.result_bytes)}: return less, such as a "
        "histogram, or raise the setting quickdb.result_mb"
    )


def too_many_threads(found: int) -> LimitExceeded:
    """Return the error of a call that starts too many threads."""
    return LimitExceeded(
        f"the function had {found} threads; {THREADS} are allowed. Use NumPy with one thread: workers run in parallel"
    )


def too_many_requests() -> LimitExceeded:
    """Return the error of a call that requests columns too often."""
    return LimitExceeded(
        f"the function requested columns more than {REQUESTS} times in one call: request each column once, and keep "
        "it in a variable"
    )


def too_much_served(limits: Limits) -> LimitExceeded:
    """Return the error of a call whose requests take too much processor time of the worker, or too many bytes."""
    return LimitExceeded(
        f"the function's requests for columns took the worker more than {SERVING} times {limits.seconds:g} s (the "
        f"setting quickdb.seconds), or their bytes were more than {SERVED} times {size(limits.memory_bytes)} (the "
        "setting quickdb.memory_mb): request each column once, and keep it in a variable"
    )


def size(count: int) -> str:
    """Return a number of bytes as text with a unit, e.g. ``256 MiB``."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):.4g} {unit}"
    return f"{count} bytes"
