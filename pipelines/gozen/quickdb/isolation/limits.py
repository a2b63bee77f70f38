"""Limits of a call of a user's function, and the message when one is exceeded."""

from __future__ import annotations

from dataclasses import dataclass

from gozen.errors import BadRequest, LimitExceeded

THREADS = 64
"""Threads that a function may have at a time."""
REQUESTS = 10_000
"""Times that a function may ask for columns in one call."""
BARE_BYTES = 96 << 20
"""Memory that a Python with NumPy and Arrow has before it does anything."""
PROCESSORS = 4
"""Processors that the threads of a function may keep busy for the whole of its time."""
SERVING = 3
"""Processor seconds that the worker spends on the questions of a call, as a multiple of `Limits.seconds`.

As many again to read its result.
"""
SERVED = 16
"""Bytes of all columns that a call is given, as a multiple of `Limits.memory_bytes`."""


@dataclass(frozen=True)
class Limits:
    """What one call of a user's function may take.

    Parameters
    ----------
    memory_bytes
        Memory of the child process beyond what a bare Python has, in bytes; as much again for columns that it keeps.
    seconds
        Wall-clock seconds of a call, without the time in which columns are read for it, of which the processors'
        part is bounded too (`SERVING`).
    result_bytes
        Size of the encoded result, in bytes.

    Raises
    ------
    BadRequest
        When a limit is not positive.
    """

    memory_bytes: int = 2 << 30
    seconds: float = 60.0
    result_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise BadRequest(f"the limit {name} is {value!r}; give a number above 0")


def too_much_memory(limits: Limits) -> LimitExceeded:
    """Return the error of a call that wants more memory than it may have."""
    return LimitExceeded(
        f"the function used more than {size(limits.memory_bytes)} of memory (limit memory_bytes = "
        f"{limits.memory_bytes}): work on fewer rows or columns at a time, or ask for more memory_bytes"
    )


def too_long(limits: Limits) -> LimitExceeded:
    """Return the error of a call that does not end."""
    return LimitExceeded(
        f"the function ran longer than {limits.seconds:g} s (limit seconds) and was ended: "
        "make it faster, or ask for more seconds"
    )


def too_large(found: int, limits: Limits) -> LimitExceeded:
    """Return the error of a call whose result is too large."""
    return LimitExceeded(
        f"the function's result has {size(found)}, more than {size(limits.result_bytes)} (limit result_bytes = "
        f"{limits.result_bytes}): return less, such as a histogram, or ask for more result_bytes"
    )


def too_many_threads(found: int) -> LimitExceeded:
    """Return the error of a call that starts threads without end."""
    return LimitExceeded(f"the function had {found} threads; {THREADS} are allowed, and one is fastest: use NumPy")


def too_many_requests() -> LimitExceeded:
    """Return the error of a call that asks for columns without end."""
    return LimitExceeded(
        f"the function asked for columns more than {REQUESTS} times in one call: ask once, and keep them"
    )


def too_much_served(limits: Limits) -> LimitExceeded:
    """Return the error of a call whose questions keep the worker busy."""
    return LimitExceeded(
        f"the function's questions took the worker more than {SERVING} times {limits.seconds:g} s (limit seconds), or "
        f"columns of more than {SERVED} times {size(limits.memory_bytes)} (limit memory_bytes): ask for each column "
        "once, and keep it"
    )


def size(count: int) -> str:
    """Return a number of bytes as people read it, e.g. ``256 MiB``."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):.4g} {unit}"
    return f"{count} bytes"
