"""Define the interfaces for the progress of a stage and for files that it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from gozen.errors import CorruptFile

StageProgress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Shows the progress of a stage, given its title and number of steps; yields a function to call after each step."""

LeftOut = Callable[[Sequence[CorruptFile]], None]
"""Receives the reasons why files are left out, at the end of each stage."""


@contextmanager
def no_progress(_title: str, _total: int) -> Iterator[Callable[[], None]]:
    """Show no progress."""
    yield lambda: None


def ignore(refused: Sequence[CorruptFile]) -> None:
    """Do nothing about the files that were left out; a callback for callers that do not print them."""
