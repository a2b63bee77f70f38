"""The process of an isolated function: when it starts, what works in it, and that none is left behind.

Covered: programs that continue to run, children that were lost, workers that are killed, and machines that cannot
isolate a process.
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gozen.errors import IsolationUnavailable
from gozen.quickdb.isolation import available, landlock, seccomp, spawn
from gozen.quickdb.isolation.child_process import Child
from gozen.quickdb.isolation.limits import Limits

from .kept_apart import Functions, pickled, refuse_all


class Guest(Functions):
    """Functions that do as they should."""

    def count(self, argument, ask):
        self.kept.append(1)
        return len(self.kept)

    def asks_and_loops(self, argument, ask):
        ask("looping")
        while True:
            pass

    def works(self, argument, ask):
        """Use what astronomers use."""
        import concurrent.futures
        import ctypes

        import astropy.coordinates
        import astropy.units
        import pandas
        import pyarrow.compute
        import scipy.spatial

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            threads = sum(pool.map(lambda k: int(np.ones(1000).sum()) + k, range(3)))
        tree = scipy.spatial.cKDTree(np.arange(30.0).reshape(10, 3))
        place = astropy.coordinates.SkyCoord(83.633, 22.0145, unit="deg").galactic
        callback = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 3)
        return {
            "threads": threads,
            "tree": tree.query([0.0, 1.0, 2.0])[1],
            "galactic": float(place.b.deg),
            "pandas": int(pandas.Series([1, 2]).sum()),
            "arrow": pyarrow.compute.sum(pa.array([1, 2])).as_py(),
            "svd": float(np.linalg.svd(np.eye(50))[1].sum()),
            "callback": callback(),
            "random": len({float(np.random.default_rng().random()) for _ in range(3)}),
        }


PROGRAM = pickled(Guest())


def test_a_program_stays_and_another_one_starts_afresh(lasting):
    lasting.close()
    assert [lasting.call(PROGRAM, "count", None, refuse_all) for _ in range(3)] == [1, 2, 3]
    other = PROGRAM + b" "
    assert lasting.call(other, "count", None, refuse_all) == 1
    assert lasting.call(PROGRAM, "count", None, refuse_all) == 1


def test_the_packages_of_astronomers_work():
    with Child(Limits(memory_bytes=1 << 30)) as one:
        found = one.call(PROGRAM, "works", None, refuse_all)
    assert found.pop("galactic") == pytest.approx(-5.78, abs=0.01)
    assert found == {
        "threads": 3003, "tree": 0, "pandas": 3, "arrow": 3, "svd": pytest.approx(50), "callback": 3, "random": 3,
    }  # fmt: skip


def test_a_machine_that_cannot_keep_it_apart_runs_nothing(monkeypatch):
    assert available() is None
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with (
        Child() as one,
        pytest.raises(IsolationUnavailable, match=r"no Landlock .*isolate=False"),
    ):
        one.call(PROGRAM, "echo", 1, refuse_all)
    monkeypatch.undo()
    monkeypatch.setattr(seccomp, "supported", lambda: False)
    with Child() as one, pytest.raises(IsolationUnavailable, match="no seccomp"):
        one.start()


def test_an_interpreter_that_does_not_start(monkeypatch):
    monkeypatch.setattr(spawn, "_START", "import sys; sys.exit(3)")
    with Child() as one, pytest.raises(IsolationUnavailable, match=r"does not start: it ended at once \(exit code 3\)"):
        one.start()
    monkeypatch.undo()
    with Child(preload=("no_such_module",)) as one, pytest.raises(IsolationUnavailable, match="no_such_module"):
        one.start()


def test_a_child_that_was_started_early_is_the_one_that_is_called():
    with Child() as one:
        one.start()
        assert one.pid == one.call(PROGRAM, "pid", None, refuse_all)


def test_a_child_that_was_lost_between_two_calls_is_replaced(lasting):
    before = lasting.call(PROGRAM, "pid", None, refuse_all)
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert lasting.call(PROGRAM, "pid", None, refuse_all) not in (before, None)


def test_close_leaves_no_process():
    with Child() as one:
        pid = one.call(PROGRAM, "pid", None, refuse_all)
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
    assert not Path(f"/proc/{pid}").exists()
    assert len(list(Path("/proc/self/fd").iterdir())) < descriptors


KILLED = """
import sys
from gozen.quickdb.isolation.child_process import Child
child = Child()
child.start()
print(child.pid, flush=True)
child.call(bytes.fromhex(sys.stdin.readline()), "asks_and_loops", None, lambda said: print(said, flush=True))
"""


def test_a_worker_that_is_killed_leaves_no_process():
    with subprocess.Popen([sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        pid = int(worker.stdout.readline())
        worker.stdin.write(PROGRAM.hex().encode() + b"\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == b"looping\n"
        watched = os.pidfd_open(pid)
        worker.kill()
        ended, _, _ = select.select([watched], [], [], 20)
        os.close(watched)
        assert ended
