"""Test the shared memory of a child process: how much memory the worker uses for it, whatever the child keeps."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gozen.quickdb.isolation.shared_memory import SharedMemory

LENGTH = 70_000


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with contextlib.closing(SharedMemory(4 << 30)) as one:
        yield one


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def filled(memory: SharedMemory) -> int:
    """Send one piece after the other, of which none is let go, until there are too many; return how many."""
    sent = 0
    while memory.takes(LENGTH) and sent < 500:
        number, descriptor = memory.fill([memoryview(b"x" * LENGTH)], LENGTH)
        assert descriptor is not None
        memory.sent(number)
        sent += 1
    return sent


def test_a_child_that_keeps_everything_takes_few_of_the_worker_s_descriptors(memory):
    before = descriptors()
    sent = filled(memory)
    assert sent >= 100
    assert descriptors() - before <= 128
    memory.close()
    assert descriptors() == before


def test_a_piece_that_is_let_go_is_used_again(memory):
    filled(memory)
    assert not memory.room_for(LENGTH)
    memory.released([3, 1 << 70, -1])
    assert memory.takes(LENGTH)
    assert memory.fill([memoryview(b"y" * LENGTH)], LENGTH) == (3, None)
    memory.released([5])
    assert memory.unused() == [5]
    assert memory.takes(LENGTH)
