"""Simulated surroundings of a hub in tests without a node: a proxy that forwards nothing, and a server for all labs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import uvicorn


@contextmanager
def serving(app: Any, port: int) -> Iterator[None]:
    """Serve an ASGI application on the loopback."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def proxy_server(port: int) -> Iterator[None]:
    """Run what the hub takes for its proxy: it remembers routes."""
    routes: dict[str, Any] = {}

    class Proxy(_Handler):
        def do_GET(self) -> None:
            self.answer(200, routes)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            routes[self.path.removeprefix("/api/routes")] = json.loads(body)
            self.answer(201, {})

        def do_DELETE(self) -> None:
            routes.pop(self.path.removeprefix("/api/routes"), None)
            self.answer(204)

    with _running(Proxy, port):
        yield


@contextmanager
def lab_server(port: int) -> Iterator[None]:
    """Run what the hub takes for the server of each lab."""

    class Lab(_Handler):
        def do_GET(self) -> None:
            self.answer(200, {})

    with _running(Lab, port):
        yield


class _Handler(BaseHTTPRequestHandler):
    def answer(self, status: int, content: Any = None) -> None:
        """Answer with JSON, or with nothing."""
        text = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _running(handler: type[BaseHTTPRequestHandler], port: int) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
