"""Prefetch remote columns while the user's function runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from gozen.quickdb.patches.patch_extents import Piece

WINDOW = 32
"""Number of pieces that are fetched in advance."""

TOGETHER = 4
"""Consecutive pieces of one file that are fetched in one call; a call for each would cost more processor time."""

_THREADS = 8

Columns = tuple[str, ...]
Fetched = TypeVar("Fetched")


class Ahead(Generic[Fetched]):
    """A prefetch window that moves along the pieces of a task; to be used by one thread.

    Parameters
    ----------
    fetch
        Gets consecutive pieces of one file, and names of columns. Returns for each piece an object from which these
        columns can be read. It is called in separate threads, which share an interpreter with the user's function.
        So it should do little but wait.
    """

    def __init__(self, fetch: Callable[[Sequence[Piece], Columns], list[Fetched]]) -> None:
        self._fetch = fetch
        self._threads = ThreadPoolExecutor(_THREADS, "gozen-ahead")  # starts threads with the first piece
        self._pieces: Sequence[Piece] = ()
        self._numbers: dict[Piece, int] = {}
        self._columns: Columns = ()
        self._coming: dict[int, tuple[Future[list[Fetched]], int]] = {}
        self._at = self._next = 0

    def begin(self, pieces: Sequence[Piece], columns: Sequence[str]) -> None:
        """Begin a new task with its pieces, in order, and the columns that are expected; drop the previous task."""
        self._pieces, self._numbers = pieces, {piece: number for number, piece in enumerate(pieces)}
        self._start(0, tuple(columns))

    def expect(self, columns: Sequence[str]) -> None:
        """Fetch these columns of the next pieces in the background, unless this is in progress already."""
        if not set(columns) <= set(self._columns):
            self._start(self._at + 1, tuple(columns))

    def reach(self, pieces: Sequence[Piece]) -> None:
        """Move the window on to these pieces; earlier ones will not be requested again."""
        numbers = [self._numbers[piece] for piece in pieces if piece in self._numbers]
        if numbers:
            self._at = min(numbers)
            self._next = max(self._next, self._at)
            self._coming = {number: coming for number, coming in self._coming.items() if number >= self._at}
            self._go_on()

    def take(self, piece: Piece, columns: Sequence[str]) -> Fetched | None:
        """Return the fetched object of a piece; None if these columns were not fetched or the fetch failed."""
        coming = self._coming.get(self._numbers.get(piece, -1))
        if coming is None or not set(columns) <= set(self._columns):
            return None
        future, place = coming
        if future.exception() is not None:
            return None  # the caller reads the piece alone, so the error is that of the piece and not of a neighbour
        return future.result()[place]

    def _start(self, at: int, columns: Columns) -> None:
        for future, _ in self._coming.values():
            future.cancel()
        self._coming, self._columns = {}, columns
        self._at = self._next = at
        self._go_on()

    def _go_on(self) -> None:
        """Begin to fetch the next pieces of the window; pieces of one file are fetched together, up to `TOGETHER`."""
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
