"""Test the activity of labs without requests: a silent cell or a script in a terminal counts, an idle shell not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from gozen_hub.lab_activity import BUSY, LAB, ProcessSeen, Watch, kernel_is_busy, processes_of, works

IDLE = ProcessSeen(7, 100, 3.0)


@pytest.mark.parametrize(
    ("states", "busy"), [([], False), (["idle", "starting", None], False), (["idle", "busy"], True)]
)
def test_a_kernel_that_executes_a_cell_is_busy(states: list[str | None], busy: bool) -> None:
    assert kernel_is_busy(states) is busy


def test_a_process_works_if_it_computes() -> None:
    assert not works([IDLE], [IDLE], 30.0)
    assert not works([IDLE], [ProcessSeen(7, 100, 3.0 + 30 * BUSY)], 30.0)
    assert works([IDLE], [ProcessSeen(7, 100, 3.1 + 30 * BUSY)], 30.0)


def test_many_small_processes_work_together() -> None:
    before = [ProcessSeen(pid, 100, 0.0) for pid in range(4)]
    assert works(before, [ProcessSeen(pid, 100, 0.02 * 30) for pid in range(4)], 30.0)
    assert not works(before, [ProcessSeen(pid, 100, 0.01 * 30) for pid in range(4)], 30.0)


def test_a_new_process_and_one_with_an_old_number_count_from_their_start() -> None:
    assert works([], [ProcessSeen(8, 100, 30.0)], 30.0)
    assert works([IDLE], [ProcessSeen(7, 200, 3.0)], 30.0)


def test_processes_of_the_lab_are_read_also_with_odd_names(tmp_path: Path) -> None:
    processes = {11: ("sh", "/user/hoshi/"), 12: ("a) R (b", "/user/hoshi/"), 13: ("lab", "/user/hoshi/")}
    processes |= {14: ("sh", "/user/hoshi/2/"), 15: ("sh", "/user/sora/")}
    for pid, (name, lab) in processes.items():
        (tmp_path / str(pid)).mkdir()
        fields = " ".join(str(number) for number in range(4, 60))
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {fields}\n")
        (tmp_path / str(pid) / "environ").write_text(f"PATH=/bin\0{LAB}={lab}\0USER=a\0")
    (tmp_path / "16").mkdir()  # ended meanwhile
    (tmp_path / "self").mkdir()
    found = {one.pid: one for one in processes_of("/user/hoshi/", without=13, proc=tmp_path)}
    assert sorted(found) == [11, 12]
    assert found[11].start == 22
    assert found[11].used_s == pytest.approx((14 + 15 + 16 + 17) / os.sysconf("SC_CLK_TCK"))


class Kernels:
    def __init__(self, *states: str) -> None:
        self.states = states

    def list_kernels(self) -> list[dict[str, str]]:
        return [{"execution_state": state} for state in self.states]


def watched(monkeypatch: pytest.MonkeyPatch, seen: list[ProcessSeen], *states: str) -> tuple[Watch, dict[str, Any]]:
    monkeypatch.setattr("gozen_hub.lab_activity.processes_of", lambda *_, **__: seen)
    settings: dict[str, Any] = {"kernel_manager": Kernels(*states), "last_activity_times": {}}
    return Watch(settings), settings


def test_a_silent_cell_is_activity(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, settings = watched(monkeypatch, [IDLE], "busy")
    watch.check()
    assert "gozen_work" in settings["last_activity_times"]


def test_an_idle_lab_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, settings = watched(monkeypatch, [IDLE], "idle")
    watch.check()
    assert settings["last_activity_times"] == {}


def test_a_script_that_computes_is_activity(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = f"/user/{uuid.uuid4()}/"
    monkeypatch.setenv(LAB, lab)
    settings: dict[str, Any] = {"kernel_manager": Kernels("idle"), "last_activity_times": {}}
    watch = Watch(settings)
    watch.check()
    assert settings["last_activity_times"] == {}
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as script:
        try:
            while not any(one.used_s > 0.2 for one in processes_of(lab, os.getpid())):
                time.sleep(0.01)
            watch.check()
        finally:
            script.kill()
    assert "gozen_work" in settings["last_activity_times"]


def test_a_script_of_short_programs_is_activity(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = f"/user/{uuid.uuid4()}/"
    monkeypatch.setenv(LAB, lab)
    settings: dict[str, Any] = {"kernel_manager": Kernels("idle"), "last_activity_times": {}}
    loop = "import subprocess, sys\nwhile True: subprocess.run([sys.executable, '-S', '-c', 'sum(range(10**6))'])"
    with subprocess.Popen([sys.executable, "-c", loop]) as script:
        try:
            stat = Path(f"/proc/{script.pid}/stat")
            while int(stat.read_text().rpartition(")")[2].split()[13]) < 20:  # of children that have ended
                time.sleep(0.01)
            watch = Watch(settings)
            watch._seen = []
            watch.check()
        finally:
            script.kill()
    assert "gozen_work" in settings["last_activity_times"]
