"""benchmarks/lookup.py, reduced: it runs, every answer is the same as PostgreSQL's, every pair as the search tree's.

The measured times depend on the machine and are not checked. For so small a table, the bytes include the footers of
small files.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "lookup.py"
LIMITS = {"append": "1.3", "bytes": "0.125", "id": "1.25", "cone": "1", "compaction/pyarrow": "1.3"}
LIMITS |= {"crossmatch/ckdtree": "3", "large/small": "1.2"}
pytestmark = pytest.mark.test_all(
    "compares the speed of look-ups with other software; test_catalog_append checks their results"
)


def test_a_small_table_is_looked_up_by_all(tmp_path: Path) -> None:
    command = [sys.executable, PROGRAM, "--rows", "320000", "--targets", "24", "--json", tmp_path / "lookup.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    goals = {line.split()[1]: line.split()[3:] for line in done.stdout.splitlines() if line.startswith("goal ")}
    assert len(goals) == 12, done.stdout + done.stderr
    assert {name: limit for name, (limit, _) in goals.items()} == {n: LIMITS[n.split("_")[0]] for n in goals}
    assert done.returncode == int(any(said == "short" for _, said in goals.values()))
    figures = json.loads((tmp_path / "lookup.json").read_text())
    assert figures["bytes"]["gozen"] < figures["bytes"]["postgres"] / 7
    assert {one["rows"] for name, one in figures["lookups"].items() if name.startswith("id")} == {200}
    assert all(one["ratio"] > 0 for one in figures["lookups"].values())
