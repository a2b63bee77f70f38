"""A small night that is reduced with faults: prepare its archive, start the reduction, and compare the results.

Used by test_killed.py and test_disturbed.py; the processes come from `fork_server`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .conftest import CAMERA, NIGHT, RECIPE
from .fork_client import ForkServer, Life
from .test_night_by_command import stat_of, wait_until_gone

ASKED = RECIPE.replace(
    "- Pointing",
    """\
- SetParameter: { tinteg_sec: 0.5, nframe: 6, datatype: DARK }
- Exposure: DARK
- SetParameter: { datatype: FLAT }
- Exposure: FLAT
- SetParameter: { datatype: OBJECT }
- Pointing""",
).replace("[wcs, stack]", "[wcs, stack, neo]")
"""What is taken of the night, calibration included, and its movers."""

COMMANDS: Mapping[str, list[list[str]]] = {
    "run": [["run", "asked.yaml", "--raw", "incoming"], ["night", "append", NIGHT]],
    "watch": [["watch", "incoming", "--once", "--recipe", "asked.yaml"]],
}
"""The two ways from a folder of raw files to a table of light curves."""

ENVIRONMENT = {
    "GOZEN_INSTRUMENT": str(CAMERA),
    "GOZEN_WORKERS": "2",
    "GOZEN_WATCH__INTERVAL_S": "0.05",
    "GOZEN_WATCH__REPORT_S": "0.1",
}
Mark = tuple[int, int]
"""Inode and time of a file: both stay as long as nobody writes it."""


def place(simulated: Path, folder: Path, copy: Callable[[Path, Path], object] = shutil.copyfile) -> Path:
    """Make a folder with the raw files in ``incoming``, what is asked, and an archive that knows the stars alone.

    Files that nobody changes may be linked.
    """
    (folder / "incoming").mkdir(parents=True)
    for path in (simulated / "archive" / "raw").rglob("*.fits"):
        copy(path, folder / "incoming" / path.name)
    shutil.copytree(simulated / "archive" / "truth", folder / "archive" / "truth")
    (folder / "asked.yaml").write_text(ASKED)
    return folder


def start(server: ForkServer, folder: Path, kind: str, log: Path | None = None) -> Life:
    """Begin a life that reduces what lies in a folder; what it says goes there too, unless elsewhere."""
    return server.live(folder, log or folder / "said", *COMMANDS[kind], **ENVIRONMENT)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of an archive."""
    root = folder / "archive"
    found = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def differences(mine: Mapping[str, str], right: Mapping[str, str]) -> list[str]:
    """Return the keys that one archive lacks or has with other bytes."""
    return sorted(key for key in {*mine, *right} if mine.get(key) != right.get(key))


def left_in(folder: Path) -> list[str]:
    """Return the raw files that still lie in the watched folder."""
    return sorted(path.name for path in (folder / "incoming").rglob("*.fits"))


def committed(folder: Path) -> dict[str, Mark]:
    """Return the marks of what must never be written again.

    These are the commits of sensors with their raw files and products, the manifests of tables with their data files.
    """
    root = folder / "archive"
    keys = []
    for path in root.glob("exposures/*/*/*/*.json"):
        commit = json.loads(path.read_bytes())
        raw = f"raw/{commit['night']}/{commit['exposure']}"
        keys += [path.relative_to(root).as_posix(), *(product["key"] for product in commit["products"].values())]
        keys += [f"{raw}/{name}" for name in commit["provenance"]["inputs"]]
    for path in root.glob("catalogs/*/manifest/*.json"):
        version = json.loads(path.read_bytes())
        table = f"catalogs/{version['name']}"
        data = f"{table}/{version['name']}.g{version['generation']}/dataset"
        keys += [path.relative_to(root).as_posix(), *(f"{data}/{file['path']}" for file in version["files"])]
        keys += [f"{table}/{version[part]}" for part in ("schema", "index", "coverage")]
    return {key: mark(root / key) for key in keys}


def members(group: int) -> list[int]:
    """Return the processes of a group that run, its leader left out."""
    found = {int(path.name): stat_of(path) for path in Path("/proc").glob("[0-9]*")}
    return [pid for pid, stat in found.items() if stat[2] == group and stat[0] != "Z" and pid != group]


def until(holds: Callable[[], bool], what: Callable[[], str], patience_s: float = 60.0) -> None:
    """Wait for a condition; fail with a message when it does not come."""
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, what()
        os.sched_yield()


def by_command(folder: Path, kind: str) -> Path:
    """Reduce a folder with the installed command."""
    from .small_demo import GOZEN

    for words in COMMANDS[kind]:
        done = subprocess.run(
            [GOZEN, *words], cwd=folder, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def all_gone(lives: list[Life]) -> None:
    """Return when no process of these lives runs any more."""
    for life in lives:
        wait_until_gone(life.pid)


def mark(path: Path) -> Mark:
    """Return what changes when a file is written again."""
    seen = path.stat()
    return seen.st_ino, seen.st_mtime_ns
