"""The common part of uploads and downloads of folders: options, outcomes, and the errors that end a transfer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gozen.errors import (
    CertificateRefused,
    CloudConflict,
    CloudFailed,
    CloudUnavailable,
    GozenError,
    LogInRefused,
    RedirectRefused,
    UnexpectedAnswer,
)
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.transfers.compare import Decision
from gozen.sharing.transfers.download import DownloadOptions
from gozen.sharing.transfers.outcomes import FileOutcome, FileState, Transfers
from gozen.sharing.transfers.progress import Progress
from gozen.sharing.transfers.sending import UploadOptions
from gozen.sharing.transfers.transfer_notes import TransferNotes
from gozen.sharing.transfers.visible_files import VisibleFiles
from gozen.sharing.transfers.workers import Crew, Task

_FATAL = (CertificateRefused, CloudUnavailable, LogInRefused, RedirectRefused, UnexpectedAnswer)
"""After these errors, the other files would fail in the same way."""

_FAILURES = 3
"""Number of consecutive files with a failure of the server that end the transfer. One file alone may be the cause."""

_THREADS = 2
"""Threads for each connection: while one writes a file down to the disk, another one uses the connection."""


@dataclass(frozen=True)
class TransferOptions:
    """How files are transferred.

    Parameters
    ----------
    overwrite
        Whether a file that changed on the other side is replaced.
    visible
        Which files of a folder are sent; None: all.
    """

    overwrite: bool = False
    visible: VisibleFiles | None = None
    upload: UploadOptions = field(default_factory=UploadOptions)
    download: DownloadOptions = field(default_factory=DownloadOptions)


class TreeTransfer:
    """Transfers files and folders over the connections of one account.

    Parameters
    ----------
    stop
        Is set if the user interrupts the transfer.
    """

    def __init__(
        self,
        remote: RemoteFiles,
        notes: TransferNotes,
        options: TransferOptions,
        progress: Progress,
        stop: threading.Event | None = None,
    ) -> None:
        self.stop = stop or threading.Event()
        self.remote = RemoteFiles(remote.connection.stoppable(self.stop), remote.root)
        self.notes, self.options, self.progress = notes, options, progress
        self._transfers, self._lock = Transfers(), threading.Lock()
        self._failures = 0

    def carry_out(self, tasks: Iterable[Task]) -> Transfers:
        """Carry out tasks, and return the outcomes of all files."""
        try:
            Crew(_THREADS * self.remote.connection.limits.connections, self.stop).run(tasks)
        except _FATAL as error:
            self._transfers.fatal = error
        return self._transfers

    def attempt(self, path: str, act: Callable[[], FileOutcome]) -> None:
        """Transfer one file, and record its outcome; an error that concerns all files is raised."""
        try:
            outcome = act()
        except GozenError as error:
            self.fail(path, error)
        else:
            self.record(outcome)

    def fail(self, path: str, error: GozenError) -> None:
        """Record that a file was not transferred; raise an error that concerns all files."""
        self.record(FileOutcome(path, FileState.FAILED, error=error))
        if isinstance(error, _FATAL) and (not isinstance(error, CloudFailed) or self._failures >= _FAILURES):
            raise error

    def record(self, outcome: FileOutcome) -> None:
        """Record the outcome of a file."""
        with self._lock:
            self._transfers.outcomes.append(outcome)
            if isinstance(outcome.error, CloudFailed):
                self._failures += 1
            elif outcome.state in (FileState.SENT, FileState.FETCHED):
                self._failures = 0
        self.progress.finished(outcome)


def not_overwritten(decision: Decision, kept: str, other: str) -> CloudConflict:
    """Return the error for a file that is not overwritten.

    Parameters
    ----------
    kept
        The file that would be overwritten.
    other
        The file that would have replaced it.
    """
    reason = {
        Decision.CHANGED_THERE: "it has changed in Nextcloud since the last transfer",
        Decision.CHANGED_HERE: "it has changed on this machine since the last transfer",
        Decision.CHANGED_BOTH: "it has changed on this machine and in Nextcloud since the last transfer",
        Decision.UNKNOWN: "it is another file with this name",
    }[decision]
    return CloudConflict(
        f"{kept} is not overwritten by {other}: {reason}; compare them, and rename or remove one, or replace it "
        "with --overwrite (overwrite=True)"
    )
