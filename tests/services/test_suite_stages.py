"""The stages of a run: their order, the effect of a failure, and that no process outlives them.

Covered: real processes, one of which has left its parent and its session; Ctrl-C. Not covered: the list of stages.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNS = """
import os, sys
from tests.suite.stages import Run, Stage
stages = [Stage(*one) for one in eval(sys.argv[1])]
sys.exit(Run(stages, os.environ).go())
"""
# Leaves a process in a session of its own, which writes its number down; then ends, or waits.
LEAVES = """
import os, time
told, tells = os.pipe()
if os.fork() == 0:
    os.setsid()
    open("orphan", "w").write(str(os.getpid()))
    os.write(tells, b".")
    time.sleep(600)
os.read(told, 1)
"""
WAITS = LEAVES + "print(1, flush=True)\ntime.sleep(600)\n"


def command(*stages: tuple[object, ...]) -> list[str]:
    """Return the command that runs stages: a name, a command, and what it comes after."""
    return [sys.executable, "-c", RUNS, repr(list(stages))]


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


def environment() -> dict[str, str]:
    left_out = ("GOZEN_RUN_BEGAN", "GOZEN_COSTS")
    return {**{k: v for k, v in os.environ.items() if k not in left_out}, "PYTHONPATH": str(ROOT)}


def run(folder: Path, *stages: tuple[object, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*stages), cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


def test_a_stage_begins_when_what_it_needs_is_done(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        ("second", python("assert open('first').read() == '1'"), ("first",)),
        ("first", python("open('first', 'w').write('1')")),
    )
    assert done.returncode == 0, done.stderr
    assert "[  0.0 min] first: begins" in done.stderr
    assert "second: done after" in done.stderr
    assert "core-minutes" in done.stderr


def test_what_needs_a_stage_that_failed_is_not_begun_and_the_others_are(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        ("breaks", python("raise SystemExit(3)")),
        ("needs it", python("open('needs', 'w')"), ("breaks",)),
        ("other", python("open('other', 'w')")),
    )
    assert done.returncode == 1
    assert "breaks: FAILED with exit code 3" in done.stderr
    assert "needs it: not begun, because breaks failed" in done.stderr
    assert "FAILED: breaks, needs it" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_what_a_stage_leaves_running_is_ended(tmp_path: Path) -> None:
    assert run(tmp_path, ("leaves", python(LEAVES))).returncode == 0
    assert not orphan_of(tmp_path).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    running = subprocess.Popen(
        command(("waits", python(WAITS))),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == b"1\n"
    assert orphan_of(tmp_path).exists()
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert b"interrupted: ending what runs" in said
    assert not orphan_of(tmp_path).exists()


def orphan_of(folder: Path) -> Path:
    """Return where the kernel tells of the process that a stage has left."""
    return Path("/proc") / (folder / "orphan").read_text()
