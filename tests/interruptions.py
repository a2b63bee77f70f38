"""Run several processes' work as greenlets that a test interrupts or kills between any two calls, in a given order.

`Watched` wraps the objects that the code under test calls. Before each call the greenlet pauses, and the test decides
which greenlet continues or dies.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from greenlet import getcurrent, greenlet

from gozen.archive.stores.store import Store
from gozen.errors import MissingObject


class Killed(BaseException):
    """SIGKILL, as nearly as one process can feel it: nothing that catches errors sees it."""


class Watched:
    """Anything, with a hand-over before each call of a method."""

    def __init__(self, target: object) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def call(*args: object, **words: object) -> object:
            if getcurrent().parent is not None:
                getcurrent().parent.switch()
            return found(*args, **words)

        return call


class MemoryStore(Store):
    """A store in a dictionary; each of its calls is one atomic step."""

    def __init__(self) -> None:
        super().__init__("memory:/")
        self.objects: dict[str, bytes] = {}

    def read(self, key):
        if key not in self.objects:
            raise MissingObject(f"cannot read {key}: there is no such file")
        return self.objects[key]

    def read_range(self, key, start, stop):
        return self.read(key)[start:stop]

    def write(self, key, data):
        self.objects[key] = bytes(data)

    def create(self, key, data):
        if key in self.objects:
            return False
        self.objects[key] = bytes(data)
        return True

    def exists(self, key):
        return key in self.objects

    def size(self, key):
        return len(self.read(key))

    def list(self, prefix):
        return sorted(key for key in self.objects if key.startswith(f"{prefix}/"))

    def delete(self, key):
        self.objects.pop(key, None)

    def open(self, key):
        return io.BytesIO(self.read(key))


class Life:
    """One life of a process: it runs until its next call of the outside, each time that it is let."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.result: object = None
        self._greenlet = greenlet(lambda: self._run(work))

    def _run(self, work: Callable[[], object]) -> None:
        try:
            self.result = work()
        except Killed:
            self.result = Killed

    @property
    def over(self) -> bool:
        return self._greenlet.dead

    def go(self) -> None:
        """Let it run up to its next call."""
        if not self.over:
            self._greenlet.switch()

    def kill(self) -> None:
        """End it where it stands."""
        if not self.over and not self._greenlet:  # it has not begun, so nothing in it can catch anything
            self.go()
        if not self.over:
            self._greenlet.throw(Killed)

    def finish(self) -> object:
        """Let it run to its end."""
        while not self.over:
            self.go()
        return self.result


def interleave(lives: Iterable[Life], order: Iterable[tuple[int, bool]]) -> None:
    """Let lives go on, or die, in the given order of (which, whether it is killed); then end those that are left."""
    known = list(lives)
    for which, killed in order:
        life = known[which % len(known)]
        life.kill() if killed else life.go()
    for life in known:
        life.finish()
