"""Threads that read the archive: a few at the same time, and the process does not wait for them when it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

AT_ONCE = 8
"""Most reads at the same time."""

_Value = TypeVar("_Value")


class ReadingThreads:
    """Runs functions that read the archive, each in a thread.

    A read may never return, for example from a file server that hangs. Such reads can occupy all these threads, but
    not the threads of the event loop, which the log-in uses. They are daemon threads, because Python waits for all
    others before the process ends.

    Parameters
    ----------
    at_once
        Maximum number of reads at the same time; others wait until one has returned.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = asyncio.Semaphore(at_once)

    async def run(self, read: Callable[[], _Value]) -> _Value:
        """Call a function in a thread; return its result, or raise its exception."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: Future[_Value] = Future()
        answer.set_running_or_notify_cancel()  # it cannot be cancelled any more

        def work() -> None:
            try:
                answer.set_result(read())
            except BaseException as error:
                answer.set_exception(error)
            finally:
                with contextlib.suppress(RuntimeError):  # the event loop has ended
                    loop.call_soon_threadsafe(self._free.release)

        Thread(target=work, name="gozen-portal-read", daemon=True).start()
        return await asyncio.wrap_future(answer)
