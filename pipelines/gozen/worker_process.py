"""Prepare a new worker process: signals, threads, memory; the worker ends when its parent ends.

The pools of workers are in `gozen.reduction.process_pool` and `gozen.quickdb.engines`.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import threading
import time

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Values from glibc's ``malloc.h``."""

_LARGEST_BYTES = 32 * 2**20
"""Arrays up to this size are allocated on the heap, larger ones by ``mmap``; glibc accepts no higher limit."""

_PARENT_POLL_S = 0.1

DASK_WORKER = {
    # Dask's profiler samples a worker a hundred times a second: a tenth of a short job.
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    # Above 80 % of its memory a worker would begin no task until some is free: never, if a function keeps what it has.
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",
}
"""Environment of each Dask worker that Gozen starts, here and in a cluster."""


def begin_worker(parent: int, kept_bytes: int) -> None:
    """Prepare this process as a worker.

    Parameters
    ----------
    parent
        Id of the process that started this one; the worker ends when it ends.
    kept_bytes
        As in `keep_freed_memory`.
    """
    # Ctrl-C reaches every process of the group, but the parent decides when its workers stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The workers of the pool run in parallel: threads inside a worker would only compete for its core.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMEXPR_NUM_THREADS="1")
    keep_freed_memory(kept_bytes)
    # The parent passes its id: if it has already died, `getppid` would return the process that adopted this one.
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


@functools.cache
def keep_freed_memory(kept_bytes: int) -> bool:
    """Make the C library keep freed memory for reuse in this process; return whether the library (glibc) accepts this.

    The kernel allocates returned memory again page by page, filled with zeros. This takes as long as the
    calibration or the map function that uses the memory. Dask starts its workers with ``MALLOC_TRIM_THRESHOLD_=65536``,
    so each array above 128 kB is mapped again. See mallopt(3).

    Parameters
    ----------
    kept_bytes
        Free memory at the end of the heap that is not returned to the kernel, bytes.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is None:
        return False
    return bool(tell(_M_MMAP_THRESHOLD, _LARGEST_BYTES)) and bool(tell(_M_TRIM_THRESHOLD, kept_bytes))


def _end_with_parent(parent: int) -> None:
    # A parent that was killed cannot stop its workers, which would wait for work for ever. Polled, because only the
    # processes of multiprocessing can wait for the end of their parent.
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    os._exit(1)
