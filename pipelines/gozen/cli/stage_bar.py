"""Show the progress bar of a subcommand, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gozen.cli.console import messages


@contextmanager
def counted(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar during a stage; yield the function to call after each step.

    If standard error is a file or a pipe, nothing is printed.
    """
    console = messages()
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    bar = Progress(TextColumn("{task.description}"), *columns, console=console, disable=not console.is_terminal)
    with bar:
        yield partial(bar.advance, bar.add_task(title, total=total))
