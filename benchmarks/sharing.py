"""Transfers of files by Gozen and by rclone: few large ones, and many small ones, over a line with a delay of 20 ms.

Both send folders to the same server, `rclone serve webdav`, and fetch them, with as many connections, in turns. The
ratio is that of the transfers: the time of the whole process without that of a start without any transfer, which is
reported apart; so is the ratio of the whole times. This server knows neither chunks nor checksums, so neither client
computes any; both look at the size of each file that they have sent. Gozen also writes what it fetches down to the
disk, rclone does not. After the large file, Gozen sends and fetches it in chunks with checksums to the Nextcloud of
the tests, and its processor time is reported; that server is slow, so its own time is not.

    python benchmarks/sharing.py [--json FILE] [--scale 1.0] [--rounds 3] [--connections 8] [--folder FOLDER]
        [--sets 1x1GB 1000x1MB 10000x10kB]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from goals import Goal, conclude
from sharing_peers import DELAY_MS, HERE, RCLONE, Peers, check_same, client, delayed_server, process, starts_s
from timing import say

MEMORY_MB = 150.0
LARGE = "1x1GB"
SETS = {LARGE: (1, 10**9, 1.1), "1000x1MB": (1000, 10**6, 1.1), "10000x10kB": (10_000, 10**4, 1.3)}
"""Number of files, bytes of each, and the limit of the ratio to rclone."""
WAYS = ("put", "get")


def filled(folder: Path, count: int, size: int) -> Path:
    """Write files of random bytes."""
    folder.mkdir()
    block = os.urandom(min(size, 2**24))
    for number in range(count):
        with (folder / f"{number:05}.dat").open("wb") as stream:
            for start in range(0, size, len(block)):
                stream.write(block[: size - start])
    return folder


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


def compared(peers: Peers, folder: Path, sizes: dict[str, tuple[int, int]], rounds: int) -> None:
    """Let both transfer everything; a first round of few files, which warms the programs up, does not count."""
    warm = Peers(peers.address, folder, peers.connections)
    warm.compare("warm", filled(folder / "warm", 4, 10**4), 0)
    for name, (count, size) in sizes.items():
        data = filled(folder / name, count, size)
        for number in range(rounds):
            say(f"{name}: {count:,} files of {size:,} bytes, round {number + 1} of {rounds}")
            peers.compare(name, data, number)
            for used in (folder / "server").iterdir():
                shutil.rmtree(used)
        if name != LARGE:
            shutil.rmtree(data)


def measured(folder: Path, chosen: list[str], scale: float, rounds: int, connections: int) -> dict[str, Any]:
    """Measure some sets of files."""
    (folder / "server").mkdir()
    sizes = {name: scaled(*SETS[name][:2], scale) for name in chosen}
    with delayed_server(folder / "server") as address:
        peers = Peers(address, folder, connections)
        compared(peers, folder, sizes, rounds)
        starts = starts_s()
    chunks: dict[str, Any] = {}
    if LARGE in chosen:
        say("a large file in chunks to the Nextcloud of the tests")
        chunks = in_chunks(folder, folder / LARGE, connections)
    return {
        "version": subprocess.run([RCLONE, "version"], capture_output=True, text=True, check=True).stdout.split()[1],
        "seconds": peers.spent, "starts_s": starts, "cpu_s": peers.cpu_s, "chunks": chunks, "sizes": sizes,
        "connections": connections,
        "memory_mb": max([peers.memory_mb, *(chunks[way]["memory_mb"] for way in WAYS if chunks)]),
    }  # fmt: skip


def scaled(count: int, size: int, scale: float) -> tuple[int, int]:
    """Return a smaller set: fewer files, or one smaller file."""
    return (1, int(size * scale)) if count == 1 else (max(4, int(count * scale)), size)


def ratio(result: dict[str, Any], key: str, *, whole: bool = False) -> float:
    """Return the median of the ratios of Gozen's times to those of rclone: of the transfers, or of whole processes."""
    starts = dict.fromkeys(result["starts_s"], 0.0) if whole else result["starts_s"]
    times = [
        [one - starts[who] for one in result["seconds"][f"{key}/{who}"]] for who in ("gozen", "rclone")
    ]  # fmt: skip
    return median(ours / theirs for ours, theirs in zip(*times, strict=True))


def used(result: dict[str, Any], key: str) -> str:
    """Return the times of one client in words: of its transfers, and of the processor with the start."""
    start = result["starts_s"][key.rpartition("/")[2]]
    return f"{median(result['seconds'][key]) - start:.2f} ({median(result['cpu_s'][key]):.2f})"


def goals_of(result: dict[str, Any]) -> list[Goal]:
    """Return each goal with what was measured and its limit."""
    goals = [
        Goal(f"{way}_{name}", ratio(result, f"{way}/{name}"), SETS[name][2]) for name in result["sizes"] for way in WAYS
    ]
    return [*goals, Goal("memory_mb", result["memory_mb"], MEMORY_MB)]


def show(result: dict[str, Any]) -> None:
    """Print what was measured, with a table for docs/performance.md."""
    print(f"peer: rclone {result['version']}, {result['connections']} connections, {DELAY_MS} ms of delay")
    for who, seconds in result["starts_s"].items():
        print(f"start of {who}: {seconds:.2f} s")
    print("| | Gozen: s (processor) | rclone: s (processor) | ratio | goal | ratio of whole processes |")
    print("|---|---|---|---|---|---|")
    for name, way in ((name, way) for name in result["sizes"] for way in WAYS):
        key = f"{way}/{name}"
        cells = [used(result, f"{key}/{who}") for who in ("gozen", "rclone")]
        ratios = ratio(result, key), SETS[name][2], ratio(result, key, whole=True)
        print("|", " | ".join([f"{way} {name}", *cells, *(f"{one:.2f}" for one in ratios)]), "|")
    for way in WAYS if result["chunks"] else ():
        spent, size = result["chunks"][way], result["chunks"]["bytes"] / 1e9
        print(f"{way} {size:.2f} GB in chunks: {spent['cpu_s']:.2f} s of the processor, {spent['memory_mb']:.0f} MB")
    print(f"memory of Gozen: at most {result['memory_mb']:.0f} MB")


def main() -> int:
    """Measure, print, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files, or of the size of one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="where the files are; it needs 5 GB")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="which files; default: all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gozen-sharing-", dir=given.folder) as folder:
        result = measured(Path(folder), given.sets, given.scale, given.rounds, given.connections)
    show(result)
    return conclude(goals_of(result), result, given.json)


if __name__ == "__main__":
    sys.exit(main())
