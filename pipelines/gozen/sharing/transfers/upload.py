"""Send one file: in one request, or in chunks if it is large.

A file appears under its name only when it is complete. A condition of the last request makes sure that Gozen does not
overwrite a file that another client has changed.
"""

from __future__ import annotations

from gozen.sharing.file_listing import Entry
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.transfers.local_file import LocalFile, Moved
from gozen.sharing.transfers.sending import Sending, UploadOptions
from gozen.sharing.transfers.transfer_notes import TransferNotes
from gozen.sharing.transfers.upload_chunks import ChunkedUpload
from gozen.sharing.transfers.upload_plan import plan_upload
from gozen.sharing.transfers.upload_whole import send_whole


def send(
    remote: RemoteFiles,
    file: LocalFile,
    path: str,
    *,
    replaced: str | None,
    notes: TransferNotes,
    options: UploadOptions,
    moved: Moved = lambda _: None,
) -> tuple[Entry, str]:
    """Send an open file; return its record in Nextcloud, and a remark for the user, which is usually empty.

    Parameters
    ----------
    replaced
        ETag of the file to replace; None if no file of this name may exist.
    moved
        Is called with the number of bytes that were sent.

    Raises
    ------
    SharingError
        The file was not sent; a file with its name in Nextcloud is unchanged.
    """
    sending = Sending(remote, file, path, replaced, options, moved)
    plan = plan_upload(file.state.size, options.chunk_bytes, options.rules)
    if plan.is_single:
        return send_whole(sending), ""
    upload = ChunkedUpload(sending, plan, notes)
    return upload.send(), upload.remark
