"""How every worker process starts: signals, threads, memory, and its end with the parent.

Pools are in `gozen.reduction.process_pool` and `gozen.quickdb.engines`.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import threading
import time

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""As in glibc's ``malloc.h``."""

_LARGEST_BYTES = 32 * 2**20
"""Arrays up to this size come from the heap; glibc takes no more, larger ones are mapped for themselves."""

_PARENT_POLL_S = 0.1


def begin_worker(parent: int, kept_bytes: int) -> None:
    """Make a new process a worker.

    Parameters
    ----------
    parent
        Process id of the process that started it; the worker ends with it.
    kept_bytes
        As in `keep_freed_memory`.
    """
    # Ctrl-C reaches the whole group; the parent decides and stops its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The pool is the parallelism; threads inside a worker would only compete for its core.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMEXPR_NUM_THREADS="1")
    keep_freed_memory(kept_bytes)
    # The parent gives its number itself: asked for here, it may be that of whoever adopted this process.
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


@functools.cache
def keep_freed_memory(kept_bytes: int) -> bool:
    """Tell the C library to keep freed memory in this process, once; True where it is glibc.

    Memory that is given back returns page by page, each filled with zeros: as expensive as a calibration, or a map over
    it. Dask starts its workers with ``MALLOC_TRIM_THRESHOLD_=65536``, and each array above 128 kB is then mapped anew.
    See mallopt(3).

    Parameters
    ----------
    kept_bytes
        Free memory at the end of the heap that is not given back.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is None:
        return False
    return bool(tell(_M_MMAP_THRESHOLD, _LARGEST_BYTES)) and bool(tell(_M_TRIM_THRESHOLD, kept_bytes))


def _end_with_parent(parent: int) -> None:
    # A parent that was killed tells nobody, and its workers would wait for work for ever. Not every pool's processes
    # can wait for their parent, as those of multiprocessing can.
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    os._exit(1)
