"""Fetch one file under a temporary name, in segments that can be resumed; rename it if its checksum is right."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from gozen.errors import CloudConflict, SharingError, TransferDamaged
from gozen.sharing.answers import Answer
from gozen.sharing.broken_lines import failure_of
from gozen.sharing.checksums import Digest, digest_for, written
from gozen.sharing.cloud_connection import refusal_of
from gozen.sharing.file_listing import Entry
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.retrying import pause_s
from gozen.sharing.transfers.compare import LocalState
from gozen.sharing.transfers.local_file import BLOCK, Moved
from gozen.sharing.transfers.partial_download import PartialDownload
from gozen.sharing.transfers.workers import Crew, Task

_RANGE = re.compile(r"bytes (\d+)-(\d+)/")


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
    segments_at_once: int = 16


class Download:
    """Fetches a file whose ETag is known from a listing.

    Parameters
    ----------
    before
        State of the file on this machine that is replaced; None if there must be none.
    partials
        Names of the partial files in its folder. Those of other states of this file are removed.
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
        self._segments = max(1, -(-entry.size // options.segment_bytes))

    def fetch(self) -> LocalState:
        """Fetch the file, and return its state on this machine.

        Raises
        ------
        SharingError
            It was not fetched. Under its name, this machine has what it had before.
        """
        with PartialDownload(self._target, self._entry, self._options.segment_bytes) as into:
            into.sweep(self._partials)
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
            self._fetch_segment(into, 0, digest)
            return
        self._moved(sum(self._stop(number) - self._start(number) for number in into.done))
        missing = [number for number in range(self._segments) if number not in into.done]

        def tasks() -> Iterator[Task]:
            for number in missing:
                yield partial(self._fetch_segment, into, number, None)

        if missing:
            Crew(min(self._options.segments_at_once, len(missing)), self._connection.stop).run(tasks())

    def _start(self, number: int) -> int:
        return number * self._options.segment_bytes

    def _stop(self, number: int) -> int:
        return min((number + 1) * self._options.segment_bytes, self._entry.size)

    def _fetch_segment(self, into: PartialDownload, number: int, digest: Digest | None) -> None:
        """Fetch a segment; a broken line is resumed at the byte where it broke."""
        position, stop = self._start(number), self._stop(number)
        attempt, spent = 1, 0.0
        while True:
            before, error, answer = position, None, Answer(200)
            try:
                with self._connection.stream(
                    self._remote.address(self._entry.path), self._asked(position, stop)
                ) as got:
                    answer, pieces = got
                    if answer.is_good:
                        for piece in self._of_range(answer, pieces, position, stop):
                            into.write(piece, position)
                            if digest is not None:
                                digest.update(piece)
                            position += len(piece)
                            self._moved(len(piece))
            except httpx.HTTPError as found:
                error = found
            if position == stop and error is None and answer.is_good:
                into.complete(number)
                return
            attempt = 1 if position > before else attempt  # the line works, so the attempts are counted again
            failure = refusal_of(answer) if error is None and not answer.is_good else failure_of(error or _short())
            pause = pause_s(failure, attempt, spent, self._connection.limits, repeatable=True)
            if pause is None:
                raise self._named(answer, error)
            self._connection.pause(failure, pause, self._entry.path)
            attempt, spent = attempt + 1, spent + pause

    def _asked(self, position: int, stop: int) -> dict[str, str]:
        asked = {"If-Match": self._entry.etag} if self._entry.etag else {}
        if self._entry.size == 0 or (position == 0 and stop == self._entry.size):
            return asked
        return {**asked, "Range": f"bytes={position}-{stop - 1}"}

    def _of_range(
        self, answer: Answer, pieces: Iterator[bytes | memoryview], position: int, stop: int
    ) -> Iterator[bytes | memoryview]:
        """Yield the bytes from position to stop, also if the server ignores the range and sends the whole file."""
        at = 0
        if answer.status == 206:
            found = _RANGE.match(answer.headers.get("content-range", ""))
            if found is None or int(found[1]) != position:
                raise TransferDamaged(
                    f"cannot download {self._entry.path}: the server sent another range of bytes; run again"
                )
            at = position
        for piece in pieces:
            wanted = piece[max(0, position - at) : max(0, stop - at)]
            at += len(piece)
            if wanted:
                yield wanted
        if (at > stop and answer.status == 206) or at > self._entry.size:
            raise self._changed()

    def _named(self, answer: Answer, error: httpx.HTTPError | None) -> SharingError:
        if error is None and answer.status in (404, 412):
            return self._changed()
        return self._connection.named(
            None if error is not None or answer.is_good else answer, error or _short(), self._entry.path, "download"
        )

    def _changed(self) -> TransferDamaged:
        return TransferDamaged(
            f"cannot download {self._entry.path}: it was changed or removed in Nextcloud during the download, so this "
            "machine keeps what it had before; run again"
        )

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


def _short() -> httpx.HTTPError:
    return httpx.RemoteProtocolError("the answer ended early")
