"""What goes wrong in a job says so in plain words, nothing hangs, and nothing is left behind.

Covered: functions that raise, return what cannot travel, cannot be pickled, name what there is not, a reduce that is
none; empty regions, unknown reruns and tables; damaged and missing files; storage that goes away; workers that are
killed, on this machine and on Dask, Ctrl-C, a script that is killed or ends early.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gozen.archive.directory import DirectoryStore
from gozen.catalog import open_catalog
from gozen.errors import (
    BadRequest,
    ColumnNotFound,
    FunctionFailed,
    GozenError,
    RerunNotFound,
    TableNotFound,
    UnreadableInput,
    WorkerLost,
)
from gozen.quickdb import Api, Cone, Polygon, connect
from gozen.quickdb.engines import on_dask

from .quickdb_surveys import FIELD, here
from .watched_processes import PATIENT_S, START_S, gone, session_of, wait_until

pytestmark = pytest.mark.usefixtures("kept")


@pytest.fixture(scope="module", params=["here", "local", "dask"])
def api(request: pytest.FixtureRequest, nights: Path, kept: Path) -> Iterator[Api]:
    """Return the light curves on each engine."""
    how: dict[str, Any] = {"here": {"workers": 0}, "local": {"workers": 1}, "dask": {"workers": 1, "engine": "dask"}}
    with connect(nights, **how[request.param]) as made:
        yield made


def size(patch: Any) -> int:
    return int(patch("lightcurves.mjd").size)


def add(a: int, b: int) -> int:
    return a + b


def broken(patch: Any) -> float:
    number = patch("lightcurves.mjd").size
    return 1 / (number - number)


def misspelt(patch: Any) -> Any:
    return patch("lightcurves.fluks")


def absent(patch: Any) -> Any:
    import no_such_module_anywhere

    return no_such_module_anywhere.f(patch)


def leaves(patch: Any) -> None:
    sys.exit(3)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def unprintable(patch: Any) -> None:
    raise Unprintable


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (
            broken,
            FunctionFailed,
            ["ZeroDivisionError: division by zero", "number - number", "api.patch('", "table='lightcurves'"],
        ),
        (misspelt, ColumnNotFound, ["lightcurves.fluks", "lightcurves.flux"]),
        (absent, FunctionFailed, ["ModuleNotFoundError", "no_such_module_anywhere"]),
        (leaves, FunctionFailed, ["SystemExit"]),
        (unprintable, FunctionFailed, ["Unprintable"]),
        (lambda patch: patch[[10**9]], FunctionFailed, ["IndexError", "row 1000000000"]),
        (lambda: 1, FunctionFailed, ["TypeError"]),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_a_function_does_wrong_comes_back_with_its_place(
    api: Api, function: Any, error: type[Exception], said: list[str]
) -> None:
    with pytest.raises(error) as raised:
        list(api.map(function, table="lightcurves", cache=False))
    assert [word for word in said if word not in str(raised.value)] == []
    assert api.mapreduce(size, add) > 0


@pytest.mark.parametrize(
    ("reduce", "said"),
    [
        (lambda *_: None, r"reduce\(a, b\) gave None"),
        (lambda a, b: a - b, "not associative"),
        (lambda a, b: a + b + "x", "TypeError"),
    ],
    ids=["no return", "difference", "raises"],
)
def test_a_reduce_that_is_none_is_named(api: Api, reduce: Any, said: str) -> None:
    with pytest.raises(FunctionFailed, match=said):
        api.mapreduce(size, reduce, cache=False)


def test_a_finalize_that_raises_is_named(api: Api) -> None:
    with pytest.raises(FunctionFailed, match="KeyError"):
        api.mapreduce(size, add, finalize=lambda n: {}[n], cache=False)


@pytest.mark.parametrize("result", [lambda: (n for n in range(3)), threading.Lock])
def test_a_result_that_cannot_travel_is_named(nights: Path, result: Callable[[], Any]) -> None:
    with connect(nights, workers=1) as api:
        with pytest.raises(FunctionFailed, match="cannot be sent back"):
            list(api.map(lambda patch: (patch("lightcurves.mjd").size, result())))
        assert api.mapreduce(size, add) > 0


def test_a_function_that_cannot_be_pickled_is_named(api: Api) -> None:
    lock = threading.Lock()
    with pytest.raises(FunctionFailed, match="open it inside the function"):
        api.map(lambda patch: (patch("lightcurves.mjd"), lock.locked()))


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda api: api.map(size, region=Cone(10, -80, 0.1)), BadRequest, "no part of lightcurves"),
        (lambda api: api.map(size, region=Polygon([(10, -80), (11, -80), (10, -81)])), BadRequest, "no part of"),
        (lambda api: api.map(size, region="nonsense"), BadRequest, "is no MOC"),
        (lambda api: api.map(size, rerun="s20a_wid"), RerunNotFound, "s20a_wid"),
        (lambda api: api.map(size, table="lightcurve"), TableNotFound, "lightcurves"),
        (lambda api: next(api.map(lambda p: p("lightcurve.mjd"))), ColumnNotFound, "lightcurves.mjd"),
        (lambda api: api.map(size, sample=2), BadRequest, "sample=2"),
        (lambda api: api.lightcurve(1, table="nowhere"), TableNotFound, "there are lightcurves"),
        (lambda api: api.lightcurve(1, columns=["fluks"]), BadRequest, "fluks"),
        (lambda api: api.patch("5/1/1", table="lightcurves"), BadRequest, "order/pixel/number"),
    ],
)
def test_what_there_is_not_is_said_at_once(nights: Path, ask: Any, error: type[Exception], said: str) -> None:
    with here(nights) as api, pytest.raises(error, match=said):
        ask(api)


@pytest.mark.parametrize("engine", ["nonsense", "tcp://127.0.0.1:9"])
def test_an_engine_that_is_none_is_said(nights: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_dask, "_CONNECT_S", 0.5)
    with pytest.raises(GozenError, match=engine):
        connect(nights, engine=engine, workers=1)


@pytest.fixture
def damaged(nights: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return a copy of the archive and one of its data files."""
    root = tmp_path / "archive"
    shutil.copytree(nights, root)
    catalog = open_catalog(DirectoryStore(root), "lightcurves")
    return root, Path(catalog.urls()[0])


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("damage", ["missing", "cut off", "empty", "overwritten"])
def test_a_damaged_file_is_named(damaged: tuple[Path, Path], damage: str, workers: int) -> None:
    root, path = damaged
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"cut off": data[: len(data) // 2], "empty": b"", "overwritten": b"\xff" * len(data)}[damage])
    with connect(root, workers=workers) as api:
        with pytest.raises(UnreadableInput, match=path.name):
            api.mapreduce(lambda patch: float(patch("lightcurves.flux").sum()), add, cache=False)
        with pytest.raises(UnreadableInput):
            api.sql("SELECT sum(flux) FROM lightcurves")


def killed_once(folder: Path) -> Callable[[Any], float]:
    """Return a function that kills its process the first time."""

    def function(patch: Any) -> float:
        with contextlib.suppress(FileExistsError):
            (folder / "killed").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        return flux(patch)

    return function


def flux(patch: Any) -> float:
    return float(patch("lightcurves.flux").sum())


def kills(patch: Any) -> float:
    if patch("lightcurves.mjd").size:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def test_a_killed_worker_is_said_and_the_next_job_works(nights: Path, tmp_path: Path) -> None:
    with connect(nights, workers=1) as api:
        with pytest.raises(WorkerLost, match="killed by a signal"):
            api.mapreduce(killed_once(tmp_path), add, cache=False)
        assert api.mapreduce(killed_once(tmp_path), add, cache=False) > 0


def test_dask_goes_on_after_a_killed_worker_and_the_next_job_works(nights: Path, tmp_path: Path) -> None:
    with here(nights) as api:
        wanted = api.mapreduce(flux, add, cache=False)
    with connect(nights, engine="dask", workers=2) as api:
        assert api.mapreduce(killed_once(tmp_path), add, cache=False) == wanted
        assert (tmp_path / "killed").exists()
        with pytest.raises(WorkerLost, match=r"a Dask worker was lost.*reduce more inside map"):
            api.mapreduce(kills, add, cache=False)
        assert api.mapreduce(killed_once(tmp_path), add, cache=False) == wanted


SCRIPT = """
    import os, pathlib, sys, time
    from gozen import quickdb
    api = quickdb.connect(sys.argv[1], workers=2, engine=sys.argv[3])
    folder = sys.argv[2]
    def endless(patch):
        (pathlib.Path(folder) / str(os.getpid())).touch()
        while patch('lightcurves.mjd').size:
            time.sleep(0.1)
    def uneven(patch):
        return endless(patch) if patch.id == FOURTH else patch.id
    FOURTH = list(api.map(lambda patch: patch.id, table='lightcurves'))[3]
"""


def started(script: str, nights: Path, folder: Path, engine: str = "local") -> subprocess.Popen[str]:
    """Start a script in a session of its own; return it once a worker is at work."""
    (folder / "script.py").write_text(textwrap.dedent(SCRIPT) + script)
    marks = folder / "marks"
    marks.mkdir()
    command = [sys.executable, "script.py", str(nights), str(marks), engine]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=folder, stdin=pipe, stderr=pipe, text=True, start_new_session=True)
    wait_until(lambda: process.poll() is not None or len(list(marks.iterdir())) > 0, START_S)
    assert {int(mark.name) for mark in marks.iterdir()} & session_of(process.pid)
    return process


