"""Read bytes of a file in Nextcloud; if the connection breaks, continue at the position that was reached."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx

from gozen.errors import SharingError, TransferDamaged
from gozen.sharing.answers import Answer
from gozen.sharing.broken_lines import failure_of
from gozen.sharing.cloud_connection import refusal_of
from gozen.sharing.file_listing import Entry
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.retrying import pause_s

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class RangesIgnored(Exception):
    """The server sends the whole file instead of a range."""


class RemoteBytes:
    """The bytes of one state of a file; threads may share it."""

    def __init__(self, remote: RemoteFiles, entry: Entry) -> None:
        self._remote, self._entry, self._connection = remote, entry, remote.connection

    def pieces(self, position: int, stop: int, *, only_range: bool) -> Iterator[bytes | memoryview]:
        """Yield the bytes from position to stop in pieces; each piece is valid until the next one is requested.

        Parameters
        ----------
        only_range
            Whether to refuse an answer that contains the whole file. If not, the requested bytes are taken from it.

        Raises
        ------
        RangesIgnored
            The server has sent the whole file, and `only_range` is set.
        SharingError
            The bytes cannot be fetched, or the file has changed.
        """
        attempt, spent = 1, 0.0
        while True:
            before, error, answer = position, None, Answer(200)
            try:
                with self._connection.stream(
                    self._remote.address(self._entry.path), self._asked(position, stop)
                ) as got:
                    answer, pieces = got
                    if only_range and answer.is_good and answer.status != 206:
                        raise RangesIgnored
                    if answer.is_good:
                        for piece in self._of_range(answer, pieces, position, stop):
                            yield piece
                            position += len(piece)
            except httpx.HTTPError as found:
                error = found
            if position == stop and error is None and answer.is_good:
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
            if found[2] not in ("*", str(self._entry.size)):
                raise self._changed()
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


def _short() -> httpx.HTTPError:
    return httpx.RemoteProtocolError("the answer ended early")
