"""How a step tells its progress: one count for each stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

StageProgress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Shows the progress of a stage: its title and its number of steps; gives the function to call after each step."""


@contextmanager
def no_progress(_title: str, _total: int) -> Iterator[Callable[[], None]]:
    """Show nothing."""
    yield lambda: None
