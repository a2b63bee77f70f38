"""benchmarks/reduce.py and benchmarks/movers.py, reduced: they run, and the counts that they use are correct.

The measured times depend on the machine and are not checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.test_all(
    "compares the speed of the reduction with other software; tests/real checks its accuracy"
)


def run(program: str, *options: str, figures: Path) -> tuple[str, dict[str, Any]]:
    command = [sys.executable, PROGRAMS / program, *options, "--json", figures]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout, json.loads(figures.read_text())


def test_the_reduction_is_measured_step_by_step(tmp_path: Path) -> None:
    printed, figures = run("reduce.py", "--quick", "--frames", "3", "--repeats", "1", figures=tmp_path / "reduce.json")
    assert figures["sources on the stack"] == pytest.approx(750, rel=0.5)
    steps = {name: value for name, value in figures.items() if name.startswith("step: ")}
    assert len(steps) == 19
    assert sum(value > 0 for value in steps.values()) >= 17
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("goal ")] == [
        "reduce/peer",
        "reduce_with_cube/peer",
    ]


def test_movers_are_found_in_the_benchmark(tmp_path: Path) -> None:
    printed, _ = run("movers.py", "--fields", "1", "--cubes", "1", figures=tmp_path / "movers.json")
    goals = dict(line.split()[1::3] for line in printed.splitlines() if line.startswith("goal "))
    counted = {name: verdict for name, verdict in goals.items() if "time" not in name}
    assert set(counted) == {"linking_missed_50", "linking_missed_200", "completeness", "false_per_cube"}
    assert set(counted.values()) == {"ok"}, printed
