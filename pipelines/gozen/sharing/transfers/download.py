"""Fetch one file under a temporary name, in segments that can be resumed; rename it if its checksum is right."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gozen.errors import CloudConflict, TransferDamaged
from gozen.sharing.checksums import Digest, digest_for, written
from gozen.sharing.file_listing import Entry
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.transfers.compare import LocalState
from gozen.sharing.transfers.local_file import BLOCK, Moved
from gozen.sharing.transfers.partial_download import PartialDownload
from gozen.sharing.transfers.remote_bytes import RangesIgnored, RemoteBytes
from gozen.sharing.transfers.workers import Crew, Task


@dataclass(frozen=True)
class DownloadOptions:
    """How files are fetched.

    Parameters
    ----------
    segment_bytes
        Larger files are fetched in segments of this size.
    segments_at_once
        Segments of one file at the same time; more than connections, because some are being written down to the disk.
    """

    segment_bytes: int = 32 * 2**20
    segments_at_once: int = 12


class Download:
    """Fetches a file whose ETag is known from a listing.

    Parameters
    ----------
    before
        State of the file on this machine that is replaced; None if no file may exist there.
    partials
        Names of the partial files in its folder. Partial files of other states of this file are removed.
    moved
        Is called with the number of bytes that were fetched.
    """

    def __init__(
        self,
        remote: RemoteFiles,
        entry: Entry,
        target: Path,
        before: LocalState | None,
        partials: Collection[str],
        options: DownloadOptions,
        moved: Moved = lambda _: None,
    ) -> None:
        self._remote, self._entry, self._target = remote, entry, target
        self._before, self._partials = before, partials
        self._options, self._moved, self._connection = options, moved, remote.connection
        self._bytes = RemoteBytes(remote, entry)
        self._segments = max(1, -(-entry.size // options.segment_bytes))

    def fetch(self) -> LocalState:
        """Fetch the file, and return its state on this machine.

        Raises
        ------
        SharingError
            The file was not fetched; a file with its name on this machine is unchanged.
        """
        with PartialDownload(self._target, self._entry, self._options.segment_bytes, self._connection.wait) as into:
            into.sweep(self._partials)
            into.reserve()
            digest = digest_for(self._entry.checksum) if self._entry.checksum and self._segments == 1 else None
            try:
                self._fetch_missing(into, digest)
                self._check(into, digest)
            except TransferDamaged:
                into.discard()
                raise
            self._check_target()
            state = into.publish(self._entry.modified_s)
        return LocalState(state.st_size, state.st_mtime_ns)

    def _fetch_missing(self, into: PartialDownload, digest: Digest | None) -> None:
        if self._segments == 1:
            self._fetch_segments(into, range(1), digest)
            return
        self._moved(sum(self._stop(number) - self._start(number) for number in into.done))
        missing = [number for number in range(self._segments) if number not in into.done]

        def tasks() -> Iterator[Task]:
            for number in missing:
                yield partial(self._fetch_segments, into, range(number, number + 1), only_range=True)

        if not missing:
            return
        try:
            Crew(min(self._options.segments_at_once, len(missing)), self._connection.stop).run(tasks())
        except RangesIgnored:  # else each segment would cost as much as the whole file
            first = min(number for number in missing if number not in into.done)
            self._fetch_segments(into, range(first, self._segments))

    def _start(self, number: int) -> int:
        return number * self._options.segment_bytes

    def _stop(self, number: int) -> int:
        return min((number + 1) * self._options.segment_bytes, self._entry.size)

    def _fetch_segments(
        self, into: PartialDownload, numbers: range, digest: Digest | None = None, *, only_range: bool = False
    ) -> None:
        """Fetch consecutive segments over one connection."""
        position = self._start(numbers[0])
        for piece in self._bytes.pieces(position, self._stop(numbers[-1]), only_range=only_range):
            into.write(piece, position)
            if digest is not None:
                digest.update(piece)
            position += len(piece)
            self._moved(len(piece))
            while len(numbers) > 1 and self._stop(numbers[0]) <= position:
                into.complete(numbers[0])
                numbers = numbers[1:]
        into.complete(numbers[0])

    def _check(self, into: PartialDownload, digest: Digest | None) -> None:
        if not self._entry.checksum:
            return
        if digest is None:
            digest = digest_for(self._entry.checksum)
            for start in range(0, self._entry.size, BLOCK):
                self._connection.check_running()
                digest.update(into.read(start, min(BLOCK, self._entry.size - start)))
        if written(self._entry.checksum, digest) != self._entry.checksum:
            raise TransferDamaged(
                f"{self._entry.path} arrived with another checksum than Nextcloud has for it, and was removed here; "
                "run again. If it happens again, the file is damaged on the server, or was changed there without "
                "Nextcloud: upload it again"
            )

    def _check_target(self) -> None:
        """Check that nobody has changed the file on this machine during the download."""
        now = state_here(self._target)
        if now != self._before:
            raise CloudConflict(
                f"cannot download {self._entry.path}: {self._target} was changed on this machine during the download; "
                "it is not overwritten: rename one of the two, then run again"
            )


def state_here(path: Path) -> LocalState | None:
    """Return the state of a file on this machine, None if it does not exist."""
    with suppress(FileNotFoundError):
        found = path.stat()
        return LocalState(found.st_size, found.st_mtime_ns)
    return None
