"""A real S3 server that stores objects in a folder, and a connection to it that a test can cut."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.session import Session
from tests.cluster.certificates import Authority
from tests.cluster.processes import ENDS_WITH_ITS_STARTER
from tests.cluster.tools import tool
from tests.free_ports import free_port

from gozen.archive.stores.s3_store import S3Store
from gozen.settings import StorageSettings

KEY, SECRET = "tester", "not-a-secret"
PATIENT_S = 30


@dataclass
class S3Server:
    """versitygw over a folder.

    Parameters
    ----------
    endpoint
        Its address.
    log
        A line for each request.
    authority
        Certificate of the authority that signed the server's, where it is asked by https.
    """

    endpoint: str
    folder: Path
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)
    authority: Path | None = None
    _asked: int = 0

    @property
    def environment(self) -> Mapping[str, str]:
        """What a user sets to reach it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "GOZEN_STORAGE__ENDPOINT_URL": self.endpoint,
            **({"AWS_CA_BUNDLE": str(self.authority)} if self.authority else {}),
        }

    def bucket(self, name: str) -> str:
        """Make a bucket; return its name."""
        self.client().create_bucket(Bucket=name)
        return name

    def store(self, url: str, **settings: object) -> S3Store:
        """Open a root on this server."""
        return S3Store(url, StorageSettings.model_validate({"endpoint_url": self.endpoint, "attempts": 2} | settings))

    def requests(self) -> list[str]:
        """Return what has been asked of it so far, as in ``GetObject``, this question left out."""
        self._asked += 1
        self.client().list_buckets()
        deadline = time.monotonic() + PATIENT_S
        while (found := self.said()).count("ListAllMyBuckets") < self._asked:
            assert time.monotonic() < deadline
        return [one for one in found if one != "ListAllMyBuckets"]

    def said(self) -> list[str]:
        """Return all that stands in the log."""
        return re.findall(r" s3_(\w+) ", self.log.read_text())

    def client(self, key: str = KEY, secret: str = SECRET) -> Any:
        """Return a client of botocore's: of the owner of all buckets, or of another user."""
        return _client(self.endpoint, key, secret)


@contextlib.contextmanager
def s3_server(
    folder: Path, port: int | None = None, address: str = "127.0.0.1", authority: Authority | None = None
) -> Iterator[S3Server]:
    """Run a server over a folder, new or left by an earlier one; it ends with the context.

    Parameters
    ----------
    authority
        Signs the server's certificate: the server is asked by https then.
    """
    data, log, port = folder / "data", folder / "requests.log", port or free_port()
    data.mkdir(parents=True, exist_ok=True)
    tls = () if authority is None else authority.server("s3", [address], ["localhost"])
    command = [
        *ENDS_WITH_ITS_STARTER,
        tool("versitygw"),
        "--port",
        f"{address}:{port}",
        "--access-log",
        log,
        "--keep-alive",
        "--quiet",
        *(word for pair in zip(("--cert", "--key"), tls, strict=False) for word in pair),
        "posix",
        data,
    ]
    environment = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET, **os.environ}
    with (folder / "server.log").open("wb") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said, cwd=folder)
    try:
        wait_for(port, process, address)
        scheme = "https" if tls else "http"
        yield S3Server(f"{scheme}://{address}:{port}", data, log, process, authority.certificate if authority else None)
    finally:
        process.terminate()
        process.wait(PATIENT_S)


def keeping(store: S3Store) -> S3Store:
    """Let a store keep the keys that it has now: it would follow the environment, which a test shares among roles."""
    asked = store._connection.asked
    keys = asked._credentials().get_frozen_credentials()
    asked._credentials().get_frozen_credentials = lambda: keys
    return store


class Line:
    """A way to a server that breaks off some of its answers.

    Parameters
    ----------
    to
        Port of the server.
    """

    def __init__(self, to: int) -> None:
        self._to, self._listener = to, socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.cuts = 0
        """How many of the next answers end before they are whole."""
        self.after = 0
        """Bytes of an answer that come through before the cut."""
        self.which = b"HTTP/1.1 200"
        """How an answer begins that is cut."""

    def __enter__(self) -> Line:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._carry, args=(self._listener.accept()[0],), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._to)) as far, contextlib.suppress(OSError):
            threading.Thread(target=_pump, args=(near, far), daemon=True).start()
            while data := far.recv(65536):
                if self.cuts and data.startswith(self.which):
                    self.cuts -= 1
                    near.sendall(data[: self.after])
                    near.shutdown(socket.SHUT_RDWR)
                    return
                near.sendall(data)


def _client(endpoint: str, key: str = KEY, secret: str = SECRET) -> Any:
    return Session().create_client(
        "s3", "us-east-1", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret
    )


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


def wait_for(port: int, process: subprocess.Popen[bytes], address: str = "127.0.0.1") -> None:
    """Return when a server answers; fail when it ends before."""
    deadline = time.monotonic() + PATIENT_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        assert process.poll() is None, f"the S3 server ended with {process.returncode}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
