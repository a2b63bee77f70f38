"""Errors in a QuickDB job: plain messages, no hanging, and nothing left behind.

Covered: functions that raise exceptions, including those that cannot be pickled, shown or unpickled, or would end a
worker; results that cannot be pickled or unpickled; functions that cannot be pickled or use undefined names; a reduce
that is invalid or depends on grouping, for any order of three patches; empty regions, unknown reruns and tables;
damaged and missing files; storage that fails; workers that are killed, on this machine and on Dask; Ctrl-C; a script
that is killed or ends early.
"""

from __future__ import annotations

import contextlib
import itertools
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

from gozen.archive.stores.directory_store import DirectoryStore
from gozen.catalog import open_catalog
from gozen.catalog.write import append
from gozen.errors import (
    BadRequest,
    ColumnNotFound,
    FunctionFailed,
    GozenError,
    RerunNotFound,
    StorageUnavailable,
    TableNotFound,
    UnreadableInput,
    WorkerLost,
)
from gozen.quickdb import Api, Box, Cone, Polygon, connect
from gozen.quickdb.engines import Here, dask_engine
from gozen.quickdb.patches.patch_extents import patches_of
from gozen.settings import load_settings

from ..catalog_samples import Field, field_of, rows_of
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


class Unpicklable(Exception):
    def __init__(self, patch: str, lock: Any) -> None:
        super().__init__(f"cannot do {patch}")
        self.lock = lock


def unpicklable(patch: Any) -> None:
    raise Unpicklable(patch.id, threading.Lock())


class OfOurs(StorageUnavailable):
    def __init__(self, patch: str, lock: Any) -> None:
        super().__init__(f"cannot reach {patch}")
        self.lock = lock


def of_ours(patch: Any) -> None:
    raise OfOurs(patch.id, threading.Lock())


class Fatal(BaseException):
    pass


def fatal(patch: Any) -> None:
    raise Fatal("no Exception")


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
        (unpicklable, FunctionFailed, ["Unpicklable: cannot do 5/", "threading.Lock()"]),
        (of_ours, StorageUnavailable, ["cannot reach 5/"]),
        (fatal, FunctionFailed, ["Fatal: no Exception"]),
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
        (lambda *_: None, r"reduce\(a, b\) returned None"),
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


def test_what_would_end_a_worker_comes_back_from_it(nights: Path, api: Api) -> None:
    def interrupted(patch: Any) -> None:
        raise KeyboardInterrupt(patch("lightcurves.mjd").size)

    # In the process of the user that is Ctrl-C.
    with pytest.raises(KeyboardInterrupt if isinstance(api._engine, Here) else FunctionFailed) as raised:
        list(api.map(interrupted, cache=False))
    assert "KeyboardInterrupt" in f"{raised.type} {raised.value}"
    assert api.mapreduce(size, add) > 0


def explode(kind: type[BaseException]) -> None:
    raise kind("exploded")


class Explodes:
    """Fails when it is read again."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        return explode, (self.kind,)


class Resists:
    """Fails when it is made bytes."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __reduce__(self) -> Any:
        raise self.kind("resisted")


def nested() -> Any:
    inner: list[Any] = []
    for _ in range(5_000):
        inner = [inner]
    return inner


RESULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "generator": (lambda: (n for n in range(3)), "cannot be sent back: TypeError.*generator"),
    "lock": (threading.Lock, "cannot be sent back: TypeError.*lock"),
    "file": (lambda: Path(os.devnull).open("w"), "cannot be sent back: .*PicklingError"),  # noqa: SIM115
    "closure": (lambda: (lambda lock: lambda: lock)(threading.Lock()), "cannot be sent back: TypeError.*lock"),
    "nested": (nested, "cannot be sent back: .*RecursionError|cannot be sent back: .*recursion"),
    "resists": (lambda: Resists(ValueError), "cannot be sent back: ValueError: resisted"),
    "resists and exits": (lambda: Resists(SystemExit), "cannot be sent back: SystemExit: resisted"),
    "explodes": (lambda: Explodes(RuntimeError), "cannot be read here: RuntimeError: exploded"),
    "explodes and exits": (lambda: Explodes(SystemExit), "cannot be read here: SystemExit: exploded"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_that_cannot_travel_is_named(api: Api, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    result, said = RESULTS[name]
    with pytest.raises(FunctionFailed, match=said) as raised:
        list(api.map(lambda patch: (patch("lightcurves.mjd").size, result()), cache=False))
    assert "return arrays, numbers, text" in str(raised.value)
    assert ("in patch 5/" in str(raised.value)) == ("sent back: " in said)
    with pytest.raises(FunctionFailed, match=said):
        api.mapreduce(lambda patch: [(patch("lightcurves.mjd").size, result())], lambda a, b: [*a, *b], cache=False)
    assert api.mapreduce(size, add) > 0
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_result_of_a_class_that_only_a_worker_has_is_named(api: Api, tmp_path: Path) -> None:
    (tmp_path / "only_there.py").write_text("class Found:\n    pass\n")

    def function(patch: Any, folder: str) -> Any:
        import importlib
        import sys

        patch("lightcurves.mjd")
        sys.path.insert(0, folder)
        found = importlib.import_module("only_there").Found()
        sys.path.remove(folder)
        return found

    if isinstance(api._engine, Here):  # what it has is here
        return
    with pytest.raises(FunctionFailed, match=r"cannot be read here: ModuleNotFoundError: .*only_there"):
        list(api.map(function, shared=str(tmp_path), cache=False))


def test_a_result_that_a_sample_cannot_copy_is_named(api: Api) -> None:
    with pytest.raises(FunctionFailed, match="generator"):
        api.mapreduce(lambda patch: (n for n in patch("lightcurves.mjd")), add, sample=0.5, cache=False)


def test_a_function_that_ends_its_worker_is_said(nights: Path) -> None:
    with connect(nights, workers=1) as api:
        with pytest.raises(WorkerLost, match=r"the function ended the process, for example with os\._exit"):
            list(api.map(lambda patch: os._exit(patch("lightcurves.mjd").size % 1), cache=False))
        assert api.mapreduce(size, add) > 0


SPLIT = {
    "one": [(10.0, 3)],
    "two": [(40.0, 2), (50.0, 1)],
    "turned": [(70.0, 1), (80.0, 2)],
    "three": [(110.0, 1), (120.0, 1), (130.0, 1)],
}
"""Where patches lie: right ascensions of the partitions, and how many patches each has."""


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return an archive whose patches lie as `SPLIT` says."""
    root = tmp_path_factory.mktemp("split")
    fields = [field_of(12 * count, 0, ra, 2.3, 0.01) for parts in SPLIT.values() for ra, count in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(append, "SOURCE_ROW_GROUP", 36)
        patch.setattr(patches_of, "__defaults__", (36,))
        rows = [rows_of(field, 20260101, "1", sensor=number) for number, field in enumerate(fields, 111)]
        append.append_night(DirectoryStore(root), "lightcurves", 20260101, rows)
        yield root


@pytest.mark.parametrize("how", SPLIT)
def test_a_reduce_that_depends_on_grouping_is_found_in_three_patches_wherever_they_lie(
    api: Api, split: Path, how: str, tmp_path: Path
) -> None:
    asked = Api(load_settings(archive=str(split), quickdb={"cache": str(tmp_path)}), api._engine)
    ra = [ra for ra, _ in SPLIT[how]]
    region = Box((min(ra) - 1, max(ra) + 1), (0, 5))
    ids = list(asked.map(lambda patch: patch.id, table="lightcurves", region=region, cache=False))
    parts = [len(list(group)) for _, group in itertools.groupby(ids, lambda one: one.rpartition("/")[0])]
    assert sorted(parts) == sorted(count for _, count in SPLIT[how])
    for cache in (True, False):
        for reduce in (lambda a, b: a - b, lambda a, b: (a + b) / 2):
            with pytest.raises(FunctionFailed, match="not associative"):
                asked.mapreduce(flux, reduce, region=region, cache=cache)
        assert asked.mapreduce(flux, add, region=region, cache=cache) > 0
        assert asked.mapreduce(flux, lambda _, b: b, region=region, cache=cache) > 0


@pytest.mark.parametrize("how", SPLIT)
def test_a_reduce_that_depends_on_grouping_is_found_where_functions_run_apart(split: Path, how: str) -> None:
    ra = [ra for ra, _ in SPLIT[how]]
    region = Box((min(ra) - 1, max(ra) + 1), (0, 5))
    with connect(split, workers=0, isolate=True) as asked:
        for cache in (True, False):
            with pytest.raises(FunctionFailed, match="not associative"):
                asked.mapreduce(
                    lambda patch: float(patch("lightcurves.flux").sum()),
                    lambda a, b: (a + b) / 2,
                    region=region,
                    cache=cache,
                )


def test_a_reduce_that_depends_on_grouping_is_found_among_results_that_were_kept(
    api: Api, split: Path, tmp_path: Path
) -> None:
    asked = Api(load_settings(archive=str(split), quickdb={"cache": str(tmp_path)}), api._engine)

    def difference(a: float, b: float) -> float:
        return a - b

    assert asked.mapreduce(flux, difference, region=Box((39, 41), (0, 5))) != 0  # of two patches there is one grouping
    assert asked.mapreduce(flux, difference, region=Box((49, 51), (0, 5))) > 0
    with pytest.raises(FunctionFailed, match="not associative"):
        asked.mapreduce(flux, difference, region=Box((39, 51), (0, 5)))


def test_a_function_that_cannot_be_pickled_is_named(api: Api) -> None:
    lock = threading.Lock()
    with pytest.raises(FunctionFailed, match="open that inside the function"):
        api.map(lambda patch: (patch("lightcurves.mjd"), lock.locked()))


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda api: api.map(size, region=Cone(10, -80, 0.1)), BadRequest, "no part of lightcurves"),
        (lambda api: api.map(size, region=Polygon([(10, -80), (11, -80), (10, -81)])), BadRequest, "no part of"),
        (lambda api: api.map(size, region="nonsense"), BadRequest, "is not a MOC"),
        (lambda api: api.map(size, rerun="s20a_wid"), RerunNotFound, "s20a_wid"),
        (lambda api: api.map(size, table="lightcurve"), TableNotFound, "lightcurves"),
        (lambda api: next(api.map(lambda p: p("lightcurve.mjd"))), ColumnNotFound, "lightcurves.mjd"),
        (lambda api: api.map(size, sample=2), BadRequest, "sample=2"),
        (lambda api: api.lightcurve(1, table="nowhere"), TableNotFound, "the tables are lightcurves"),
        (lambda api: api.lightcurve(1, columns=["fluks"]), BadRequest, "fluks"),
        (lambda api: api.patch("5/1/1", table="lightcurves"), BadRequest, "order/pixel/number"),
    ],
)
def test_what_there_is_not_is_said_at_once(nights: Path, ask: Any, error: type[Exception], said: str) -> None:
    with here(nights) as api, pytest.raises(error, match=said):
        ask(api)


@pytest.mark.parametrize("engine", ["nonsense", "tcp://127.0.0.1:9"])
def test_an_engine_that_is_none_is_said(nights: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_engine, "_CONNECT_S", 0.5)
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
        with pytest.raises(WorkerLost, match="a worker process ended before its task was done"):
            api.mapreduce(killed_once(tmp_path), add, cache=False)
        assert api.mapreduce(killed_once(tmp_path), add, cache=False) > 0


def test_dask_goes_on_after_a_killed_worker_and_the_next_job_works(nights: Path, tmp_path: Path) -> None:
    with here(nights) as api:
        wanted = api.mapreduce(flux, add, cache=False)
    with connect(nights, engine="dask", workers=2) as api:
        assert api.mapreduce(killed_once(tmp_path), add, cache=False) == wanted
        assert (tmp_path / "killed").exists()
        with pytest.raises(WorkerLost, match=r"a Dask worker was lost.*return less from map"):
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
    store = DirectoryStore(tmp_path)
    known = Field(FIELD.source_id[:3], FIELD.ra[:3], FIELD.dec[:3], 0)
    append.append_night(store, "lightcurves", 20260101, [rows_of(known, 20260101, "1").slice(0, 0)])
    with here(tmp_path) as api:
        assert list(api.map(size, table="lightcurves")) == []
        assert api.mapreduce(size, add) is None
