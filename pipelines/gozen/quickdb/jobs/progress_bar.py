"""Show the progress of a job on the terminal or in a notebook, unless it ends within a second."""

from __future__ import annotations

import importlib.util
import sys
import time
from types import TracebackType
from typing import Any

AFTER_S = 1.0
"""Seconds before a bar is shown: a bar that disappears in a moment only distracts."""


class ProgressBar:
    """Counts rows of a job; a context manager.

    Parameters
    ----------
    rows
        Approximate number of rows of the complete job.
    shown
        Whether a bar is shown; None shows one on a terminal and in a notebook, after a second.
    why_not_kept
        Why results are not cached; empty if they are. Printed when the bar opens.
    """

    def __init__(self, rows: int, shown: bool | None, why_not_kept: str = "") -> None:
        self._rows = rows
        self._why_not_kept = why_not_kept
        self._done = 0
        self._begin = time.monotonic()
        self._wanted = _somebody_looks() if shown is None else shown
        self._after = AFTER_S if shown is None else 0.0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def add(self, rows: int) -> None:
        """Add finished rows."""
        self._done += rows
        if self._bar is None and self._wanted and time.monotonic() - self._begin >= self._after:
            self._open()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        widgets = None if importlib.util.find_spec("ipywidgets") else False  # else rich warns at each step
        self._bar = Progress(*columns, console=Console(stderr=True, force_jupyter=widgets))
        self._task = self._bar.add_task(f"{self._rows:,} rows", total=self._rows)
        self._bar.start()
        if self._why_not_kept:
            self._bar.console.print(f"results are not cached: {self._why_not_kept}", markup=False, highlight=False)


def _somebody_looks() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules
