"""Test the message that a lab ran out of memory: shown once, in the first cell after a process was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gozen_hub.lab_memory import STARTUP, note_start, reminder


def counted(groups: Path, kills: int, version: int = 2) -> Path:
    """Write what the system counts for a container of 2 GiB."""
    files = {
        2: ("memory.events", f"low 0\noom 3\noom_kill {kills}\n", "memory.max"),
        1: (
            "memory/memory.oom_control",
            f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n",
            "memory/memory.limit_in_bytes",
        ),
    }
    events, text, limit = files[version]
    (groups / events).parent.mkdir(parents=True, exist_ok=True)
    (groups / events).write_text(text)
    (groups / limit).write_text(f"{2**31}\n")
    return groups


@pytest.mark.parametrize("version", [1, 2])
def test_a_process_that_was_killed_is_said_once(tmp_path: Path, version: int) -> None:
    folder, groups = tmp_path / "jupyter", tmp_path / "groups"
    note_start(folder)
    assert reminder(folder, counted(groups, 0, version)) == ""
    said = reminder(folder, counted(groups, 1, version))
    assert said.startswith(
        "A process of this lab was ended, because the memory of the lab (2.0 GiB) was used up. Read less"
    )
    assert reminder(folder, groups) == ""
    assert reminder(folder, counted(groups, 3, version)) == said


def test_a_container_that_started_again_is_said_once(tmp_path: Path) -> None:
    folder, groups = tmp_path / "jupyter", counted(tmp_path / "groups", 0)
    note_start(folder)
    assert reminder(folder, groups) == ""
    note_start(folder)
    said = "This lab has ended and started again, perhaps because its memory (2.0 GiB) was used up."
    assert reminder(folder, groups).startswith(said)
    assert reminder(folder, groups) == ""


def test_where_the_system_counts_nothing_nothing_is_said(tmp_path: Path) -> None:
    note_start(tmp_path)
    assert reminder(tmp_path, tmp_path / "nowhere") == ""
    (tmp_path / "memory.events").write_text("oom 1\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert reminder(tmp_path, tmp_path) == ""


@pytest.mark.parametrize("state", ["", "[", "[]", "{}"])
def test_a_damaged_note_keeps_no_kernel_from_starting(tmp_path: Path, state: str) -> None:
    groups = counted(tmp_path / "groups", 2)
    (tmp_path / "gozen-lab-memory.json").write_text(state)
    assert reminder(tmp_path, groups) == ""


def test_the_first_cell_shows_it_and_no_name_is_left(tmp_path: Path) -> None:
    """A kernel runs the same file as IPython in a terminal."""
    note_start(tmp_path)
    note_start(tmp_path)
    environment = os.environ | {
        "PYTHONSTARTUP": str(STARTUP),
        "JUPYTER_RUNTIME_DIR": str(tmp_path),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    cells = "print('one')\nprint('remind' in globals())\n"
    command = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"]
    done = subprocess.run(command, input=cells, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr.count("This lab has ended and started again") == 1, done.stdout + done.stderr
    assert "False" in done.stdout
    plain = subprocess.run(
        [sys.executable, "-i"], input="print(6 * 7)\n", env=environment, capture_output=True, text=True, timeout=60
    )
    assert "42" in plain.stdout
    assert "lab" not in plain.stderr
