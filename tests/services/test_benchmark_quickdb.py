"""benchmarks/quickdb.py and isolation.py, reduced: they run, and print which goals are reached.

The measured times depend on the machine and are not checked. The sections `ratios`, whose other programs alone take
half a minute to start, `workers` and `s3` are left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "quickdb.py"
pytestmark = pytest.mark.test_all("measures the speed of QuickDB; test_quickdb checks its results")


def test_a_small_survey_is_asked(tmp_path: Path) -> None:
    out = tmp_path / "quickdb.json"
    command = [sys.executable, PROGRAM, "--rows", "24000", "--repeats", "1", "--only", "growth,kept", "--json", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    goals = {line.split()[1]: line.split()[4] for line in done.stdout.splitlines() if line.startswith("goal ")}
    assert set(goals) == {
        "off_line_in_rows",
        "memory_as_rows_double",
        "checks_of_a_worker/job",
        "forecast_712M_rows_40_cores_s",
        "first_run/not_kept",
        "kept/not_kept",
        "look_through_a_function_ms",
    }, done.stdout + done.stderr
    assert done.returncode == int("short" in goals.values())
    figures = json.loads(out.read_text())
    assert figures["growth"]["rows"] == [6_000, 12_000, 24_000]
    assert all(10 < peak < 1000 for peak in figures["growth"]["peak_mb"])


def test_what_it_costs_to_look_after_a_function(tmp_path: Path) -> None:
    out = tmp_path / "isolation.json"
    command = [sys.executable, PROGRAM.with_name("isolation.py"), "--calls", "10", "--rows", "1000", "--json", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.stdout.splitlines()[-1].startswith("goal isolation_watched/unwatched "), done.stdout + done.stderr
    assert set(json.loads(out.read_text())["call_ms"]) == {"watched", "unwatched"}
