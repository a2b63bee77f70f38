"""Let an HTTP client read what has arrived in large blocks: fetching large files then costs half the processor time.

`httpx` reads at most 64 kB at a time, and computes as much for a small block as for a large one. A line with TLS stays
as it is: it gives one record of 16 kB at a time, and most of its time is decryption.
"""

from __future__ import annotations

from typing import Any

import httpcore
import httpx

BLOCK = 2**20
"""Most bytes that are read at once."""


def read_large_blocks(client: httpx.Client) -> None:
    """Let a client without open connections read in large blocks, also through the proxies of the environment."""
    # `httpx` has no option for this, only `httpcore` below it. In a version without these parts, blocks stay small.
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        if isinstance(getattr(pool, "_network_backend", None), httpcore.NetworkBackend):
            pool._network_backend = _LargeReads(pool._network_backend)


class _LargeReads(httpcore.NetworkBackend):
    """Makes connections that are read in large blocks."""

    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(self, *words: Any, **options: Any) -> httpcore.NetworkStream:
        return _LargeReadStream(self._backend.connect_tcp(*words, **options))


class _LargeReadStream(httpcore.NetworkStream):
    """A connection that is read in large blocks, until TLS begins."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max(max_bytes, BLOCK), timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *words: Any, **options: Any) -> httpcore.NetworkStream:
        return self._stream.start_tls(*words, **options)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
