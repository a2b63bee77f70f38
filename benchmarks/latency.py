"""A way to a server on this machine that takes its time: what is sent there arrives some milliseconds later.

A process of its own, so that it shares no interpreter with what is measured. Answers are not delayed: a request costs
the latency once, as one round trip does. They go from socket to socket inside the kernel, as the way takes processor
time from what is measured.

    python benchmarks/latency.py PORT MILLISECONDS      prints the port that it listens on
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

_PIPE_BYTES = 1 << 20


@contextlib.contextmanager
def latency(port: int, milliseconds: float) -> Iterator[int]:
    """Run the way to a port; return the port to ask instead."""
    command = [sys.executable, "-S", __file__, str(port), str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def serve(port: int, seconds: float) -> None:
    """Carry connections until the end."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            near, _ = server.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_forth, args=(near, far, seconds), daemon=True).start()
            threading.Thread(target=_back, args=(far, near), daemon=True).start()


def _forth(near: socket.socket, far: socket.socket, seconds: float) -> None:
    with contextlib.suppress(OSError):
        while data := near.recv(1 << 20):
            time.sleep(seconds)
            far.sendall(data)
    with contextlib.suppress(OSError):
        far.shutdown(socket.SHUT_WR)


def _back(far: socket.socket, near: socket.socket) -> None:
    inlet, outlet = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(outlet, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        while count := os.splice(far.fileno(), outlet, _PIPE_BYTES):
            while count:
                count -= os.splice(inlet, near.fileno(), count)
    for one in (far, near):
        one.close()
    os.close(inlet)
    os.close(outlet)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]) / 1000)