def nothing_runs_on(process: subprocess.Popen[str]) -> bool:
    return all(map(gone, session_of(process.pid)))


@pytest.mark.parametrize("engine", ["local", "dask"])
@pytest.mark.parametrize("to", ["group", "script"])
def test_after_ctrl_c_nothing_runs_on(nights: Path, tmp_path: Path, to: str, engine: str) -> None:
    process = started("list(api.map(endless, cache=False))\n", nights, tmp_path, engine)
    (os.killpg if to == "group" else os.kill)(process.pid, signal.SIGINT)
    began = time.monotonic()
    _, said = process.communicate(timeout=PATIENT_S)
    assert "KeyboardInterrupt" in said
    assert process.returncode == -signal.SIGINT
    assert time.monotonic() - began < 30
    wait_until(lambda: nothing_runs_on(process))


@pytest.mark.parametrize("engine", ["local", "dask"])
def test_workers_end_with_a_script_that_is_killed(nights: Path, tmp_path: Path, engine: str) -> None:
    process = started("list(api.map(endless, cache=False))\n", nights, tmp_path, engine)
    process.kill()
    process.wait(PATIENT_S)
    # A worker of Dask that has lost its scheduler gives what it is doing half a minute before it ends.
    wait_until(lambda: nothing_runs_on(process), 2 * PATIENT_S)
    process.communicate()


@pytest.mark.parametrize("end", ["break", "1 / 0"])
def test_a_script_that_ends_early_does_not_wait_for_its_workers(nights: Path, tmp_path: Path, end: str) -> None:
    script = f"for one in api.map(uneven, cache=False, stream=True):\n    input()\n    {end}\n"
    process = started(script, nights, tmp_path)
    process.communicate("\n", timeout=PATIENT_S)
    assert (process.returncode == 0) is (end == "break")
    wait_until(lambda: nothing_runs_on(process))


def test_a_table_without_rows_gives_nothing(tmp_path: Path) -> None:
    from gozen.catalog import append

    from ..catalog_samples import Field, rows_of

    store = DirectoryStore(tmp_path)
    known = Field(FIELD.source_id[:3], FIELD.ra[:3], FIELD.dec[:3], 0)
    append.append_night(store, "lightcurves", 20260101, [rows_of(known, 20260101, "1").slice(0, 0)])
    with here(tmp_path) as api:
        assert list(api.map(size, table="lightcurves")) == []
        assert api.mapreduce(size, add) is None
