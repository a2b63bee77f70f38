"""Clients of the server for tests: small chunks, no pauses, and work that is repeated until it succeeds."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from gozen.sharing.account import Account
from gozen.sharing.cloud import Cloud
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.pauses import Clock
from gozen.sharing.retrying import ConnectionLimits
from gozen.sharing.transfers.download import DownloadOptions
from gozen.sharing.transfers.sending import UploadOptions
from gozen.sharing.transfers.transfer_notes import TransferNotes
from gozen.sharing.transfers.tree_transfer import TransferOptions
from gozen.sharing.transfers.upload_plan import ChunkRules


class SkippedPauses:
    """A clock that goes on when somebody waits."""

    def __init__(self) -> None:
        self.total_s = 0.0
        """Seconds that were skipped."""
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the time, seconds."""
        return time.monotonic() + self.total_s

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Skip a pause."""
        with self._lock:
            self.total_s += seconds


def quick_cloud(
    account: Account,
    state: Path,
    *,
    chunk: int = 2**16,
    limits: ConnectionLimits = ConnectionLimits(connections=4, attempts=4),  # noqa: B008 it is frozen
    clock: SkippedPauses | Clock | None = None,
    ca_file: Path | None = None,
) -> Cloud:
    """Return a client that sends files in small chunks and, by default, does not wait between attempts."""
    clock = clock or SkippedPauses()
    pauses = clock if isinstance(clock, Clock) else Clock(clock.now, clock.wait)
    connection = Connection(account, limits, ca_file=str(ca_file) if ca_file else None, clock=pauses)
    options = TransferOptions(
        upload=UploadOptions(chunk_bytes=chunk, rules=ChunkRules(smallest=min(chunk, 5 * 2**20))),
        download=DownloadOptions(segment_bytes=chunk),
    )
    return Cloud(connection, TransferNotes(state, account), options)
