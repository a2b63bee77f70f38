"""A proxy in front of an S3 server that simulates faults of networks and overloaded servers for chosen requests.

It runs in a separate thread, on the loopback interface. `Trouble` decides from a seed which request has which fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """What befalls a request, or the answer to one that has taken effect."""

    NONE = "none"
    SLOW = "slow"
    BUSY = "503 instead of doing it"
    ERROR = "500 instead of doing it"
    FULL = "507 instead of doing it"
    RESET = "reset before it arrives"
    HALF = "reset in the middle of the request"
    LATE = "reset at once, and carried out later"
    UNANSWERED = "carried out, reset instead of an answer"
    WRONGED = "carried out, 500 instead of the answer"
    HEADLESS = "the answer ends among its headers"
    TRUNCATED = "the answer's body ends early"
    DRIBBLE = "the answer comes in small pieces"


Choose = Callable[[str, str], Fault]
"""Says what befalls a request, by its method and path."""


@dataclass
class Trouble:
    """Faults that a seed decides: the n-th request for one thing meets the same one, whoever else asks meanwhile.

    Parameters
    ----------
    seed
        Any text.
    share
        Of requests that meet a fault.
    most
        Faults that the requests for one thing meet at most, so that everything comes to an end.
    kinds
        Those that there are.
    """

    seed: str
    share: float
    most: int = 4
    kinds: Sequence[Fault] = tuple(fault for fault in Fault if fault not in (Fault.NONE, Fault.FULL))
    met: Counter[Fault] = field(default_factory=Counter)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    _troubled: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __call__(self, method: str, path: str) -> Fault:
        """Decide."""
        thing = method, path
        self._asked[thing] += 1
        dice = random.Random(f"{self.seed} {method} {path} {self._asked[thing]}")
        if self._troubled[thing] >= self.most or dice.random() >= self.share:
            return Fault.NONE
        self._troubled[thing] += 1
        fault = dice.choice(self.kinds)
        self.met[fault] += 1
        return fault


def quiet(_method: str, _path: str) -> Fault:
    """Let every request through."""
    return Fault.NONE


class FaultProxy:
    """The way to a server; a context manager.

    Parameters
    ----------
    to
        Port of the server.
    address
        Where it listens.
    """

    def __init__(self, to: int, address: str = "127.0.0.1") -> None:
        self.address = address
        self._to, self._loop = to, asyncio.new_event_loop()
        self._late: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0
        self.choose: Choose = quiet

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://{self.address}:{self.port}"

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._carry, self.address, 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def settle(self) -> None:
        """Return when everything that was to be carried out later is."""
        self._run(self._settled())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _settled(self) -> None:
        while self._late:
            await asyncio.wait(self._late)

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _carry(self, near: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        far: _Far | None = None
        try:
            while True:
                head = await near.readuntil(b"\r\n\r\n")
                if b"100-continue" in head:
                    answers.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    head = head.replace(b"Expect: 100-continue\r\n", b"")
                body = await near.readexactly(_length(head))
                method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                far = far or await _Far.open(self._to)
                if not await self._deal(self.choose(method, path), method, head + body, far, answers):
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            _reset(answers)
            if far:
                far.writer.close()

    async def _deal(self, fault: Fault, method: str, request: bytes, far: _Far, answers: asyncio.StreamWriter) -> bool:
        """Deal with one request; False when the connection is to be reset."""
        if fault is Fault.LATE:
            task = asyncio.create_task(self._carry_late(method, request))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        if fault is Fault.HALF:
            await _Far.cut(self._to, request[: len(request) - max(_length(request), 2) // 2])
        if fault in (Fault.LATE, Fault.HALF, Fault.RESET):
            return False
        if fault in _REFUSALS:
            answers.write(_refusal(*_REFUSALS[fault]))
            return True
        if fault is Fault.SLOW:
            await asyncio.sleep(0.02)
        answer = await far.ask(method, request)
        match fault:
            case Fault.UNANSWERED:
                return False
            case Fault.WRONGED:
                answers.write(_refusal(500, "InternalError"))
            case Fault.HEADLESS | Fault.TRUNCATED:
                head, end, body = answer.partition(b"\r\n\r\n")
                answers.write(
                    head[: len(head) // 2] if fault is Fault.HEADLESS else head + end + body[: len(body) // 2]
                )
                await answers.drain()
                answers.close()
                return False
            case Fault.DRIBBLE:
                for start in range(0, len(answer), step := -(-len(answer) // 8)):
                    answers.write(answer[start : start + step])
                    await answers.drain()
                    await asyncio.sleep(0)
            case _:
                answers.write(answer)
        return True

    async def _carry_late(self, method: str, request: bytes) -> None:
        await asyncio.sleep(0.03)
        far = await _Far.open(self._to)
        await far.ask(method, request)
        far.writer.close()


@dataclass
class _Far:
    """A connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> _Far:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**24))

    @classmethod
    async def cut(cls, port: int, request: bytes) -> None:
        """Send a part of a request, and go away."""
        far = await cls.open(port)
        far.writer.write(request)
        await far.writer.drain()
        _reset(far.writer)

    async def ask(self, method: str, request: bytes) -> bytes:
        """Return the whole answer to a request."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        if method == "HEAD" or head[9:12] in (b"204", b"304"):
            return head
        if b"chunked" not in head.lower():
            return head + await self.reader.readexactly(_length(head))
        parts = [head]
        while True:
            size = await self.reader.readuntil(b"\r\n")
            parts += [size, await self.reader.readexactly(int(size, 16) + 2)]
            if not int(size, 16):
                return b"".join(parts)


_REFUSALS = {
    Fault.BUSY: (503, "SlowDown"),
    Fault.ERROR: (500, "InternalError"),
    Fault.FULL: (507, "InsufficientStorage"),
}


def _length(message: bytes) -> int:
    for line in message.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _refusal(status: int, code: str) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>try again</Message></Error>".encode()
    return b"HTTP/1.1 %d %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s" % (
        status, code.encode(), len(body), body,
    )  # fmt: skip


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection at once, with RST instead of FIN, unless it is ending by itself."""
    if writer.is_closing():
        return
    handle = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
