"""benchmarks/science_platform.py in a small form: its parts run, and say which goals are kept.

The times that it measures are those of the machine and are not looked at, but the memory of the hub is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .api_server import ApiServer

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "science_platform.py"
pytestmark = [
    pytest.mark.test_all(
        "measures how long users wait, also if there are many; test_platform and test_lab_starts check the same steps "
        "for one user"
    ),
    pytest.mark.timeout(1200),
]


def figures_of(tmp_path: Path, *words: str) -> dict[str, Any]:
    """Run a part of the benchmark; return its figures, and require a line and the exit code for its goals."""
    out = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, PROGRAM, *words, "--json", out], capture_output=True, text=True, timeout=1100
    )
    assert out.exists(), (done.stdout + done.stderr)[-3000:]
    figures: dict[str, Any] = json.loads(out.read_text())
    lines = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("goal ")]
    assert lines == [goal["name"] for goal in figures["goals"]]
    assert done.returncode == int(not all(goal["ok"] for goal in figures["goals"]))
    return figures


@pytest.mark.xdist_group("api")
def test_twenty_users_start_their_labs_and_look_at_pages(api_server: ApiServer, tmp_path: Path) -> None:
    figures = figures_of(tmp_path, "--only", "users", "--users", "20", "--seconds", "5")
    goals = {goal["name"]: goal for goal in figures["goals"]}
    assert set(goals) == {"hub_mb_with_20_users", "page_p99_s_with_20_users"}
    assert goals["hub_mb_with_20_users"]["ok"]
    assert figures["users"]["page_s"]["page"]["n"] >= 1


@pytest.mark.node
@pytest.mark.xdist_group("node")
def test_labs_and_jobs_on_a_node_are_compared_with_bare_pods(root: None, tmp_path: Path) -> None:
    words = ("--only", "waits,warm", "--rounds", "1", "--rows", "100000", "--repeats", "1")
    goals = {goal["name"]: goal for goal in figures_of(tmp_path, *words)["goals"]}
    waits = {"lab_less_2_s/bare_pod", "first_job_less_3_s/bare_workers", "namespace_s"}
    assert set(goals) == waits | {"warm_job/floor", "objects_apart"}
    assert goals["objects_apart"]["ok"]
