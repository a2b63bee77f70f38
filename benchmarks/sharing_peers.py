"""Gozen and rclone as clients of one server, and that server behind a line with a delay, for benchmarks/sharing.py."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from timing import elapsed

HERE = Path(__file__).parent
RCLONE = Path(sys.executable).with_name("rclone")
DELAY_MS = 20
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
STARTS = 5


@dataclass
class Peers:
    """Both clients of one server.

    Parameters
    ----------
    address
        That of the line to the server.
    connections
        Transfers at the same time.
    """

    address: str
    folder: Path
    connections: int
    spent: dict[str, list[float]] = field(default_factory=dict)
    cpu_s: dict[str, list[float]] = field(default_factory=dict)
    memory_mb: float = 0.0

    def compare(self, name: str, data: Path, number: int) -> None:
        """Send a folder and fetch it by both, the other one first each time."""
        for way in ("put", "get"):
            for who in ("gozen", "rclone") if number % 2 else ("rclone", "gozen"):
                act = self.gozen if who == "gozen" else self.rclone
                remote, back = f"{who}-{name}-{number}", self.folder / f"back-{who}"
                local = data if way == "put" else back
                _ = self._environment
                os.sync()  # the disk has nothing left to do from the transfer before
                used = children_cpu_s()
                key = f"{way}/{name}/{who}"
                self.spent.setdefault(key, []).append(elapsed(lambda: act(way, local, remote)))  # noqa: B023
                self.cpu_s.setdefault(key, []).append(children_cpu_s() - used)
                if way == "get":
                    check_same(data, back / (f"{remote}/{data.name}" if who == "gozen" else data.name))
                    shutil.rmtree(back)

    def gozen(self, way: str, local: Path, remote: str) -> None:
        """Transfer by Gozen."""
        notes = self.folder / f"notes-{way}-{remote}"  # new ones, so that each round is the first transfer
        used = client(way, self.address, local, remote, notes, self.connections)
        self.memory_mb = max(self.memory_mb, used["memory_mb"])

    def rclone(self, way: str, local: Path, remote: str) -> None:
        """Transfer by rclone, without the pauses that it makes by default between two requests."""
        ends = [str(local), f"line:{remote}/{local.name}"] if way == "put" else [f"line:{remote}", str(local)]
        many = str(self.connections)
        options = ["--transfers", many, "--checkers", many, "--multi-thread-streams", many]
        command = [RCLONE, "--config", os.devnull, "copy", *ends, *options, "--webdav-pacer-min-sleep", "0s"]
        subprocess.run(command, check=True, env=self._environment)

    @functools.cached_property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, **remote_settings(self.address)}


def starts_s() -> dict[str, float]:
    """Return the time that each program takes to start without any transfer, s: the shortest of a few starts."""
    commands = {
        "gozen": [sys.executable, str(HERE / "sharing_client.py"), "--help"],
        "rclone": [str(RCLONE), "version"],
    }
    return {
        who: min(elapsed(lambda: subprocess.run(command, check=True, **QUIET)) for _ in range(STARTS))  # noqa: B023
        for who, command in commands.items()
    }


def children_cpu_s() -> float:
    """Return the processor time of all programs that have ended, s; servers have not."""
    used = os.times()
    return used.children_user + used.children_system


def client(
    way: str, address: str, local: Path, remote: str, notes: Path, connections: int, *more: str
) -> dict[str, float]:
    """Run a transfer by Gozen in a process of its own; return what it used."""
    words = [way, address, local, remote, notes, str(connections), *more]
    done = subprocess.run([sys.executable, HERE / "sharing_client.py", *words], check=True, stdout=subprocess.PIPE)
    used: dict[str, float] = json.loads(done.stdout)
    return used


def remote_settings(address: str) -> dict[str, str]:
    """Return the environment in which rclone knows the server as ``line:``."""
    obscured = subprocess.run([RCLONE, "obscure", "p"], check=True, capture_output=True, text=True).stdout.strip()
    values = {"TYPE": "webdav", "VENDOR": "other", "URL": address, "USER": "u", "PASS": obscured}
    return {f"RCLONE_CONFIG_LINE_{name}": value for name, value in values.items()}


def check_same(one: Path, other: Path) -> None:
    """Check that two folders have the same files, by name and size; the first and the last byte by byte."""
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    assert all((one / name).stat().st_size == (other / name).stat().st_size for name in names)
    for name in {names[0], names[-1]}:
        subprocess.run(["cmp", one / name, other / name], check=True)


@contextlib.contextmanager
def delayed_server(folder: Path) -> Iterator[str]:
    """Run rclone's WebDAV server behind a line with a delay; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    serve = [RCLONE, "--config", os.devnull, "serve", "webdav", folder, "--addr", f"127.0.0.1:{port}"]
    delay = [sys.executable, HERE / "delayed_line.py", str(port), str(DELAY_MS)]
    with (
        process([*serve, "--user", "u", "--pass", "p"], **QUIET),
        process(delay, stdout=subprocess.PIPE, text=True) as line,
    ):
        wait_for(port)
        yield f"http://127.0.0.1:{int(line.stdout.readline())}"


@contextlib.contextmanager
def process(command: list[Any], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Run a program that ends with the context."""
    running = subprocess.Popen(command, **options)
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


def wait_for(port: int) -> None:
    """Return when a server answers."""
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the server does not start")
        time.sleep(0.05)
