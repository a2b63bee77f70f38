"""Read and write a published folder in Nextcloud: its files, its shares and the notes about it.

`decide_files` and `decide_shares` decide what is sent, shared or removed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gozen.errors import UnreadableInput
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.file_listing import Entry
from gozen.sharing.people.share_records import Share
from gozen.sharing.people.shares import Shares
from gozen.sharing.publishing.published_record import (
    PublishedRecord,
    is_record,
    read_published,
    record_name,
    records_folder,
)
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.remote_names import check_path, joined
from gozen.sharing.transfers.local_file import LocalFile
from gozen.sharing.transfers.sending import UploadOptions
from gozen.sharing.transfers.transfer_notes import TransferNotes
from gozen.sharing.transfers.upload import send


@dataclass(frozen=True)
class FolderSeen:
    """A folder at one moment.

    Parameters
    ----------
    entries
        Its files, by name.
    record
        The file with the note of this publication; None if there is none.
    mine, others
        The note of this publication, and the notes of other publications in the same folder.
    unreadable
        Paths of damaged notes of other publications; it is unknown which shares these need.
    shares
        The shares of the folder itself.
    """

    entries: Mapping[str, Entry]
    record: Entry | None
    mine: PublishedRecord
    others: Sequence[PublishedRecord]
    unreadable: Sequence[str]
    shares: Sequence[Share]


class FolderFiles:
    """The files of a folder in which a publication has files, and the notes about it.

    Parameters
    ----------
    folder
        The folder, from the top of the account.
    of
        Name of the publication.
    notes
        Notes on this machine about uploads in chunks.
    """

    def __init__(
        self,
        connection: Connection,
        folder: str,
        of: str,
        notes: TransferNotes,
        options: UploadOptions = UploadOptions(),  # noqa: B008 it is frozen
    ) -> None:
        self.remote, self.folder, self.of = RemoteFiles(connection), check_path(folder), of
        self.shares = Shares(connection, self.remote)
        self._notes, self._options = notes, options
        self._records = records_folder(self.folder)

    def make(self) -> None:
        """Make the folder, and the folder for the notes."""
        self.remote.make_folder(self.folder)
        self.remote.make_folder(self._records)

    def exist(self) -> bool:
        """Tell whether both folders exist."""
        return all(self.remote.find(one) is not None for one in (self.folder, self._records))

    def look(self) -> FolderSeen:
        """Return the present state of the folder.

        Raises
        ------
        UnreadableInput
            The note of this publication is damaged.
        """
        entries = {one.name: one for one in self.remote.list(self.folder)}
        files = {one.name: one for one in self.remote.list(self._records) if is_record(one.name)}
        record = files.pop(record_name(self.of), None)
        mine = self._read(record) if record is not None else None
        others, unreadable = self._notes_of_others(files.values())
        shares = [one for one in self.shares.of(self.folder) if one.path == self.folder]
        return FolderSeen(
            entries, record if mine is not None else None, mine or PublishedRecord(self.of), others, unreadable, shares
        )

    def note(self, seen: FolderSeen, record: PublishedRecord) -> None:
        """Write the note of the publication, unless Nextcloud already has it with the same content."""
        if seen.record is not None and seen.mine == record:
            return
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / record_name(self.of)
            path.write_bytes(record.to_json())
            self._upload(path, self._records, seen.record)

    def is_own(self, share: Share) -> bool:
        """Tell whether this account has made a share; receivers with the right to share make others."""
        return share.by.casefold() in ("", self.remote.connection.account.id.casefold())

    def upload(self, path: Path, there: Entry | None) -> None:
        """Send a file into the folder; it replaces the file that was seen there, and no other."""
        self._upload(path, self.folder, there)

    def checksum(self, path: Path, like: str) -> str:
        """Return the checksum of a file on this machine, with the algorithm of another one."""
        with LocalFile(path) as file:
            return file.checksum(like, self.remote.connection.check_running)

    def _notes_of_others(self, files: Iterable[Entry]) -> tuple[list[PublishedRecord], list[str]]:
        """Return the readable notes, and the paths of the damaged ones."""
        found, unreadable = [], []
        for entry in files:
            try:
                note = self._read(entry)
            except UnreadableInput:
                unreadable.append(entry.path)
                continue
            found += [note] if note is not None else []
        return found, unreadable

    def _read(self, entry: Entry) -> PublishedRecord | None:
        """Return a note; None if it was removed after it was listed."""
        answer = self.remote.connection.request(
            "GET", self.remote.address(entry.path), subject=entry.path, doing="read", accept=(404,)
        )
        return read_published(answer.body, entry.path) if answer.status != 404 else None

    def _upload(self, path: Path, folder: str, there: Entry | None) -> None:
        with LocalFile(path) as file:
            replaced = there.etag if there is not None else None
            send(
                self.remote, file, joined(folder, path.name),
                replaced=replaced, notes=self._notes, options=self._options,
            )  # fmt: skip
