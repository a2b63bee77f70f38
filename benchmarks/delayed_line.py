"""A line to a server with a delay, as to a server in another city: everything arrives later, nothing is lost.

    python benchmarks/delayed_line.py PORT_OF_THE_SERVER DELAY_MS

It prints its own port. Each direction takes half of the delay. The line does not limit the bytes per second.
"""

from __future__ import annotations

import asyncio
import sys

MOST = 64 * 2**20
"""Bytes on their way in one direction of a connection; a sender of more waits, as for a full window."""


class _Side(asyncio.BufferedProtocol):
    """One end of a connection; what it receives, the other end sends after the delay."""

    def __init__(self, delay_s: float) -> None:
        self.loop, self.delay_s = asyncio.get_running_loop(), delay_s
        self.other: _Side | None = None
        self.early: list[bytes] = []
        self.buffer = bytearray(2**18)
        self.under_way = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=2 * MOST)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._later(bytes(memoryview(self.buffer)[:nbytes]))
        self.under_way += nbytes
        if self.under_way > MOST and self.transport:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._later(b"")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other and self.other.transport:
            self.loop.call_later(self.delay_s, self.other.transport.close)

    def _later(self, data: bytes) -> None:
        self.loop.call_later(self.delay_s, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        target = self.other.transport if self.other else None
        if target is None:
            self.early.append(data)
            return
        self.under_way -= len(data)
        if self.transport and not self.transport.is_reading() and self.under_way <= MOST // 2:
            self.transport.resume_reading()
        if target.is_closing():
            return
        if data:
            target.write(data)
        elif target.can_write_eof():
            target.write_eof()

    def join(self, other: _Side) -> None:
        """Connect both ends."""
        self.other, other.other = other, self
        for data in self.early:
            self._deliver(data)
        self.early.clear()


async def run(port: int, delay_ms: float) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    delay_s, tasks = delay_ms / 2000, set()

    def accept() -> _Side:
        near = _Side(delay_s)

        async def connect() -> None:
            _, far = await loop.create_connection(lambda: _Side(delay_s), "127.0.0.1", port)
            near.join(far)

        tasks.add(task := loop.create_task(connect()))
        task.add_done_callback(tasks.discard)
        return near

    server = await loop.create_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), float(sys.argv[2])))
