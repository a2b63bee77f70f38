"""The common part of both ways to send a file: its properties, the condition for replacing one, the final check."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from gozen.errors import CloudConflict, TransferDamaged
from gozen.sharing.answers import Answer
from gozen.sharing.checksums import OURS
from gozen.sharing.file_listing import Entry
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.transfers.local_file import LocalFile, Moved
from gozen.sharing.transfers.upload_plan import ChunkRules

SERVED_PER_S = 5e6
"""Bytes per second that a slow server reads or assembles; it sends nothing in this time."""
_BEFORE_ALL_TIMES = 86_400
"""Modification time (seconds since 1970) that is too early for Nextcloud: it accepts only later ones."""


@dataclass(frozen=True)
class UploadOptions:
    """How files are sent.

    Parameters
    ----------
    chunk_bytes
        Size of a chunk; smaller files are sent in one request.
    chunks_at_once
        Chunks of one file that are sent at the same time.
    with_checksums
        Whether the server gets checksums. Use False for servers that do not keep them: each file is then read once,
        not twice.
    """

    chunk_bytes: int = 16 * 2**20
    chunks_at_once: int = 8
    with_checksums: bool = True
    rules: ChunkRules = field(default_factory=ChunkRules)


@dataclass(frozen=True)
class Sending:
    """An open file that is sent to a path in Nextcloud.

    Parameters
    ----------
    replaced
        ETag of the file to replace; None if no file of this name may exist.
    moved
        Is called with the number of bytes that were sent.
    """

    remote: RemoteFiles
    file: LocalFile
    path: str
    replaced: str | None
    options: UploadOptions
    moved: Moved

    def properties(self, checksum: str) -> dict[str, str]:
        """Return the headers that set time and checksum of the file."""
        changed = self.file.state.mtime_ns // 10**9
        # With an earlier time, Nextcloud stores the file without checksum and then fails.
        time = {"X-OC-Mtime": str(changed)} if changed > _BEFORE_ALL_TIMES else {}
        return {**time, "OC-Checksum": checksum} if checksum else time

    def is_this(self, found: Entry | None, checksum: str) -> bool:
        """Tell whether Nextcloud already has this file, because an attempt succeeded and only its answer was lost."""
        if found is None or not checksum or found.size != self.file.state.size:
            return False
        return found.checksum == checksum or self._computed() == checksum

    def unless_changed(self, answer: Answer, checksum: str) -> Entry:
        """Return Nextcloud's record of the file if the request was refused because an earlier attempt has sent it.

        Raises
        ------
        CloudConflict
            Another client has changed the file meanwhile.
        """
        found = self.remote.find(self.path)
        if found is not None and self.is_this(found, checksum):
            return found
        if self.replaced is not None and found is None:
            raise self.removed()
        if self.replaced is None and found is not None:
            raise CloudConflict(
                f"cannot upload {self.path}: meanwhile another client has made a file with this name in Nextcloud; it "
                "is not overwritten: compare the two files, then run again"
            )
        raise self.remote.connection.named(answer, None, self.path, "upload")

    def removed(self) -> CloudConflict:
        """Return the error for a file that was to be replaced and does not exist any more."""
        return CloudConflict(
            f"cannot upload {self.path}: it was removed in Nextcloud meanwhile; run again to send it as a new file"
        )

    def confirmed(self, found: Entry, checksum: str) -> Entry:
        """Return the record with the checksum that was sent, which some servers do not keep.

        Raises
        ------
        TransferDamaged
            The server has another content.
        """
        if found.checksum == checksum or not checksum:
            return found
        computed = self._computed()
        if computed and computed != checksum:
            raise TransferDamaged(
                f"{self.path} has another content in Nextcloud than was sent: it was damaged, or another client has "
                "changed it meanwhile; compare the two files, then run again"
            )
        return dataclasses.replace(found, checksum=computed)

    def patience_s(self) -> float:
        """Return the seconds for which the server may be silent while it works on the whole file."""
        return self.remote.connection.limits.read_timeout_s + self.file.state.size / SERVED_PER_S

    def _computed(self) -> str:
        return self.remote.computed_checksum(self.path, OURS, self.patience_s())

    def arrived(self) -> Entry:
        """Return Nextcloud's record of the file after a success; raise `TransferDamaged` if it is not complete."""
        found, size = self.remote.find(self.path), self.file.state.size
        if found is None or found.size != size:
            raise TransferDamaged(
                f"{self.path} is not complete in Nextcloud ({found.size if found else 0} of {size} bytes) although the "
                "server reported success; run again"
            )
        return found


def etag_of(answer: Answer) -> str:
    """Return the ETag of the file that a request has written, empty if the answer does not have it."""
    # Web servers that compress answers change ETag, so Nextcloud repeats it under a name of its own.
    return answer.headers.get("oc-etag") or answer.headers.get("etag") or ""


def checked_hash(answer: Answer, checksum: str) -> bool:
    """Tell whether the server received the bytes that were sent; True if its answer has no checksum."""
    received = answer.headers.get(f"x-hash-{OURS.lower()}", "").lower()
    return not received or not checksum or f"{OURS}:{received}" == checksum
