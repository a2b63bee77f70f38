"""Prefetch remote columns while the user's function runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from gozen.quickdb.patches.patch_extents import Piece

WINDOW = 32
"""Pieces that are fetched before they are asked for."""

TOGETHER = 4
"""Neighbours of one file that are fetched by one call, which costs less processor time than a call for each."""

_THREADS = 8

Columns = tuple[str, ...]
Fetched = TypeVar("Fetched")


class Ahead(Generic[Fetched]):
    """A window that moves along the pieces of a task; one thread uses it.

    Parameters
    ----------
    fetch
        Returns what holds these columns of neighbouring pieces of one file; called in threads of its own, which should
        do little but wait: they share an interpreter with the user's function.
    """

    def __init__(self, fetch: Callable[[Sequence[Piece], Columns], list[Fetched]]) -> None:
        self._fetch = fetch
        self._threads = ThreadPoolExecutor(_THREADS, "gozen-ahead")  # they begin with the first piece
        self._pieces: Sequence[Piece] = ()
        self._numbers: dict[Piece, int] = {}
        self._columns: Columns = ()
        self._coming: dict[int, tuple[Future[list[Fetched]], int]] = {}
        self._at = self._next = 0

    def begin(self, pieces: Sequence[Piece], columns: Sequence[str]) -> None:
        """Take the pieces of a task in their order, and the columns of them that are expected; forget earlier ones."""
        self._pieces, self._numbers = pieces, {piece: number for number, piece in enumerate(pieces)}
        self._start(0, tuple(columns))

    def expect(self, columns: Sequence[str]) -> None:
        """Fetch these columns of what follows."""
        if not set(columns) <= set(self._columns):
            self._start(self._at + 1, tuple(columns))

    def reach(self, pieces: Sequence[Piece]) -> None:
        """Move on to pieces: those before them are not asked for any more."""
        numbers = [self._numbers[piece] for piece in pieces if piece in self._numbers]
        if numbers:
            self._at = min(numbers)
            self._next = max(self._next, self._at)
            self._coming = {number: coming for number, coming in self._coming.items() if number >= self._at}
            self._go_on()

    def take(self, piece: Piece, columns: Sequence[str]) -> Fetched | None:
        """Return what holds these columns of a piece; None where they were not fetched or could not be."""
        coming = self._coming.get(self._numbers.get(piece, -1))
        if coming is None or not set(columns) <= set(self._columns):
            return None
        future, place = coming
        if future.exception() is not None:
            return None  # asked for by itself the piece says what is wrong with it, and not with its neighbour
        return future.result()[place]

    def _start(self, at: int, columns: Columns) -> None:
        for future, _ in self._coming.values():
            future.cancel()
        self._coming, self._columns = {}, columns
        self._at = self._next = at
        self._go_on()

    def _go_on(self) -> None:
        """Begin to fetch what the window holds, as soon as it holds enough for a call."""
        end = min(self._at + WINDOW, len(self._pieces))
        while self._columns and self._next < end:
            path = self._pieces[self._next].path
            most = self._pieces[self._next : min(self._next + TOGETHER, end)]
            batch = list(itertools.takewhile(lambda piece: piece.path == path, most))  # noqa: B023  # used at once
            if self._next + len(batch) == end < len(self._pieces) and len(batch) < TOGETHER:
                return
            future = self._threads.submit(self._fetch, batch, self._columns)
            self._coming |= {self._next + place: (future, place) for place in range(len(batch))}
            self._next += len(batch)
