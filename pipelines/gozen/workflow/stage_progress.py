"""Interface for the progress of a step and for files that it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from gozen.errors import CorruptFile

StageProgress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Shows the progress of a stage: its title and its number of steps; gives the function to call after each step."""

LeftOut = Callable[[Sequence[CorruptFile]], None]
"""Receives the reasons why files are left out, at the end of each stage that refuses some."""


@contextmanager
def no_progress(_title: str, _total: int) -> Iterator[Callable[[], None]]:
    """Show nothing."""
    yield lambda: None


def ignore(refused: Sequence[CorruptFile]) -> None:
    """Pass over files that are left out."""
