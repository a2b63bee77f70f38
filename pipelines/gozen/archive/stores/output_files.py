"""Write files outside the archive, under a path that the user gave; a wrong path is reported as a `BadRequest`.

In the archive, the same errors (such as a missing permission) are reported as `StorageUnavailable`.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from gozen.archive.stores.store import named_errors
from gozen.errors import BadRequest

_REMEDIES = {
    errno.ENOENT: "its folder does not exist: create it, or give another path",
    errno.ENOTDIR: "a file is in the place of a folder: give another path",
    errno.EISDIR: "it is a folder: give the path of a file",
    errno.EEXIST: "a file is in the place of a folder: give another path",
    errno.EACCES: "this user does not have the permission: give another path",
    errno.EPERM: "this user does not have the permission: give another path",
    errno.EROFS: "the file system is mounted read-only: give another path",
    errno.ENAMETOOLONG: "the name is too long: give a shorter one",
    errno.ELOOP: "its links lead in a circle: give another path",
}
"""What the user can do, for each error that another path avoids."""


def check_output(path: Path, *, is_replaced: bool = False) -> None:
    """Check, before any work, that a file can be written; it need not exist.

    Parameters
    ----------
    is_replaced
        Whether another file will be renamed to this path. The renaming needs a writable folder, even if the file
        exists, and would replace a device, such as ``/dev/null``.

    Raises
    ------
    BadRequest
        File or folder cannot be written, the folder does not exist, or the path is a folder or a device.
    """
    with _errors_of_path(path):
        problem = _problem(path, is_replaced=is_replaced)
        is_special = is_replaced and path.exists() and not path.is_file()
    if is_special and problem is None:
        raise BadRequest(f"cannot write {path}: it is a device or a pipe: give the path of a file")
    if problem is not None:
        raise _refused(path, problem)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` about a file that is written into an error of Gozen.

    Raises
    ------
    BadRequest
        The folder does not exist, or the user may not write there: the user must choose another path.
    StorageUnavailable
        The disk is full, or does not work.
    """
    with named_errors(str(path), "write"), _errors_of_path(path):
        yield


@contextlib.contextmanager
def _errors_of_path(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _REMEDIES:
            raise _refused(path, error.errno) from error
        raise


def _problem(path: Path, *, is_replaced: bool) -> int | None:
    """Return the number of the error that a write to the path would have; None if it should succeed."""
    if path.is_dir():
        return errno.EISDIR
    if path.exists() and not is_replaced:
        return None if os.access(path, os.W_OK) else errno.EACCES
    if not path.parent.is_dir():
        return errno.ENOTDIR if path.parent.exists() else errno.ENOENT
    return None if os.access(path.parent, os.W_OK | os.X_OK) else errno.EACCES


def _refused(path: Path, number: int) -> BadRequest:
    return BadRequest(f"cannot write {path}: {_REMEDIES[number]}")
