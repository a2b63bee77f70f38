"""The file that a download fills, next to its target and under another name, until it is complete.

Its name contains the target and the ETag, so each state of the remote file has a separate partial file. A second file
lists the segments that are complete on the disk. After an interruption or a power failure they are not fetched again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType

from gozen.archive.stores.output_files import writing
from gozen.errors import CloudConflict
from gozen.sharing.file_listing import Entry
from gozen.sharing.reserved_space import reserve

PREFIX, SUFFIX = ".gozen-", ".partial"
_DONE = ".done"
_LOOKS, _LOOK_S = 20, 0.25
"""Number of attempts to lock the file, and seconds between them: an interrupted download may still be ending."""
_LINE = b"%08d\n"
"""A line with a segment's number. All lines have the same length, so a line that was cut off by a kill is noticed."""


def is_partial(name: str) -> bool:
    """Tell whether a name belongs to an incomplete download."""
    return name.startswith(PREFIX) and name.endswith((SUFFIX, SUFFIX + _DONE))


class PartialDownload:
    """The incomplete file of a download; a context manager. It is kept if the download is interrupted.

    Parameters
    ----------
    segment
        Bytes of a segment.
    wait
        Waits for some seconds until another download of this file has ended; default: not at all.
    """

    def __init__(
        self, target: Path, entry: Entry, segment: int, wait: Callable[[float], object] = lambda _: None
    ) -> None:
        self._target, self._entry, self._segment, self._wait = target, entry, segment, wait
        self._begin = f"{PREFIX}{_short(target.name)}-"
        self.path = target.with_name(f"{self._begin}{_short(f'{entry.etag} {entry.size} {segment}')}{SUFFIX}")
        self._done = self.path.with_name(self.path.name + _DONE)
        self._is_divided = entry.size > segment
        self._lock, self._is_syncing = threading.Lock(), False
        self._received: list[int] = []  # complete, but perhaps not yet on the disk
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

    def reserve(self) -> None:
        """Reserve the space of a file with several segments on the disk.

        Raises
        ------
        StorageUnavailable
            The disk has too little space.
        """
        if self._is_divided:
            with writing(self._target):
                reserve(self._descriptor, self._entry.size)

    def write(self, data: bytes | memoryview, start: int) -> None:
        """Write bytes at a position."""
        with writing(self._target):
            while data:
                count = os.pwrite(self._descriptor, data, start)
                data, start = data[count:], start + count

    def complete(self, number: int) -> None:
        """Note that a segment is complete, when it is on the disk.

        Only one thread writes to the disk. The others go on, and it notes what they have completed meanwhile.
        """
        with self._lock:
            self._received.append(number)
            if self._is_syncing:
                return
            self._is_syncing = True
        while numbers := self._next_received():
            with writing(self._target):
                self._list(numbers)

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
            if self._is_divided:
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
        """Open the file and lock it against other downloads; return its file descriptor."""
        for _ in range(_LOOKS):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, self.path):
                    return descriptor
            os.close(descriptor)  # another download has the lock, or has just completed the file and given it its name
            self._wait(_LOOK_S)
        raise CloudConflict(
            f"another process downloads {self._target} at this moment, or a download that was interrupted is just "
            "ending; wait until it has finished, then run again"
        )

    def _next_received(self) -> list[int]:
        with self._lock:
            numbers, self._received = self._received, []
            self._is_syncing = bool(numbers)
            return numbers

    def _list(self, numbers: list[int]) -> None:
        """List segments that are complete."""
        if self._is_divided:
            # Before the list, which a power failure may keep. Meanwhile other segments are fetched.
            os.fsync(self._descriptor)
            with self._done.open("ab") as stream:
                stream.write(b"".join(_LINE % number for number in numbers))
        self.done.update(numbers)

    def _recall(self) -> None:
        """Read which segments are complete."""
        size = os.fstat(self._descriptor).st_size
        with contextlib.suppress(FileNotFoundError):
            numbers = complete_lines(self._done.read_bytes())
            # The user may have removed this file, but not the list.
            self.done = {one for one in numbers if min((one + 1) * self._segment, self._entry.size) <= size}
            if self.done != numbers:
                self._list_anew()

    def _list_anew(self) -> None:
        """Remove from the list segments that the file lacks; else they would count as complete when it has grown."""
        with self._done.open("wb") as stream:
            stream.write(b"".join(_LINE % number for number in sorted(self.done)))
            stream.flush()
            os.fsync(stream.fileno())


def partials_in(folder: Path) -> frozenset[str]:
    """Return the names of all partial files in a folder."""
    with writing(folder), os.scandir(folder) as found:
        return frozenset(one.name for one in found if is_partial(one.name))


def complete_lines(text: bytes) -> set[int]:
    """Return the numbers of segments in a list, without lines that are damaged."""
    lines = [line for line in text.splitlines(keepends=True) if line.strip().isdigit()]
    return {int(line) for line in lines if line == _LINE % int(line)}


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _short(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
