"""The benchmark of the control plane, reduced: it runs, loses nothing, and prints its results.

Covered: the number of writes and events per Exposure, nothing is created twice, suspended objects stay suspended.
The speed is measured by the benchmark itself, on an idle machine (docs/performance.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .api_server import ApiServer

pytestmark = [
    pytest.mark.xdist_group("api"),
    pytest.mark.test_all(
        "counts writes, Events and memory for many Exposures; for one Exposure, test_reconcile counts them"
    ),
]
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "control_plane.py"
COUNTED = (
    "writes_per_exposure_less_reasons_to_wait",
    "events_per_exposure",
    "jobs_per_exposure",
    "exposures_not_reduced",
    "held_exposures_lost",
    "operator_memory_mb",
)


def test_an_exposure_costs_four_writes_and_two_events(api_server: ApiServer, tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    command = [sys.executable, BENCHMARK, "--quick", "--json", written]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert written.exists(), done.stderr[-3000:]
    goals = {goal["name"]: goal for goal in json.loads(written.read_text())["goals"]}
    for name in COUNTED:
        assert goals[name]["ok"], f"{name}: {goals[name]}\n{done.stdout}"
    assert f"goal reconcile_p99_s {goals['reconcile_p99_s']['measured']:.3f} 1 " in done.stdout
    assert done.returncode == int(not all(goal["ok"] for goal in goals.values()))
