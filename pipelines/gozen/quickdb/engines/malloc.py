"""Memory that a worker frees stays with it: to get it back page by page costs much of the time of a map over it."""

from __future__ import annotations

import ctypes
import functools

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""As in glibc's ``malloc.h``."""

_KEPT_BYTES = 128 * 2**20
"""Free memory at the end of the heap that is not given back."""

_LARGEST_BYTES = 32 * 2**20
"""Arrays up to this size come from the heap; glibc takes no more, larger ones are mapped for themselves."""


@functools.cache
def keep_freed_memory() -> bool:
    """Tell the C library of this process to keep what is freed, once; True where it is one that can be told.

    Dask starts its workers with ``MALLOC_TRIM_THRESHOLD_=65536``: every array above 128 kB is then mapped anew and its
    pages are filled with zeros one by one. See mallopt(3).
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is None:
        return False
    return bool(tell(_M_MMAP_THRESHOLD, _LARGEST_BYTES)) and bool(tell(_M_TRIM_THRESHOLD, _KEPT_BYTES))
