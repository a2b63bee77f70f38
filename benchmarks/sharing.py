"""Transfers of files by Gozen and by rclone: few large ones, and many small ones, over a line with a delay of 20 ms.

Both send folders to the same server, `rclone serve webdav`, and fetch them, with as many connections, in turns; the
time is that of the whole process. This server knows neither chunks nor checksums, so neither client computes any. The
floor of the times is the disk: Gozen also writes what it fetches down to the disk. At the end, Gozen sends and fetches
a large file in chunks with checksums to the Nextcloud of the tests, and its processor time is reported; that server is
slow, so its own time is not.

    python benchmarks/sharing.py [--json FILE] [--scale 1.0] [--rounds 3] [--connections 8] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from goals import Goal, conclude
from timing import elapsed, say

HERE = Path(__file__).parent
RCLONE = Path(sys.executable).with_name("rclone")
DELAY_MS = 20
MEMORY_MB = 150.0
SETS = {"1x1GB": (1, 10**9, 1.1), "1000x1MB": (1000, 10**6, 1.1), "10000x10kB": (10_000, 10**4, 1.3)}
"""Number of files, bytes of each, and the limit of the ratio to rclone."""
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


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
                self.spent.setdefault(f"{way}/{name}/{who}", []).append(elapsed(lambda: act(way, local, remote)))  # noqa: B023
                if way == "get":
                    found = back / (f"{remote}/{data.name}" if who == "gozen" else data.name)
                    check_same(data, found)
                    shutil.rmtree(back)

    def gozen(self, way: str, local: Path, remote: str) -> None:
        """Transfer by Gozen."""
        notes = self.folder / "notes"
        used = client(way, self.address, local, remote, notes, self.connections)
        shutil.rmtree(notes)
        self.memory_mb = max(self.memory_mb, used["memory_mb"])
        self.cpu_s.setdefault(way, []).append(used["cpu_s"])

    def rclone(self, way: str, local: Path, remote: str) -> None:
        """Transfer by rclone."""
        ends = [str(local), f"line:{remote}/{local.name}"] if way == "put" else [f"line:{remote}", str(local)]
        many = str(self.connections)
        command = [RCLONE, "--config", os.devnull, "copy", *ends, "--transfers", many, "--checkers", many]
        subprocess.run(command, check=True, env={**os.environ, **remote_settings(self.address)})


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


def filled(folder: Path, count: int, size: int) -> Path:
    """Write files of random bytes."""
    folder.mkdir()
    block = os.urandom(min(size, 2**24))
    for number in range(count):
        with (folder / f"{number:05}.dat").open("wb") as stream:
            for start in range(0, size, len(block)):
                stream.write(block[: size - start])
    return folder


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


def in_chunks(folder: Path, data: Path, connections: int) -> dict[str, Any]:
    """Send and fetch a large file in chunks, with checksums; return the processor time and the memory of the client."""
    (folder / "nextcloud").mkdir()
    with process(
        [sys.executable, HERE / "nextcloud_of_the_tests.py", folder / "nextcloud"], stdout=subprocess.PIPE, text=True
    ) as server:
        address = server.stdout.readline().strip()
        put = client("put", address, data, "chunks", folder / "notes", connections, "--chunks")
        get = client("get", address, folder / "back", "chunks", folder / "notes", connections, "--chunks")
    check_same(data, folder / "back" / "chunks" / data.name)
    return {"put": put, "get": get, "bytes": sum(one.stat().st_size for one in data.iterdir())}


def measured(folder: Path, scale: float, rounds: int, connections: int) -> dict[str, Any]:
    """Measure everything."""
    (folder / "server").mkdir()
    sizes = {name: scaled(count, size, scale) for name, (count, size, _) in SETS.items()}
    with delayed_server(folder / "server") as address:
        peers = Peers(address, folder, connections)
        for name, (count, size) in sizes.items():
            data = filled(folder / name, count, size)
            for number in range(rounds):
                say(f"{name}: {count:,} files of {size:,} bytes, round {number + 1} of {rounds}")
                peers.compare(name, data, number)
                for used in (folder / "server").iterdir():
                    shutil.rmtree(used)
            if count > 1:
                shutil.rmtree(data)
    say("a large file in chunks to the Nextcloud of the tests")
    chunks = in_chunks(folder, folder / "1x1GB", connections)
    return {
        "version": subprocess.run([RCLONE, "version"], capture_output=True, text=True, check=True).stdout.split()[1],
        "seconds": peers.spent, "cpu_s": peers.cpu_s, "chunks": chunks, "sizes": sizes, "connections": connections,
        "memory_mb": max(peers.memory_mb, *(chunks[way]["memory_mb"] for way in ("put", "get"))),
    }  # fmt: skip


def scaled(count: int, size: int, scale: float) -> tuple[int, int]:
    """Return a smaller set: fewer files, or one smaller file."""
    return (1, int(size * scale)) if count == 1 else (max(4, int(count * scale)), size)


def goals_of(result: dict[str, Any]) -> list[Goal]:
    """Return each goal with what was measured and its limit: the median of the rounds' ratios."""
    goals = []
    for name, (_, _, limit) in SETS.items():
        for way in ("put", "get"):
            pairs = zip(*(result["seconds"][f"{way}/{name}/{who}"] for who in ("gozen", "rclone")), strict=True)
            goals.append(Goal(f"{way}_{name}", median(ours / theirs for ours, theirs in pairs), limit))
    return [*goals, Goal("memory_mb", result["memory_mb"], MEMORY_MB)]


def show(result: dict[str, Any]) -> None:
    """Print what was measured."""
    print(f"peer: rclone {result['version']}, {result['connections']} connections, {DELAY_MS} ms of delay")
    for name, seconds in result["seconds"].items():
        way, name, who = name.split("/")
        count, size = result["sizes"][name]
        rate = count * size / median(seconds) / 1e6
        print(f"{way} {name} by {who}: {median(seconds):.2f} s, {count / median(seconds):.0f} files/s, {rate:.1f} MB/s")
    for way in ("put", "get"):
        used, size = result["chunks"][way], result["chunks"]["bytes"] / 1e9
        print(f"{way} {size:.2f} GB in chunks: {used['cpu_s']:.2f} s of the processor, {used['memory_mb']:.0f} MB")


def main() -> int:
    """Measure, print, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files, or of the size of one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="where the files are; it needs 5 GB")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gozen-sharing-", dir=given.folder) as folder:
        result = measured(Path(folder), given.scale, given.rounds, given.connections)
    show(result)
    return conclude(goals_of(result), result, given.json)


if __name__ == "__main__":
    sys.exit(main())
