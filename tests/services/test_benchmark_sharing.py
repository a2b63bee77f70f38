"""benchmarks/sharing.py, reduced: it runs, and both clients transfer every byte.

The measured times depend on the machine and on the start of processes and are not checked; the memory is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "sharing.py"
LIMITS = {"1x1GB": "1.1", "1000x1MB": "1.1", "10000x10kB": "1.3"}
pytestmark = pytest.mark.test_all(
    "compares the speed of transfers with other software; test_sharing_transfers checks their results"
)


def test_a_few_files_are_transferred_by_both(tmp_path: Path) -> None:
    command = [sys.executable, PROGRAM, "--scale", "0.02", "--rounds", "1", "--json", tmp_path / "sharing.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    goals = {line.split()[1]: line.split()[3:] for line in done.stdout.splitlines() if line.startswith("goal ")}
    assert len(goals) == 7, done.stdout + done.stderr
    assert goals.pop("memory_mb") == ["150", "ok"]
    assert {name: limit for name, (limit, _) in goals.items()} == {
        f"{way}_{name}": limit for name, limit in LIMITS.items() for way in ("put", "get")
    }
    assert done.returncode == int(any(said == "short" for _, said in goals.values()))
    figures = json.loads((tmp_path / "sharing.json").read_text())
    assert figures["sizes"] == {"1x1GB": [1, 20_000_000], "1000x1MB": [20, 10**6], "10000x10kB": [200, 10**4]}
    assert all(used["cpu_s"] > 0 for way, used in figures["chunks"].items() if way != "bytes")
