"""Which tests a run leaves out: those of ``make test-all``, and those that passed with the same files.

Covered: real runs of pytest on a small module, and the tests that a resumed ``make test-all`` runs again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.suite.clock import BEGAN
from tests.suite.passed import PASSED, name_of

ROOT = Path(__file__).parents[2]
MODULE = """
import os, pytest
proved = pytest.mark.proved_for("pyproject.toml")
@proved
def test_a(): pass
@proved
def test_b(): assert "BREAK" not in os.environ
@pytest.mark.test_all("takes long")
def test_c(): pass
def test_d(): pass
"""


@pytest.fixture
def run(tmp_path: Path):
    """Run the module; return how many passed, failed and were left out."""
    path = tmp_path / "test_module.py"
    path.write_text(MODULE)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GOZEN_", "PYTEST_"))}
    marks = "markers=proved_for\n test_all"

    def pytest_of(*words: str, **environment: str) -> tuple[int, int, int]:
        own = {"PYTHONPATH": str(ROOT), "GOZEN_CACHE": str(tmp_path / "cache"), **environment}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
            "-o",
            marks,
            *words,
        ]
        command += ["--rootdir", str(tmp_path), str(path)]
        done = subprocess.run(
            command, cwd=tmp_path, env={**clean, **own}, capture_output=True, text=True, timeout=120, check=False
        )
        counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|deselected)", done.stdout)}
        assert counts, done.stdout + done.stderr
        return counts.get("passed", 0), counts.get("failed", 0), counts.get("deselected", 0)

    return pytest_of


def test_what_passed_for_the_same_files_is_left_out(run) -> None:
    assert run(**{BEGAN: "1"}) == (3, 0, 1)
    assert run(**{BEGAN: "1"}) == (1, 0, 3)
    assert run(**{BEGAN: "1", "GOZEN_TIER": "all"}) == (4, 0, 0)


def test_what_failed_or_did_not_run_is_not(run) -> None:
    assert run(BREAK="1", **{BEGAN: "1"}) == (2, 1, 1)
    assert run("-k", "test_a", **{BEGAN: "1"})[0] == 1
    assert run(**{BEGAN: "1"}) == (3, 0, 1)


def test_a_call_of_pytest_runs_what_it_names(run) -> None:
    assert run() == (4, 0, 0)
    assert run() == (4, 0, 0)


def test_a_long_run_continues_with_what_has_not_passed(run, tmp_path: Path) -> None:
    passed = tmp_path / "tree.passed"
    for path in (passed, passed.with_suffix(".begun")):
        path.write_text("")
    assert run(BREAK="1", **{PASSED: str(passed)}) == (3, 1, 0)
    passed.with_suffix(".begun").write_bytes(passed.read_bytes())
    assert run(**{PASSED: str(passed)}) == (1, 0, 3)
    passed.with_suffix(".begun").write_bytes(passed.read_bytes())
    assert run(**{PASSED: str(passed)}) == (0, 0, 4)


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("tests/a.py::test_b@s3 night", "tests/a.py::test_b"),
        ("tests/a.py::test_b[x@y]", "tests/a.py::test_b[x@y]"),
        ("tests/a.py::test_b[x@y]@node", "tests/a.py::test_b[x@y]"),
    ],
)
def test_a_test_has_its_name_in_every_group(nodeid: str, name: str) -> None:
    assert name_of(nodeid) == name
