"""The last request of an upload in chunks: the server assembles the file from the upload folder, and gives it its name.

The request has the condition under which a file is replaced. Its answer may be lost, and the server may have lost the
chunks. It may also need longer than a proxy in front of it waits; then the file is locked until it has ended.
"""

from __future__ import annotations

from collections.abc import Callable

from gozen.errors import CloudFileLocked
from gozen.sharing.answers import Answer, words_of
from gozen.sharing.file_listing import Entry
from gozen.sharing.retrying import FailedAttempt
from gozen.sharing.transfers.sending import SERVED_PER_S, Sending

_PAUSE_S, _LONGEST_S = 30.0, 600.0
"""Seconds between two checks whether a large file is still locked, and the most seconds of all these pauses."""
_CHUNKS_LOST = "do not sum up"
"""Part of the server's words if it does not find the chunks; they are always in English."""


class UploadFolderGone(Exception):
    """The server has removed the upload folder, or does not know its chunks any more."""


class Assembly:
    """Requests the server to assemble one file from its chunks.

    Parameters
    ----------
    address
        Address of the upload folder.
    exists
        Tells whether the upload folder still exists.
    """

    def __init__(self, sending: Sending, address: str, exists: Callable[[], bool]) -> None:
        self._sending, self._address, self._exists = sending, address, exists
        self._connection, self._path = sending.remote.connection, sending.path

    def run(self, checksum: str) -> Entry:
        """Assemble the file, and return its record (size, ETag) in Nextcloud.

        Raises
        ------
        UploadFolderGone
            The upload must begin again.
        SharingError
            The server refuses the file, or another client has changed it meanwhile.
        """
        left_s = min(self._sending.file.state.size / SERVED_PER_S, _LONGEST_S)
        while True:
            try:
                answer = self._move(checksum)
                break
            except CloudFileLocked:
                if left_s < _PAUSE_S:
                    raise
            self._connection.pause(FailedAttempt(), _PAUSE_S, self._path)
            left_s -= _PAUSE_S
        if answer.is_good:
            return self._sending.confirmed(self._sending.arrived(), checksum)
        return self._refused(answer, checksum)

    def _move(self, checksum: str) -> Answer:
        target, replaced = self._sending.remote.address(self._path), self._sending.replaced
        condition = {"Overwrite": "F"} if replaced is None else {"If": f"<{target}> ([{replaced}])"}
        about = {"Destination": target, "OC-Total-Length": str(self._sending.file.state.size)}
        return self._connection.request(
            "MOVE",
            f"{self._address}/.file",
            subject=self._path,
            doing="upload",
            headers={**about, **self._sending.properties(checksum), **condition},
            accept=(400, 404, 412),
            repeatable=True,
            locked_attempts=self._connection.limits.attempts,  # while it assembles, the server locks the file
            read_timeout_s=self._sending.patience_s(),
        )

    def _refused(self, answer: Answer, checksum: str) -> Entry:
        """Return the record of the file if it is there, because the answer to an earlier attempt was lost."""
        if answer.status == 412:
            return self._sending.unless_changed(answer, checksum)
        if answer.status == 400 and _CHUNKS_LOST in words_of(answer):
            raise UploadFolderGone
        if answer.status == 404:
            found = self._sending.remote.find(self._path)
            if found is not None and self._sending.is_this(found, checksum):
                return found
            if not self._exists():
                raise UploadFolderGone
            if found is None and self._sending.replaced is not None:
                raise self._sending.removed()
        raise self._connection.named(answer, None, self._path, "upload")
