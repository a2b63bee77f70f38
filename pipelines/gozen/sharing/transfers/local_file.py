"""Read a local file for an upload, and notice if it changes meanwhile: a mixture of two states is never sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from gozen.archive.stores.directory_store import at_rest
from gozen.archive.stores.store import named_errors
from gozen.errors import TransferDamaged
from gozen.sharing.checksums import digest_for, written
from gozen.sharing.transfers.compare import LocalState

BLOCK = 256 * 2**10
"""Bytes that are read and sent at once."""
Moved = Callable[[int], None]
"""Is called with the number of bytes that were transferred; with a negative one if they are transferred again."""


class LocalFile:
    """An open file; a context manager.

    Raises
    ------
    StorageUnavailable, MissingObject
        The file cannot be read, or another process keeps writing to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> LocalFile:
        with named_errors(str(self.path), "read"):
            self._stream = self.path.open("rb", buffering=0)
            self._before = at_rest(self._stream.fileno(), str(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    @property
    def state(self) -> LocalState:
        """Size and time of the file when it was opened."""
        return LocalState(self._before.st_size, self._before.st_mtime_ns)

    def check_unchanged(self) -> None:
        """Check that the file is the same as when it was opened.

        Raises
        ------
        TransferDamaged
            The file has changed.
        """
        now = os.fstat(self._stream.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._before.st_size, self._before.st_mtime_ns):
            raise self._changed()

    def read(self) -> bytes:
        """Return the whole content of a small file; raise `TransferDamaged` if it changes meanwhile."""
        return b"".join(self.part(0, self.state.size))

    def part(self, start: int, stop: int, moved: Moved = lambda _: None) -> FilePart:
        """Return the bytes from start to stop (exclusive) as the body of a request."""
        return FilePart(self, start, stop, moved)

    def checksum(self, like: str, check: Callable[[], None] = lambda: None) -> str:
        """Return the checksum of the content.

        Parameters
        ----------
        like
            A checksum with the same algorithm, or the name of the algorithm.
        check
            Is called before each block; it may raise.
        """
        digest = digest_for(like)
        for block in self.part(0, self.state.size):
            check()
            digest.update(block)
        return written(like, digest)

    def block(self, start: int, stop: int) -> bytes:
        """Return some bytes; raise `TransferDamaged` if the file has become shorter."""
        with named_errors(str(self.path), "read"):
            data = os.pread(self._stream.fileno(), stop - start, start)
        if len(data) != stop - start:
            raise self._changed()
        return data

    def _changed(self) -> TransferDamaged:
        return TransferDamaged(
            f"cannot send {self.path}: it changed while it was read, so Nextcloud keeps what it had before; run again "
            "when the file is complete"
        )


class FilePart:
    """Bytes of a file as the body of a request; every iteration reads them again."""

    def __init__(self, file: LocalFile, start: int, stop: int, moved: Moved) -> None:
        self._file, self._start, self._stop, self._moved = file, start, stop, moved
        self._counted = 0

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self._stop - self._start

    def __iter__(self) -> Iterator[bytes]:
        self._moved(-self._counted)  # of an attempt that failed
        self._counted = 0
        for start in range(self._start, self._stop, BLOCK):
            stop = min(start + BLOCK, self._stop)
            data = self._file.block(start, stop)
            if stop == self._stop:
                # Before the last block is sent: the server discards a body that is not complete.
                self._file.check_unchanged()
            yield data
            self._moved(len(data))
            self._counted += len(data)
