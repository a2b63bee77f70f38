"""Runs a WSGI application as a server of this machine: with or without TLS, at the top or under a path."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import PathInfoDispatcher, Server


@contextmanager
def running(app: Any, *, under: str = "", certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Run the application on a free port, and yield its address.

    Parameters
    ----------
    under
        The path under which it answers, such as ``/cloud``.
    certificate
        Files of a certificate and its key, for TLS.
    """
    server = Server(("127.0.0.1", 0), PathInfoDispatcher({under or "/": app}), numthreads=8)
    if certificate is not None:
        server.ssl_adapter = BuiltinSSLAdapter(str(certificate[0]), str(certificate[1]))
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    scheme = "http" if certificate is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{server.bind_addr[1]}{under}"
    finally:
        server.stop()
        thread.join()
