"""Send a small file in one request."""

from __future__ import annotations

import hashlib

from gozen.errors import TransferDamaged
from gozen.sharing.checksums import OURS
from gozen.sharing.file_listing import Entry
from gozen.sharing.transfers.sending import Sending, checked_hash, etag_of

IN_MEMORY = 2**20
"""Largest file that is read into memory at once; a larger one is read twice, for its checksum and for the request."""


def send_whole(sending: Sending) -> Entry:
    """Send a file in one request; return its record (size, ETag) in Nextcloud; errors are those of `upload.send`."""
    size = sending.file.state.size
    data = sending.file.read() if size <= IN_MEMORY else None
    checksum = _checksum(sending, data)
    condition = {"If-None-Match": "*"} if sending.replaced is None else {"If-Match": sending.replaced}
    asked = {"X-Hash": OURS.lower()} if checksum else {}
    answer = sending.remote.connection.request(
        "PUT",
        sending.remote.address(sending.path),
        subject=sending.path,
        doing="upload",
        headers={**sending.properties(checksum), **condition, **asked},
        body=sending.file.part(0, size, sending.moved) if data is None else data,
        accept=(412,),
    )
    if data is not None:
        sending.moved(size)
    if answer.status == 412:
        return sending.unless_changed(answer, checksum)
    etag = etag_of(answer)
    if not checked_hash(answer, checksum):
        sending.remote.remove(sending.path, etag or "*")
        raise TransferDamaged(
            f"{sending.path} arrived in Nextcloud with a wrong checksum and was removed there; run again, and check "
            "the network if it happens again"
        )
    if not etag:
        return sending.arrived()
    return Entry(sending.path, is_folder=False, size=size, etag=etag, checksum=checksum)


def _checksum(sending: Sending, data: bytes | None) -> str:
    if not sending.options.with_checksums:
        return ""
    if data is not None:
        return f"{OURS}:{hashlib.sha256(data).hexdigest()}"
    return sending.file.checksum(OURS, sending.remote.connection.check_running)
