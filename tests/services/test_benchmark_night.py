"""benchmarks/night.py, reduced: it runs, and nothing is lost, out of order or reported too late.

The measured rates and delays depend on the machine and are not checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "night.py"
pytestmark = pytest.mark.test_all(
    "replays a night in real time; test_watch and test_killed check order and losses on a small night"
)


def test_a_small_night_is_replayed(tmp_path: Path) -> None:
    command = [sys.executable, PROGRAM, "--small", "--exposures", "10", "--json", tmp_path / "night.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    goals = dict(line.split()[1::3] for line in done.stdout.splitlines() if line.startswith("goal "))
    kept = ("lost_exposures", "files_left", "out_of_order", "express_behind_later", "limit_reached_unannounced")
    assert {name: goals.get(name) for name in kept} == dict.fromkeys(kept, "ok"), done.stdout + done.stderr
    figures = json.loads((tmp_path / "night.json").read_text())
    assert figures["exposures fed"] == 25
    assert figures["overload: longest queue"] > 0
