"""Send a large file in chunks: Nextcloud's chunked upload, version 2.

The chunks go to an upload folder, from which the server assembles the file at the end. After an interruption, the
chunks in the folder are not sent again. The server removes a folder after 24 hours without a request; then the upload
begins again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import uuid
from collections.abc import Iterator, Mapping
from functools import partial

from gozen.errors import CloudPathNotFound, SharingError, TransferDamaged
from gozen.sharing.file_listing import REQUEST, Entry, entries
from gozen.sharing.transfers.file_sum import FileSum
from gozen.sharing.transfers.sending import Sending
from gozen.sharing.transfers.transfer_notes import TransferNotes, UploadNote
from gozen.sharing.transfers.upload_assembly import Assembly, UploadFolderGone
from gozen.sharing.transfers.upload_plan import UploadPlan
from gozen.sharing.transfers.workers import Crew, Task

STARTS = 3
"""Maximum number of attempts at an upload if the server removes its folder each time."""
_BEGAN_AGAIN = "the server had removed the parts that had been sent, so the upload began again"

log = logging.getLogger(__name__)


class ChunkedUpload:
    """Sends one file in chunks."""

    def __init__(self, sending: Sending, plan: UploadPlan, notes: TransferNotes) -> None:
        self._sending, self._plan, self._notes = sending, plan, notes
        self._connection, self._path = sending.remote.connection, sending.path
        self._began_again = False

    @property
    def remark(self) -> str:
        """A remark for the user about an upload that succeeded; usually empty."""
        return _BEGAN_AGAIN if self._began_again else ""

    def send(self) -> Entry:
        """Send the file, and return its record (size, ETag) in Nextcloud; errors are those of `upload.send`."""
        wanted = self._sending.options.with_checksums
        with FileSum(self._sending.file, self._connection.check_running, wanted=wanted) as whole:
            for _ in range(STARTS):
                try:
                    found = self._send_once(whole)
                except UploadFolderGone:
                    self._begin_again()
                except TransferDamaged:
                    with contextlib.suppress(SharingError):  # else the server removes the folder after a day
                        self._abandon()
                    raise
                else:
                    self._notes.end(self._sending.file.path, self._path)
                    return found
        raise SharingError(
            f"cannot upload {self._path}: the server removed its upload folder {STARTS} times; run again later, or ask "
            "the administrator of the server"
        )

    def _send_once(self, whole: FileSum) -> Entry:
        folder, present = self._begin()
        self._send_missing(folder, present)
        checksum = whole.result()
        self._sending.file.check_unchanged()
        return Assembly(self._sending, self._address(folder), lambda: self._present(folder) is not None).run(checksum)

    def _begin(self) -> tuple[str, Mapping[str, int]]:
        """Return the upload folder, and the sizes of the chunks in it by their names."""
        state = self._sending.file.state
        note = self._notes.unfinished(self._sending.file.path, self._path)
        if note is not None and dataclasses.replace(note, began_again=False) == self._note(note.folder):
            self._began_again = note.began_again
            if (present := self._present(note.folder)) is not None:
                return note.folder, present
            self._begin_again()
        elif note is not None:
            self._abandon()  # those are chunks of an earlier state of the file
        folder = f"gozen-{uuid.uuid4()}"
        self._connection.request(
            "MKCOL", self._address(folder), subject=self._path, doing="upload", headers=self._destination(),
            accept=(405,), repeatable=True,
        )  # fmt: skip
        log.debug("%s: %d bytes in %d chunks to the folder %s", self._path, state.size, self._plan.count, folder)
        note = dataclasses.replace(self._note(folder), began_again=self._began_again)
        self._notes.begin(self._sending.file.path, self._path, note)
        return folder, {}

    def _note(self, folder: str) -> UploadNote:
        state = self._sending.file.state
        return UploadNote(folder, state.size, state.mtime_ns, self._plan.chunk_size)

    def _present(self, folder: str) -> dict[str, int] | None:
        address = self._address(folder)
        answer = self._connection.request(
            "PROPFIND", address, subject=self._path, doing="resume the upload of", headers={"Depth": "1"}, body=REQUEST,
            accept=(404,),
        )  # fmt: skip
        if answer.status == 404:
            return None
        return {one.path: one.size for one in entries(answer.body, address) if one.path and not one.is_folder}

    def _send_missing(self, folder: str, present: Mapping[str, int]) -> None:
        missing = self._plan.missing(present)
        there = self._plan.size - sum(self._plan.chunk(number).size for number in missing)
        self._sending.moved(there)

        def tasks() -> Iterator[Task]:
            for number in missing:
                yield partial(self._send_chunk, folder, number)

        threads = min(self._sending.options.chunks_at_once, len(missing))
        if threads:
            Crew(threads, self._connection.stop).run(tasks())

    def _send_chunk(self, folder: str, number: int) -> None:
        chunk = self._plan.chunk(number)
        answer = self._connection.request(
            "PUT",
            f"{self._address(folder)}/{chunk.name}",
            subject=self._path,
            doing="upload",
            headers={**self._destination(), "OC-Total-Length": str(self._plan.size)},
            body=self._sending.file.part(chunk.start, chunk.stop, self._sending.moved),
            accept=(404, 409, 412),
        )
        if answer.is_good:
            return
        # A part has no condition: with 412, the server says that it has forgotten where the parts belong.
        if answer.status == 412 or self._present(folder) is None:
            raise UploadFolderGone
        raise CloudPathNotFound(
            f"cannot upload {self._path}: the folder above it was removed in Nextcloud meanwhile; run again"
        )

    def _abandon(self) -> None:
        """Remove the chunks of a file that has changed: they cannot be used any more."""
        note = self._notes.unfinished(self._sending.file.path, self._path)
        if note is None:
            return
        self._connection.request(
            "DELETE", self._address(note.folder), subject=self._path, doing="abandon the upload of", accept=(404,)
        )
        self._notes.end(self._sending.file.path, self._path)

    def _begin_again(self) -> None:
        self._began_again = True
        log.warning("%s: %s", self._path, _BEGAN_AGAIN)
        self._notes.end(self._sending.file.path, self._path)

    def _address(self, folder: str) -> str:
        account = self._connection.account
        return account.dav("uploads", account.id, folder)

    def _destination(self) -> dict[str, str]:
        return {"Destination": self._sending.remote.address(self._path)}
