"""Calls through the fork server are independent, end with the process that requested them, and leave nothing behind.

That their output is that of a started command is tested in test_start.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .fork_client import ForkServer
from .lives import until
from .test_night_by_command import wait_until_gone


def test_a_call_has_the_folder_and_the_environment_of_its_asker(forks: ForkServer, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, run in ((one, "r7"), (other, "r8")):
        folder.mkdir()
        (folder / "gozen.toml").write_text(f'run = "{run}"\n')
    said = [forks.run(["config"], folder, os.environ).stdout for folder in (one, other, one)]
    assert ["r7" in text for text in said] == [True, False, True]
    environment = {**os.environ, "GOZEN_RUN": "r9"}
    assert "r9" in forks.run(["config"], one, environment).stdout
    assert "r9" not in forks.run(["config"], one, os.environ).stdout


def test_a_shell_finds_a_program_that_takes_its_input_and_gives_its_code(forks: ForkServer, tmp_path: Path) -> None:
    path = f"{forks.program(tmp_path)}:{os.environ['PATH']}"
    line = "gozen --version | cat; gozen reduce nowhere; echo $?"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("gozen ")
    assert done.stdout.endswith("64\n")
    assert "gozen: BadRequest" in done.stderr


def test_a_call_ends_with_who_asked_for_it(forks: ForkServer, tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    program, status = forks.program(tmp_path) / "gozen", tmp_path / "status.json"
    asker = subprocess.Popen([program, "watch", "incoming", "--status", status], cwd=tmp_path)
    try:
        until(status.exists, lambda: "no watch")
        there = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cwd") if _target(path) == str(tmp_path)]
        (call,) = {os.getpgid(pid) for pid in there if pid != asker.pid}
    finally:
        asker.kill()
        asker.wait()
    wait_until_gone(call)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
