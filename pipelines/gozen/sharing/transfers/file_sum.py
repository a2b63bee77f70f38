"""Compute the checksum of a file in a separate thread, while the chunks of the file are sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from gozen.sharing.checksums import OURS
from gozen.sharing.transfers.local_file import LocalFile


class _Cancelled(Exception):
    """The checksum is not needed any more."""


class FileSum:
    """A checksum that a thread computes; a context manager, whose exit stops the thread.

    Parameters
    ----------
    check
        Called before each block; it may raise an exception to stop the computation.
    wanted
        Whether a checksum is needed; if not, none is computed.
    """

    def __init__(self, file: LocalFile, check: Callable[[], None], *, wanted: bool = True) -> None:
        self._file, self._check, self._wanted = file, check, wanted
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._found = ""
        self._error: BaseException | None = None

    def __enter__(self) -> FileSum:
        if self._wanted:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cancelled.set()
        if self._wanted:
            self._thread.join()

    def result(self) -> str:
        """Return the checksum, empty if none is wanted; raise the exception of the thread, if it ended with one."""
        if self._wanted:
            self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found

    def _run(self) -> None:
        try:
            self._found = self._file.checksum(OURS, self._checked)
        except BaseException as error:
            self._error = error

    def _checked(self) -> None:
        self._check()
        if self._cancelled.is_set():
            raise _Cancelled
