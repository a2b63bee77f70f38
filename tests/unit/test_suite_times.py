"""Test the records of a run: its environment, costs by module, budgets, and repetitions that a failed test names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import effort
from tests.suite import costs
from tests.suite.__main__ import not_activated
from tests.suite.processor_time import processor_s
from tests.suite.times import Cost, lines_of, over_budget, report, sums

BURNS = "import time\nwhile time.process_time() < 0.5: pass"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(costs.FOLDER, str(tmp_path))
    return tmp_path


def test_what_a_child_computes_counts_while_it_runs_and_after(folder: Path) -> None:
    before = processor_s()
    with costs.measured("test", "tests/unit/test_a.py::test_b"):
        child = subprocess.Popen([sys.executable, "-c", f"{BURNS}\nprint(1, flush=True)\ninput()"], stdin=-1, stdout=-1)
        assert child.stdout is not None
        assert child.stdout.read(2) == b"1\n"
        running = processor_s() - before
    child.communicate(b"\n")
    assert running >= 0.4
    assert processor_s() - before >= running - 0.1
    (line,) = [line for line in lines_of(folder) if line["kind"] == "test"]
    assert line["processor_s"] >= 0.4


def test_nothing_is_written_where_nobody_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(costs.FOLDER, raising=False)
    with costs.measured("test", "a"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_lines_become_tables(folder: Path) -> None:
    for name, processor in (("tests/unit/test_a.py::test_b[x]@group", 2.0), ("tests/unit/test_a.py::test_c", 1.0)):
        costs.write("test", name, 4.0, processor)
    costs.write("build", "kubelet", 60.0, 90.0)
    found = sums(lines_of(folder), "test")
    assert found == {"unit/test_a": Cost(8.0, 3.0, 2)}
    said = report(folder)
    assert "     3.0      8.0      2  unit/test_a" in said
    assert "    90.0     60.0      1  kubelet" in said
    assert said.index("test_b[x]") < said.index("test_c")


def test_modules_over_twice_their_budget_are_named_and_small_ones_are_not() -> None:
    found = {"a": Cost(1, 41.0, 1), "b": Cost(1, 39.0, 1), "new": Cost(1, 11.0, 1), "small": Cost(1, 9.0, 1)}
    said = over_budget(found, {"a": 20.0, "b": 20.0, "small": 1.0})
    assert [one.partition(":")[0] for one in said] == ["a", "new"]
    assert "41 processor seconds, budget 20" in said[0]
    assert "budget none" in said[1]


def test_a_part_takes_its_share_of_the_repetitions() -> None:
    kind = "histories of a failing S3"
    parts = [list(effort.rounds(kind, part, 2)) for part in range(2)]
    assert sorted(parts[0] + parts[1]) == list(range(effort.REPEATS[kind].now))


FAILS = """
from tests.effort import rounds
def test_a():
    for number in rounds("operator histories"):
        assert number < 6
"""


def test_a_failed_test_says_at_which_repetition(tmp_path: Path) -> None:
    path = tmp_path / "test_fails.py"
    path.write_text(FAILS)
    root = str(Path(__file__).parents[2])
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GOZEN_", "PYTEST_"))}
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        tmp_path,
        path,
    ]
    environment = {**clean, "PYTHONPATH": root}
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert f"round 7 of {effort.REPEATS['operator histories'].small} operator histories" in done.stdout
    assert done.returncode == 1


def test_every_module_with_a_budget_is_there() -> None:
    root = Path(__file__).parents[1]
    assert [name for name in effort.BUDGET_S if not (root / f"{name}.py").is_file()] == []


def test_the_command_says_what_to_do_where_nothing_was_measured(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    words = [sys.executable, "-m", "tests.suite.times", tmp_path / "none"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "make test does it" in done.stderr
    assert json.dumps(done.stdout) == '""'


def test_no_test_relies_on_an_activated_environment(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    path = f"/usr/bin:{environment / 'bin'}:/bin"
    assert not_activated(path) == path
    (environment / "pyvenv.cfg").touch()
    assert not_activated(path) == "/usr/bin:/bin"
