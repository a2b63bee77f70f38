"""Threads that carry out tasks. A task may add further tasks, for example the task of a folder adds its files.

The threads are daemon threads: if the user interrupts the work, the process does not wait for a silent server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from gozen.sharing.pauses import Stopped

Task: TypeAlias = Callable[[], "Iterable[Task] | None"]
"""A function that does some work and returns further tasks, which are computed one by one."""


class Crew:
    """Threads that share a stack of tasks. Tasks are computed only when they are needed, so few exist at a time.

    Parameters
    ----------
    threads
        Their number.
    stop
        Is set if the work is interrupted.
    """

    def __init__(self, threads: int, stop: threading.Event) -> None:
        self._threads, self._stop = threads, stop
        self._changed = threading.Condition()
        self._stack: list[Iterator[Task]] = []
        self._busy = 0
        self._error: BaseException | None = None

    def run(self, tasks: Iterable[Task]) -> None:
        """Carry out all tasks; raise the first exception of one of them, after the others have ended.

        If this thread is interrupted, it asks the others to stop, but does not wait for them.
        """
        self._stack.append(iter(tasks))
        try:
            for _ in range(self._threads):
                threading.Thread(target=self._work, daemon=True).start()
            with self._changed:
                while not self._is_over():
                    self._changed.wait()
        except BaseException:
            self._stop.set()
            raise
        if self._error is not None:
            raise self._error
        if self._stop.is_set():
            raise Stopped

    def _is_over(self) -> bool:
        return self._busy == 0 and (not self._stack or self._error is not None or self._stop.is_set())

    def _work(self) -> None:
        while (task := self._next()) is not None:
            follow: Iterable[Task] | None = None
            try:
                follow = task()
            except BaseException as error:
                self._fail(error)
            with self._changed:
                if follow is not None:
                    self._stack.append(iter(follow))
                self._busy -= 1
                self._changed.notify_all()

    def _next(self) -> Task | None:
        with self._changed:
            while True:
                ended = self._error is not None or self._stop.is_set()
                if not ended and (task := self._pop()) is not None:
                    self._busy += 1
                    return task
                if ended or self._busy == 0:
                    self._changed.notify_all()
                    return None
                self._changed.wait()

    def _pop(self) -> Task | None:
        while self._stack:
            try:
                return next(self._stack[-1])
            except StopIteration:
                self._stack.pop()
            except BaseException as error:
                self._error = self._error or error
                return None
        return None

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
