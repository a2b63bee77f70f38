"""A way to a server on this machine that takes its time: what is sent there arrives some milliseconds later.

A process of its own, so that it shares no interpreter with what is measured. Answers are not delayed: a request costs
the latency once, as one round trip does.

    python benchmarks/latency.py PORT MILLISECONDS      prints the port that it listens on
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def latency(port: int, milliseconds: float) -> Iterator[int]:
    """Run the way to a port; return the port to ask instead."""
    command = [sys.executable, __file__, str(port), str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def serve(port: int, seconds: float) -> None:
    """Carry connections until the end."""

    async def carry(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(near, forth, seconds), _pump(far, back, 0))

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, seconds: float) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 20):
            if seconds:
                await asyncio.sleep(seconds)
            sink.write(data)
            await sink.drain()
    sink.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
