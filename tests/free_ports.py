"""Free ports for servers that the tests start; no client can take such a port before its server listens."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

_CLIENTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_000


def free_ports(count: int) -> list[int]:
    """Return TCP ports of the loopback interface that are not used.

    They are below the ports that the kernel gives to clients: one of those may be taken between this call and the start
    of the server.
    """
    end = int(_CLIENTS.read_text().split()[0])
    found: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(range(_FIRST, end), end - _FIRST):
            if len(found) == count:
                break
            one = held.enter_context(socket.socket())
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    return found


def free_port() -> int:
    """Return one such port."""
    (port,) = free_ports(1)
    return port
