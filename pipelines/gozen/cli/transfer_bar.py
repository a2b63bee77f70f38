"""Show the progress of a transfer of files, on standard error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

from gozen.cli.console import messages
from gozen.sharing.transfers.outcomes import FileOutcome
from gozen.sharing.transfers.progress import Progress


class TransferBar(Progress):
    """A progress bar that counts the bytes and files of a transfer."""

    def __init__(self, bar: Bar, title: str) -> None:
        self._bar, self._title = bar, title
        self._task = bar.add_task(title, total=0)
        self._total, self._files, self._lock = 0, 0, threading.Lock()

    def found(self, size: int) -> None:
        """Add the size of a file (bytes) to the total of the bar."""
        with self._lock:
            self._total += size
            self._bar.update(self._task, total=self._total)

    def moved(self, size: int) -> None:
        """Count transferred bytes."""
        self._bar.advance(self._task, size)

    def finished(self, outcome: FileOutcome) -> None:
        """Count a file that is finished."""
        with self._lock:
            self._files += 1
            self._bar.update(self._task, description=f"{self._title}, {self._files} files")


@contextmanager
def transfer_bar(title: str) -> Iterator[Progress]:
    """Show a bar during a transfer; yield the object that receives its reports.

    If standard error is a file or a pipe, nothing is printed.
    """
    console = messages()
    if not console.is_terminal:
        yield Progress()
        return
    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with Bar(TextColumn("{task.description}"), *columns, console=console) as bar:
        yield TransferBar(bar, title)
