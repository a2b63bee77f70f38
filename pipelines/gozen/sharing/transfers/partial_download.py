"""The file that a download fills, next to its target and under another name, until it is complete.

Its name contains the target and the ETag, so another state of the remote file gets another one. A second file lists the
segments that are complete; after an interruption these are not fetched again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

from gozen.archive.stores.output_files import writing
from gozen.errors import CloudConflict
from gozen.sharing.file_listing import Entry

PREFIX, SUFFIX = ".gozen-", ".partial"
_DONE = ".done"


def is_partial(name: str) -> bool:
    """Tell whether a name is that of an incomplete download."""
    return name.startswith(PREFIX) and name.endswith((SUFFIX, SUFFIX + _DONE))


class PartialDownload:
    """The incomplete file of a download; a context manager. It is kept if the download is interrupted.

    Parameters
    ----------
    segment
        Bytes of a segment.
    """

    def __init__(self, target: Path, entry: Entry, segment: int) -> None:
        self._target, self._entry, self._segment = target, entry, segment
        self._begin = f"{PREFIX}{_short(target.name)}-"
        self.path = target.with_name(f"{self._begin}{_short(f'{entry.etag} {entry.size} {segment}')}{SUFFIX}")
        self._done = self.path.with_name(self.path.name + _DONE)
        self._is_divided = entry.size > segment
        self._lock = threading.Lock()
        self.done: set[int] = set()
        """Numbers of the segments that are complete, from 0."""

    def __enter__(self) -> PartialDownload:
        with writing(self._target):
            self._descriptor = self._locked()
            if self._is_divided:
                self._recall()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def write(self, data: bytes, start: int) -> None:
        """Write bytes at a position."""
        with writing(self._target):
            while data:
                count = os.pwrite(self._descriptor, data, start)
                data, start = data[count:], start + count

    def complete(self, number: int) -> None:
        """Note that a segment is complete."""
        with self._lock, writing(self._target):
            self.done.add(number)
            if self._is_divided:
                with self._done.open("ab") as stream:
                    stream.write(f"{number}\n".encode())

    def read(self, start: int, size: int) -> bytes:
        """Return bytes at a position."""
        with writing(self._target):
            return os.pread(self._descriptor, size, start)

    def discard(self) -> None:
        """Remove the file: its content is wrong."""
        self._done.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def publish(self, modified_s: float | None) -> os.stat_result:
        """Give the file its name, and return its state; an older file with this name is replaced."""
        with writing(self._target):
            os.ftruncate(self._descriptor, self._entry.size)
            if modified_s is not None:
                os.utime(self._descriptor, ns=(int(modified_s * 1e9), int(modified_s * 1e9)))
            # Else a power failure may keep the name and lose the bytes.
            os.fsync(self._descriptor)
            self.path.replace(self._target)
            self._done.unlink(missing_ok=True)
            return os.fstat(self._descriptor)

    def sweep(self, partials: Collection[str]) -> None:
        """Remove the partial files of other states of the same file in Nextcloud.

        Parameters
        ----------
        partials
            Names of all partial files in the folder, as `partials_in` returns them.
        """
        for name in partials:
            if name.startswith(self._begin) and not name.startswith(self.path.name):
                with contextlib.suppress(OSError):
                    self.path.with_name(name).unlink()

    def _locked(self) -> int:
        """Return the open file, of which no other process has a lock."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, self.path):
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                raise CloudConflict(
                    f"another process downloads {self._target} at this moment; wait until it has finished"
                ) from None
            os.close(descriptor)  # another process has just completed it and given it its name

    def _recall(self) -> None:
        """Read which segments are complete, if this machine has not been started again meanwhile."""
        # Segments are not written down to the disk one by one, so after a power failure none of them counts.
        session = _session()
        with contextlib.suppress(OSError):
            first, *numbers = self._done.read_text().splitlines()
            if first == session:
                self.done = {int(one) for one in numbers if one.isdecimal()}
                return
        self._done.write_text(f"{session}\n")


def partials_in(folder: Path) -> frozenset[str]:
    """Return the names of all partial files in a folder."""
    with writing(folder), os.scandir(folder) as found:
        return frozenset(one.name for one in found if is_partial(one.name))


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _session() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"process {os.getpid()}"  # this system does not say, so only this process trusts its segments


def _short(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
