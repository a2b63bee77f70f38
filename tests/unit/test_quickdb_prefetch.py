"""Test which columns are fetched before they are needed.

Covered: the window and how it moves, neighbours of one file in one call, columns that become known late, subsets of
columns, skipped pieces, a call that fails. Not covered: files and requests (tests/services).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

import pyarrow as pa

from gozen.errors import StorageUnavailable
from gozen.quickdb.patches.patch_extents import Piece
from gozen.quickdb.patches.prefetch import TOGETHER, WINDOW, Ahead


def pieces_in(*counts: int) -> list[Piece]:
    """Make so many row groups in each of some files."""
    return [Piece(f"f{file}", (n,), 1, 0, 0) for file, count in enumerate(counts) for n in range(count)]


class Files:
    """Answers with the file and number of a row group; notes what it was asked for."""

    def __init__(self, broken: Sequence[str] = ()) -> None:
        self.calls: list[tuple[list[Piece], tuple[str, ...]]] = []
        self.broken = broken
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, pieces: Sequence[Piece], columns: tuple[str, ...]) -> list[pa.Table]:
        self.calls.append((list(pieces), columns))
        assert self.may_answer.wait(60)
        if any(piece.path in self.broken for piece in pieces):
            raise StorageUnavailable("it is away")
        return [pa.table({name: [f"{piece.path} {piece.groups[0]} {name}"] for name in columns}) for piece in pieces]

    @property
    def asked(self) -> list[Piece]:
        return sorted(
            itertools.chain.from_iterable(one for one, _ in self.calls), key=lambda one: (one.path, one.groups)
        )


def walk(ahead: Ahead, pieces: Sequence[Piece], columns: Sequence[str]) -> list[pa.Table | None]:
    """Ask for each piece in turn."""
    found = []
    for piece in pieces:
        ahead.reach([piece])
        found.append(ahead.take(piece, columns))
    return found


def test_every_piece_is_fetched_once_and_is_the_right_one() -> None:
    pieces, files = pieces_in(70, 1, 30), Files()
    ahead = Ahead(files)
    ahead.begin(pieces, ["a", "b"])
    found = walk(ahead, pieces, ["a", "b"])
    assert [one and one.to_pylist() for one in found] == [
        [{name: f"{piece.path} {piece.groups[0]} {name}" for name in ("a", "b")}] for piece in pieces
    ]
    assert files.asked == pieces
    assert all(len({piece.path for piece in one}) == 1 and len(one) <= TOGETHER for one, _ in files.calls)
    assert len(files.calls) <= len(pieces) / TOGETHER + 3


def test_no_more_than_the_window_is_fetched_before_it_is_asked_for() -> None:
    pieces, files = pieces_in(200), Files()
    ahead = Ahead(files)
    ahead.begin(pieces, ["a"])
    for number in (0, 1, 50, 199):
        ahead.reach([pieces[number]])
        assert ahead.take(pieces[number], ["a"]) is not None
        held = {piece for batch, _ in files.calls for piece in batch}
        assert max(piece.groups[0] for piece in held) < number + WINDOW
    assert len(files.asked) < 200  # what was passed over is not fetched


def test_columns_that_are_known_late_are_fetched_of_what_follows() -> None:
    pieces, files = pieces_in(20), Files()
    ahead = Ahead(files)
    ahead.begin(pieces, [])
    ahead.reach([pieces[0]])
    assert ahead.take(pieces[0], ["a"]) is None
    assert files.calls == []
    ahead.expect(["a", "b"])
    assert walk(ahead, pieces[1:], ["b"])[0] == pa.table({"a": ["f0 1 a"], "b": ["f0 1 b"]})  # what has both will do
    assert files.asked == pieces[1:]
    assert ahead.take(pieces[-1], ["c"]) is None
    ahead.expect(["a"])
    assert len(files.asked) == 19  # it is on its way already


def test_a_piece_may_be_asked_for_twice_while_its_patch_is_at_work() -> None:
    pieces, files = pieces_in(8), Files()
    ahead = Ahead(files)
    ahead.begin(pieces, ["key", "flux"])
    ahead.reach(pieces[2:4])
    for columns in (["key"], ["flux"]):
        assert all(ahead.take(piece, columns) is not None for piece in pieces[2:4])
    assert ahead.take(pieces[-1], ["key"]) is not None
    assert files.asked == pieces
    ahead.reach([pieces[4]])
    assert ahead.take(pieces[3], ["key"]) is None  # its memory is free


def test_what_fails_is_left_to_whoever_asks_for_the_piece_itself() -> None:
    pieces, files = pieces_in(4, 4), Files(broken=["f0"])
    ahead = Ahead(files)
    ahead.begin(pieces, ["a"])
    assert [one is None for one in walk(ahead, pieces, ["a"])] == [True] * 4 + [False] * 4


def test_another_task_forgets_the_one_before() -> None:
    pieces, files = pieces_in(100), Files()
    files.may_answer.clear()
    ahead = Ahead(files)
    ahead.begin(pieces, ["a"])
    ahead.begin(pieces[90:], ["a"])
    files.may_answer.set()
    assert None not in walk(ahead, pieces[90:], ["a"])
    # Of the first task only that was fetched which was under way.
    assert len([piece for piece in files.asked if piece.groups[0] < 90]) < WINDOW + TOGETHER
    assert ahead.take(pieces[0], ["a"]) is None
