"""Reserve the space of a file on the disk: many threads then write it faster, and a full disk is found at once."""

from __future__ import annotations

import ctypes
import errno
import os

_KEEP_SIZE = 1
"""`FALLOC_FL_KEEP_SIZE`: the size of the file still tells where its content ends."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def reserve(descriptor: int, size: int) -> None:
    """Reserve so many bytes for an open file; do nothing where the system or the file system cannot.

    `os.posix_fallocate` would write into each block there, such as on NFS before version 4.2.

    Raises
    ------
    OSError
        The disk, the quota or the file system has too little space.
    """
    fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if fallocate is None:  # macOS
        return
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    if fallocate(descriptor, _KEEP_SIZE, 0, size) and (code := ctypes.get_errno()) in _FULL:
        # Some file systems keep what they had reserved before they failed.
        os.ftruncate(descriptor, os.fstat(descriptor).st_size)
        raise OSError(code, os.strerror(code))
