"""Record the files that are opened during a test, with Linux's inotify and without a package."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_OPENED, _NONBLOCK, _HEADER = 0x20, 0o4000, 16


@contextlib.contextmanager
def opened_files(watched: Iterable[Path]) -> Iterator[Callable[[], list[Path]]]:
    """Watch files; what is yielded returns those that were opened since it was asked last."""
    libc = ctypes.CDLL(None, use_errno=True)
    queue = libc.inotify_init1(_NONBLOCK)
    assert queue >= 0, os.strerror(ctypes.get_errno())
    numbers = {libc.inotify_add_watch(queue, str(path).encode(), _OPENED): path for path in watched}
    assert min(numbers) >= 0, os.strerror(ctypes.get_errno())

    def opened() -> list[Path]:
        found = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                found += os.read(queue, 65536)
        # Events of files have no name: each is as long as its header.
        return [numbers[int.from_bytes(found[at : at + 4], "little")] for at in range(0, len(found), _HEADER)]

    try:
        yield opened
    finally:
        os.close(queue)
